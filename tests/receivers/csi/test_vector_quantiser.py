"""Vector quantisation of latents: codewords, bits, and the model around them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from receivers.csi import Refinement
from receivers.csi.neural import indices_of
from receivers.csi.vector_quantiser import VectorQuantiser

#: Least mean squared errors of a uniform quantiser with 4 and with 2 levels on a Gaussian of unit variance (J. Max, IRE
#: Trans. Inf. Theory 6, 1960, table 2), and the bound that no quantiser passes, 2^(-2 bits).
MAX = {2: 0.1188, 1: 0.3634}


@pytest.mark.parametrize(("bits", "size"), [(2, 2), (2, 4), (1, 4)])
def test_codewords_of_a_gaussian_lie_between_the_scalar_quantiser_and_the_bound(bits, size):
    generator = torch.Generator().manual_seed(1)
    z, fresh = (torch.randn(4096, 2 * size, generator=generator) for _ in range(2))
    quantiser = VectorQuantiser(2 * size, size, bits)
    quantiser.fit(z, generator)
    error = (fresh - quantiser.values(quantiser.nearest(fresh))).square().mean(1).detach()
    # three standard errors of the mean
    margin = 3 * float(error.std()) / len(error) ** 0.5
    assert 2.0 ** (-2 * bits) - margin < float(error.mean()) < MAX[bits] + margin
    random = VectorQuantiser(2 * size, size, bits)
    assert (fresh - random.values(random.nearest(fresh))).square().mean() > error.mean()


def test_the_nearest_is_the_nearest():
    torch.manual_seed(1)
    quantiser = VectorQuantiser(6, 3, 1)
    z = torch.randn(20, 6)
    distances = (z.reshape(20, 2, 1, 3) - quantiser.codewords).square().sum(-1)
    torch.testing.assert_close(quantiser.nearest(z), distances.argmin(-1))
    # codewords are their own nearest, and numbers of the first codebooks alone are enough
    numbers = torch.arange(8)[:, None].expand(-1, 2)
    torch.testing.assert_close(quantiser.nearest(quantiser.values(numbers)), numbers)
    torch.testing.assert_close(quantiser.values(numbers[:, :1]), quantiser.codewords[0])


def _samples(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(2)
    base = rng.standard_normal((count, 5, 8, 2)) @ [1, 1j]
    v = base + 0.4 * (rng.standard_normal((count, 5, 8, 2)) @ [1, 1j])
    return tuple(torch.from_numpy(x / np.linalg.norm(x, axis=-1, keepdims=True)).to(torch.complex64) for x in (v, base))


def test_a_model_reports_codewords_and_trains_them():
    torch.manual_seed(1)
    model = Refinement(5, 2, 2, num_latents=8, bits_per_value=2, width=8, depth=1, vector_size=2)
    v, base = _samples(64)
    _, x, x0 = model.framed(v, base)
    model.start_from(x, x0)
    model.start_quantiser(x, x0, torch.Generator().manual_seed(1))
    indices = model.encode(v, base, 4)
    assert indices.shape == (64, 2)
    assert int(indices.max()) < 16
    # what the numbers stand for is nearer than with no report at all
    whole = model.encode(v, base, 8)
    errors = [(v - model.decode(part, base)).abs().square().mean() for part in (whole[:, :0], indices, whole)]
    # norms and phases of both are one
    assert errors[2] < errors[1] < errors[0]
    # through bits
    bits = ((whole.numpy()[..., None] >> np.arange(3, -1, -1)) & 1).reshape(64, -1).astype(np.uint8)
    assert bits.shape == (64, 16)
    torch.testing.assert_close(indices_of(bits, model.bits_per_index), whole)
    found = model.reconstruct(x, x0, torch.full((64,), 8))
    torch.testing.assert_close(found, model.decoder(model.levels(whole), torch.ones(64, 8), x0), atol=1e-5, rtol=1e-5)
    found.square().sum().backward()
    assert model.quantiser.codewords.grad.abs().sum() > 0
    assert model.encoder.scale.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("size", "bits", "message"),
    [
        (3, 2, "vector_size: got 3; allowed: a divisor of num_latents, 8"),
        (8, 2, "vector_size: got 8; allowed: up to 5 with 2 bits per value"),
        (0, 2, "vector_size: got 0"),
    ],
)
def test_sizes_that_cannot_be_are_refused(size, bits, message):
    with pytest.raises(ValueError, match=message):
        Refinement(5, 2, 2, num_latents=8, bits_per_value=bits, vector_size=size)


def test_reports_end_with_a_codeword():
    model = Refinement(5, 2, 2, num_latents=8, width=8, depth=1, vector_size=4)
    with pytest.raises(ValueError, match="num_values: got 6; allowed: multiples of 4"):
        model.used(6, 1, torch.device("cpu"))
    with pytest.raises(ValueError, match="samples: got 100; allowed: 256 or more"):
        model.quantiser.fit(torch.randn(100, 8), torch.Generator())
