"""Plain two-sided models: what is reported of a precoder, what is decoded of it, and that training helps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from receivers.csi import Autoencoder, sgcs
from receivers.csi.frame import as_complex, unit_norm

SHAPE = (4, 2)
UNITS, PORTS = 6, 16
BODIES = ("transformer", "convolutional")


def vectors(num: int, seed: int = 1) -> torch.Tensor:
    """Unit vectors of two directions and delays."""
    rng = np.random.default_rng(seed)
    out = np.zeros((num, UNITS, 2, *SHAPE), complex)
    for _ in range(2):
        angle, delay = rng.uniform(-0.5, 0.5, (num, 1)), rng.uniform(0, 0.2, (num, 1))
        gain = rng.standard_normal((num, 2, 2)) @ np.array([1, 1j])
        beam = np.exp(2j * np.pi * angle * np.arange(SHAPE[0]))[..., None] * np.ones(SHAPE[1])
        turn = np.exp(2j * np.pi * delay * np.arange(UNITS))
        out += gain[:, None, :, None, None] * turn[:, :, None, None, None] * beam[:, None, None]
    return unit_norm(torch.from_numpy(out.reshape(num, UNITS, PORTS).astype(np.complex64)))


def model(bits: int, body: str, num_latents: int = 24) -> Autoencoder:
    torch.manual_seed(1)
    return Autoencoder(UNITS, *SHAPE, num_latents=num_latents, bits_per_value=bits, width=16, depth=1, body=body)


@pytest.mark.parametrize(("bits", "body"), [(1, "convolutional"), (2, "transformer")])
def test_training_raises_what_is_decoded_from_any_number_of_latents(body, bits):
    ours, v, unseen = model(bits, body), vectors(512), vectors(128, 2)
    base = torch.zeros_like(v)
    frame, x, x0 = ours.framed(v, base)
    optimizer = torch.optim.Adam(ours.parameters(), 1e-2)
    generator = torch.Generator().manual_seed(1)

    def decoded(count: int) -> float:
        with torch.no_grad():
            found = ours.decode(ours.encode(unseen, torch.zeros_like(unseen), count), torch.zeros_like(unseen))
            return float(sgcs(unseen, found).mean())

    before = decoded(24)
    for _ in range(60):
        rows = torch.randint(512, (64,), generator=generator)
        counts = torch.randint(1, 4, (64,), generator=generator) * 8
        loss = 1 - sgcs(v[rows], frame_leave(ours, ours.reconstruct(x[rows], x0[rows], counts))).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = [decoded(count) for count in (8, 16, 24)]
    assert after[0] > before + 0.2
    # more latents say more
    assert after[0] < after[1] < after[2] + 0.02
    # what training goes through is what is decoded from the bits
    found = ours.reconstruct(x[:64], x0[:64], torch.full((64,), 16)).detach()
    through = ours.decode(ours.encode(v[:64], base[:64], 16), base[:64]).detach()
    torch.testing.assert_close(unit_norm(frame_leave(ours, found)), through, atol=1e-5, rtol=0)
    assert frame.shape == SHAPE


def frame_leave(ours: Autoencoder, x: torch.Tensor) -> torch.Tensor:
    """In the frame of a model without a base every batch has the same one."""
    frame, *_ = ours.framed(vectors(len(x)), torch.zeros(0))
    return frame.leave(as_complex(x))


@pytest.mark.parametrize("body", BODIES)
def test_phases_of_subbands_are_not_reported(body):
    ours, v = model(2, body), vectors(32)
    turned = v * torch.exp(1j * torch.rand(32, UNITS, 1, generator=torch.Generator().manual_seed(3)) * 6.28)
    with torch.no_grad():
        latents = [ours.encoder(*ours.framed(given, given)[1:]) for given in (v, turned)]
    torch.testing.assert_close(latents[0], latents[1], atol=1e-3, rtol=0)


def test_a_report_is_its_first_latents_and_has_the_levels_of_the_evaluations():
    two, one = model(2, "transformer"), model(1, "transformer")
    v = vectors(16)
    with torch.no_grad():
        whole = two.encode(v, v, 24)
        torch.testing.assert_close(two.encode(v, v, 8), whole[:, :8])
        assert int(whole.max()) <= 3
        assert int(one.encode(v, v, 24).max()) <= 1
    assert two.levels(torch.arange(4)).tolist() == [1 / 8, 3 / 8, 5 / 8, 7 / 8]
    assert one.levels(torch.arange(2)).tolist() == [1 / 4, 3 / 4]
    # nothing beyond the latents of the report counts
    changed = two.padded_levels(whole[:, :8])
    assert torch.all(changed[:, 8:] == 0.5)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="bits_per_value: got 3; allowed: 1, 2"):
        Autoencoder(UNITS, *SHAPE, bits_per_value=3)
    with pytest.raises(ValueError, match="body: got 'mlp'; allowed: transformer, convolutional"):
        Autoencoder(UNITS, *SHAPE, body="mlp")
    with pytest.raises(ValueError, match="num_values: got 25; allowed: 0 to 24"):
        model(2, "transformer").used(25, 1, torch.device("cpu"))
    with pytest.raises(ValueError, match="v: got"):
        model(2, "transformer").framed(vectors(2)[..., :8], torch.zeros(0))
