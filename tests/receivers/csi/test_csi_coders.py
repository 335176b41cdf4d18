"""Similarities, frames, classical coders, predictors and the two-sided model, each against what must hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from receivers.csi import (
    LinearPredictor,
    Refinement,
    SparseCoder,
    TransformCoder,
    doppler_weights,
    gcs,
    hold_last,
    nmse,
    predicted_channel,
    sgcs,
)
from receivers.csi.channel_estimate import least_squares, lmmse_over_band, over_all_prbs
from receivers.csi.frame import Frame, as_complex, as_real, first_in_place, in_phase, unit_norm
from receivers.csi.transform import lloyd_max

SHAPE = (4, 2)
UNITS, PORTS = 9, 16


def vectors(num: int, seed: int = 1, units: int = UNITS) -> torch.Tensor:
    """Unit vectors of a few random directions and delays, as a channel has them."""
    rng = np.random.default_rng(seed)
    out = np.zeros((num, units, 2, *SHAPE), complex)
    for _ in range(3):
        a, b, d = rng.uniform(-0.5, 0.5, (num, 1)), rng.uniform(-0.5, 0.5, (num, 1)), rng.uniform(0, 0.3, (num, 1))
        gain = (rng.standard_normal((num, 2, 2)) @ np.array([1, 1j])) * rng.exponential(1, (num, 1))
        beam = np.exp(2j * np.pi * (a[..., None] * np.arange(4)[:, None] + b[..., None] * np.arange(2)))
        turn = np.exp(2j * np.pi * d * np.arange(units))
        out += gain[:, None, :, None, None] * turn[:, :, None, None, None] * beam[:, None, None]
    return unit_norm(torch.from_numpy(out.reshape(num, units, -1).astype(np.complex64)))


def test_similarities_are_those_of_their_definition():
    v = torch.tensor([[1.0, 0.0]], dtype=torch.complex64)
    angle = 0.3
    w = 3 * torch.tensor([[math.cos(angle), math.sin(angle) * 1j]], dtype=torch.complex64) * np.exp(0.7j)
    w = w.to(torch.complex64)
    assert gcs(v, w).item() == pytest.approx(math.cos(angle), abs=1e-6)
    assert sgcs(v, w).item() == pytest.approx(math.cos(angle) ** 2, abs=1e-6)
    unit = w / torch.linalg.vector_norm(w)
    best = min(float((v - unit * np.exp(1j * p)).abs().square().sum()) for p in np.linspace(0, 2 * np.pi, 3601))
    assert nmse(v, w).item() == pytest.approx(best, abs=1e-5)
    assert sgcs(v, torch.zeros_like(v)).item() == 0


def test_level_does_not_matter():
    v, w = vectors(4), vectors(4, 2)
    torch.testing.assert_close(sgcs(v, w), sgcs(1e-9 * v, 1e9 * w))


def test_a_frame_is_left_as_it_was_entered():
    v, base = vectors(20), vectors(20, 3)
    frame = Frame.around(base, SHAPE)
    torch.testing.assert_close(frame.leave(frame.enter(v)), v, atol=1e-5, rtol=0)
    torch.testing.assert_close(as_complex(as_real(v)), v)
    strongest = frame.enter(base).abs().square().sum(1).argmax(1)
    # the strongest of 4 times as many beams is the first: of its neighbours none is much stronger
    power = frame.enter(base).abs().square().sum(1)
    assert (power[:, 0] >= 0.4 * power.gather(1, strongest[:, None])[:, 0]).all()


def test_frames_do_not_see_phases():
    """Phases of units, a common delay and the beam's place are gone: what is left is the same."""
    v = vectors(8)
    turned = v * torch.exp(2j * torch.pi * torch.rand(8, UNITS, 1, generator=torch.manual_seed(1)))
    one, other = first_in_place(v, SHAPE)[0], first_in_place(turned, SHAPE)[0]
    torch.testing.assert_close(one, other, atol=2e-4, rtol=0)
    assert torch.equal(one.flatten(1).abs().argmax(1) // PORTS, torch.zeros(8, dtype=torch.long))
    aligned = in_phase(turned, v)
    torch.testing.assert_close(aligned, v, atol=1e-5, rtol=0)


def test_lloyd_max_of_a_gaussian():
    """The optimal 4-level quantiser: levels +-0.4528 and +-1.510, distortion 0.1175 (J. Max, IRE Trans. IT-6, 1960)."""
    x = np.random.default_rng(1).standard_normal(200_000)
    levels, error = lloyd_max(x, 2)
    np.testing.assert_allclose(levels, [-1.510, -0.4528, 0.4528, 1.510], atol=0.02)
    assert error == pytest.approx(0.1175, abs=5 * 0.35 / math.sqrt(len(x)))


def test_transform_coding_spends_its_bits_and_more_say_more():
    train, test = vectors(600), vectors(200, 5)
    last = 0.0
    for bits in (8, 24, 64):
        coder = TransformCoder(bits, SHAPE).fit(train)
        reports = coder.encode(test)
        assert reports.shape == (200, bits)
        found = float(sgcs(test, coder.decode(reports)).mean())
        assert found > last
        last = found
    assert last > 0.6
    loaded = TransformCoder(64, SHAPE).load(coder.state())
    torch.testing.assert_close(loaded.decode(reports), coder.decode(reports))
    with pytest.raises(ValueError, match=r"report: got \(200, 63\); allowed: \[batch, 64\] bits"):
        coder.decode(reports[:, 1:])


def test_reverse_water_filling_on_gaussians():
    """Bits of Gaussian coefficients follow half the log of their variances: two bits apart for a factor of 16."""
    rng = np.random.default_rng(2)
    from receivers.csi.transform import _allocated

    z = rng.standard_normal((20_000, 4)) * np.array([16, 4, 1, 0.01])
    bits, _ = _allocated(z, 9)
    assert bits.tolist() == [5, 3, 1, 0]


def test_transform_over_a_base_codes_the_difference():
    train, test = vectors(600), vectors(200, 5)

    def coarse(v: torch.Tensor) -> torch.Tensor:
        coder = SparseCoder(2, UNITS, SHAPE)
        return coder.decode(coder.encode(v))

    coder = TransformCoder(48, SHAPE).fit(train, coarse(train))
    base = coarse(test)
    found = coder.decode(coder.encode(test, base), base)
    assert float(sgcs(test, found).mean()) > float(sgcs(test, base).mean()) + 0.05


def test_a_sparse_precoder_comes_back_from_its_report():
    x = torch.zeros(3, UNITS, PORTS, dtype=torch.complex64)
    # flat over the band, so that the frame's phases are those given; amplitudes within 0.1 dB of steps of 3 dB
    x[:, 0, 3], x[:, 0, 5], x[:, 0, 12] = 1.0, 0.5 * torch.exp(torch.tensor(2j * torch.pi * 3 / 16)), 0.25j
    x[1, 0, 9] = 0.355
    frame = Frame(torch.ones(3, 1, 1, *SHAPE, dtype=torch.complex64), torch.zeros(3, dtype=torch.bool), SHAPE)
    v = unit_norm(frame.leave(x))
    coder = SparseCoder(4, UNITS, SHAPE)
    reports = coder.encode(v)
    assert reports.shape == (3, coder.num_bits)
    # C(144, 4) sets in 24 bits, 2 for the strongest, 7 for each other coefficient
    assert coder.num_bits == math.ceil(math.log2(math.comb(144, 4))) + 2 + 21
    assert float(sgcs(v, coder.decode(reports)).min()) > 0.999
    with pytest.raises(ValueError, match="report"):
        coder.decode(reports[:, :-1])
    wrong = reports.copy()
    wrong[:, :24] = 1
    with pytest.raises(ValueError, match="places that are not there"):
        coder.decode(wrong)


def test_linear_prediction_follows_a_rotation_that_holding_loses():
    """Two beams that turn at two fixed rates: a filter over the past knows where they will be."""
    rng = np.random.default_rng(3)
    times = np.arange(5)
    rates = np.array([0.11, -0.17])
    gains = rng.standard_normal((300, 2, 2)) @ np.array([1, 1j])
    beams = np.stack([np.exp(2j * np.pi * f * np.arange(4)) for f in (0.0, 0.25)])
    turns = np.exp(2j * np.pi * rates[:, None] * times)
    h = np.einsum("nb,bt,be->nte", gains, turns, beams)
    v = unit_norm(torch.from_numpy(np.concatenate([h, 0 * h], -1).astype(np.complex64)))[:, :, None]
    predictor = LinearPredictor(4, (4, 1), 1e-3).fit(v[:200, :4], v[:200, 4])
    history, future = v[200:, :4], v[200:, 4]
    held = float(sgcs(future, hold_last(history)).mean())
    predicted = float(sgcs(future, predictor(history)).mean())
    assert held < 0.8
    assert predicted > held + 0.05
    with pytest.raises(ValueError, match="history"):
        predictor(history[:, 1:])


def test_a_channel_that_stands_still_is_predicted_as_it_is():
    v = vectors(60)
    still = v[:, None].expand(-1, 3, -1, -1)
    predictor = LinearPredictor(3, SHAPE).fit(still, v)
    assert float(sgcs(v, predictor(still)).min()) > 0.999


@pytest.mark.parametrize("body", ["transformer", "convolutional"])
@pytest.mark.parametrize("bits", [1, 2])
def test_a_refinement_starts_as_the_transform_it_was_given(body, bits):
    torch.manual_seed(1)
    model = Refinement(UNITS, *SHAPE, num_latents=20, bits_per_value=bits, width=16, depth=1, body=body).eval()
    v = vectors(500)
    sparse = SparseCoder(2, UNITS, SHAPE)
    base = sparse.decode(sparse.encode(v))
    _, x, x0 = model.framed(v, base)
    model.start_from(x, x0)
    values = []
    for count in (0, 5, 10, 20):
        indices = model.encode(v, base, count)
        assert indices.shape == (500, count)
        assert count == 0 or (int(indices.min()) >= 0 and int(indices.max()) == 2**bits - 1)
        values.append(float(sgcs(v, model.decode(indices, base).detach()).mean()))
    assert values == sorted(values)
    assert values[-1] > float(sgcs(v, base).mean()) + 0.03
    # what training goes through is what is decoded
    found = model.reconstruct(x, x0, torch.full((500,), 10))
    frame = Frame.around(base, SHAPE)
    torch.testing.assert_close(
        unit_norm(frame.leave(as_complex(found.detach()))),
        model.decode(model.encode(v, base, 10), base).detach(),
        atol=1e-5,
        rtol=0,
    )
    with pytest.raises(ValueError, match="num_values: got 21; allowed: 0 to 20"):
        model.used(21, 1, torch.device("cpu"))


def test_a_side_that_is_trained_alone_starts_from_what_is_given():
    model = Refinement(UNITS, *SHAPE, num_latents=20, width=8, depth=1)
    v = vectors(500)
    sparse = SparseCoder(2, UNITS, SHAPE)
    base = sparse.decode(sparse.encode(v))
    _, x, x0 = model.framed(v, base)
    model.start_from(x, x0)
    transform, mean = model.encoder.transform.clone(), model.encoder.mean.clone()
    indices = model.encode(v, base, 20)
    before = (model.reconstruct(x, x0, torch.full((500,), 20)) - x).square().mean()
    # the inverse of a transform that nobody has trained is the transform
    model.start_encoder()
    torch.testing.assert_close(model.encoder.transform, transform, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(model.encoder.mean, mean)
    # least squares does no worse on its samples than the transform, of which it knows nothing
    other = Refinement(UNITS, *SHAPE, num_latents=30, width=8, depth=1, body="convolutional")
    other.start_decoder(x, x0, indices)
    found = other.reconstruct_from(other.padded_levels(indices), x0, torch.full((500,), 20))
    assert (found - x).square().mean() <= before * (1 + 1e-5)
    assert not other.decoder.transform[20:].any()


def test_one_bit_takes_over_a_model_of_two():
    """The decoder is scaled to the levels that there are: nearer to what was sent than with the scale of four."""
    v = vectors(500)
    sparse = SparseCoder(2, UNITS, SHAPE)
    base = sparse.decode(sparse.encode(v))
    two = Refinement(UNITS, *SHAPE, num_latents=20, width=8, depth=1)
    _, x, x0 = two.framed(v, base)
    two.start_from(x, x0)
    one = Refinement(UNITS, *SHAPE, num_latents=20, bits_per_value=1, width=8, depth=1)
    one.load_state_dict(two.state_dict())
    count = torch.full((500,), 20)
    as_it_was = (one.reconstruct(x, x0, count) - x).square().mean()
    one.start_levels(2)
    scaled = (one.reconstruct(x, x0, count) - x).square().mean()
    assert scaled < as_it_was
    anew = Refinement(UNITS, *SHAPE, num_latents=20, bits_per_value=1, width=8, depth=1)
    anew.start_from(x, x0)
    torch.testing.assert_close(one.decoder.transform, anew.decoder.transform)
    torch.testing.assert_close(one.encoder.transform, anew.encoder.transform)


def test_levels_are_those_of_the_evaluations():
    model = Refinement(UNITS, *SHAPE, num_latents=4, width=8, depth=1)
    assert model.levels(torch.arange(4)).tolist() == [1 / 8, 3 / 8, 5 / 8, 7 / 8]
    one = Refinement(UNITS, *SHAPE, num_latents=4, bits_per_value=1, width=8, depth=1)
    assert one.levels(torch.arange(2)).tolist() == [1 / 4, 3 / 4]
    assert model.indices(torch.tensor([0.0, 0.24, 0.25, 0.76, 1.0])).tolist() == [0, 0, 1, 3, 3]
    with pytest.raises(ValueError, match="bits_per_value: got 3; allowed: 1, 2"):
        Refinement(UNITS, *SHAPE, bits_per_value=3)
    with pytest.raises(ValueError, match="body: got 'mlp'"):
        Refinement(UNITS, *SHAPE, body="mlp")


def test_estimates_from_orthogonal_pilots():
    """LS is exact without noise; its error variance is the noise over the length of the code, LMMSE's is smaller."""
    rng = np.random.default_rng(4)
    num_prb, rx, ports = 16, 8, 4
    code = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], complex)
    pilots = np.exp(2j * np.pi * rng.random((num_prb, 1, 4))) * code
    taps = rng.standard_normal((100, rx, ports, 2, 2)) @ np.array([1, 1j]) / np.sqrt(2)
    h = taps @ np.exp(2j * np.pi * np.outer([0, 0.03], np.arange(num_prb)))
    y = np.moveaxis(h, -1, 1) @ pilots
    np.testing.assert_allclose(least_squares(y, pilots), h, atol=1e-12)
    noise_var = 0.5
    noise = rng.standard_normal((*y.shape, 2)) @ np.array([1, 1j]) * np.sqrt(noise_var / 2)
    found = least_squares(y + noise, pilots)
    error = np.abs(found - h) ** 2
    assert error.mean() == pytest.approx(noise_var / 4, abs=5 * noise_var / 4 / np.sqrt(error.size))
    better = lmmse_over_band(found, noise_var / 4)
    assert (np.abs(better - h) ** 2).mean() < 0.5 * error.mean()
    scaled = lmmse_over_band(1e6 * found, 1e12 * noise_var / 4)
    np.testing.assert_allclose(scaled, 1e6 * better, rtol=1e-6, atol=1)


def test_estimates_at_prbs_between():
    h = np.array([1.0, 3.0, 7.0])
    np.testing.assert_allclose(over_all_prbs(h, np.array([1, 3, 5]), 8), [1, 1, 2, 3, 5, 7, 7, 7])


def test_a_filter_that_knows_the_doppler_has_the_error_of_theory():
    """Clarke's process: mean squared error 1 - r^H R^-1 r, which the samples show within 5 standard deviations."""
    rng = np.random.default_rng(6)
    times, doppler = 5e-3 * np.arange(6), 40.0
    turn = 2 * np.pi * doppler * np.cos(2 * np.pi * rng.random((4000, 200)))
    phase = 2 * np.pi * rng.random((4000, 200))
    h = np.exp(1j * (turn[:, None] * np.append(times, 0.03)[:, None] + phase[:, None])).sum(-1) / np.sqrt(200)
    weights = doppler_weights(times, 0.03, doppler)
    error = np.abs(predicted_channel(h[:, :-1], weights) - h[:, -1]) ** 2
    from scipy.special import j0

    r, big = j0(2 * np.pi * doppler * (0.03 - times)), j0(2 * np.pi * doppler * (times[:, None] - times))
    expected = 1 - 2 * weights @ r + weights @ big @ weights
    assert error.mean() == pytest.approx(expected, abs=5 * error.std() / np.sqrt(len(error)))
    assert expected < 0.5 * np.mean(np.abs(h[:, -2] - h[:, -1]) ** 2)
    with pytest.raises(ValueError, match="doppler_hz"):
        doppler_weights(times, 0.03, -1.0)
