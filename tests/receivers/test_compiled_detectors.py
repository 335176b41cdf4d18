"""Kernels of expectation propagation and of exact detection against the detectors in torch, which other tests hold
against brute force and Sionna."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_compiled_kernels import observe

from ran.phy.modulation import constellation
from receivers import Lmmse
from receivers.classical import blind_estimate, delay_statistics, detection
from receivers.classical.blind_estimate import BlindEstimator
from receivers.classical.detection import Detection
from receivers.classical.estimate import ChannelEstimate
from receivers.classical.exponential import LEAST_EXPONENT, exp_source
from receivers.jit import generated_module


def slots(num_layers, num_rx_ant, bits=4, esn0_db=15.0, groups=2, share=1.0, num_prb=9):
    """Received slots, their channel and the variance of its error. share: of what sets a layer apart from the first."""
    observation, _ = observe(1, bits, groups, num_prb=num_prb, num_rx_ant=num_rx_ant)
    generator = torch.Generator().manual_seed(1)

    def normal(*shape):
        return torch.randn(2, *shape, 14, 12 * num_prb, dtype=torch.complex64, generator=generator)

    h = normal(num_rx_ant, num_layers)
    h = share * h + (1 - share) * h[:, :, :1]
    noise = 10 ** (-esn0_db / 10)
    points = torch.from_numpy(constellation(bits)).to(torch.complex64)
    sent = torch.randint(0, len(points), (2, num_layers, 14, 12 * num_prb), generator=generator)
    y = (h * points[sent].unsqueeze(1)).sum(2) + noise**0.5 * normal(num_rx_ant)
    err_var = 0.1 * noise * torch.rand(2, num_layers, 14, 12 * num_prb, generator=generator)
    pilots = observation.pilots.expand(num_layers, -1, -1)
    users = tuple(range(num_layers))
    seen = replace(observation, y=y, pilots=pilots, noise_var=torch.full((2,), noise), layer_to_user=users)
    return seen, ChannelEstimate(h, error_modes=err_var)


def assert_close(got, expected):
    """Equal but for rounding, relative to the typical size of a bit's LLRs, and more of it than one filter leaves:
    iterations divide differences of nearly equal precisions. A Gaussian is replaced where it gets narrower; the few
    symbols where that hangs on rounding may differ."""
    scale = expected.abs().mean((0, 1, 2))
    error = (got - expected).abs() / (expected.abs() + scale)
    assert float((error > 5e-4).float().mean()) < 5e-4
    assert float(error.clamp(max=5e-4).mean()) < 1e-5


def prior_of(observation, spread=2.0):
    shape = (2, observation.num_layers, observation.num_data_re, observation.bits_per_symbol)
    return spread * torch.randn(shape, generator=torch.Generator().manual_seed(2))


def both(detector, observation, estimate, prior, monkeypatch):
    """LLRs of the kernel and of torch."""
    with torch.inference_mode():
        got = detection._detect_by(detector, observation, estimate, prior)
        assert detection._compiled(detector, observation, estimate, prior) is not None
        with monkeypatch.context() as patch:
            patch.setattr(detection, "runs_compiled", lambda *tensors: False)
            assert detection._compiled(detector, observation, estimate, prior) is None
            return got, detection._detect_by(detector, observation, estimate, prior)


def detector_of(name):
    return Detection("ep")._soft if name == "mmse" else Detection(name)._by_name[name]


CASES = [("ep", False), ("mmse", True), ("ep", True), ("ml", False)]


@pytest.mark.parametrize(("name", "with_prior"), CASES)
@pytest.mark.parametrize("groups", [1, 2])
def test_two_layers(name, with_prior, groups, monkeypatch):
    # with one CDM group there are data between the pilots
    observation, estimate = slots(2, 4, groups=groups)
    prior = prior_of(observation) if with_prior else None
    assert_close(*both(detector_of(name), observation, estimate, prior, monkeypatch))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "with_prior"), CASES)
@pytest.mark.parametrize("bits", [2, 6, 8])
def test_other_modulations(name, with_prior, bits, monkeypatch):
    observation, estimate = slots(2, 4, bits, esn0_db=4.0 * bits)
    prior = prior_of(observation) if with_prior else None
    assert_close(*both(detector_of(name), observation, estimate, prior, monkeypatch))


@pytest.mark.slow
@pytest.mark.parametrize("with_prior", [False, True])
@pytest.mark.parametrize(("num_layers", "bits"), [(1, 4), (3, 2), (4, 4), (6, 2), (8, 2)])
def test_other_numbers_of_layers(num_layers, bits, with_prior, monkeypatch):
    observation, estimate = slots(num_layers, 2 * num_layers, bits)
    prior = prior_of(observation) if with_prior else None
    assert_close(*both(detector_of("ep"), observation, estimate, prior, monkeypatch))


@pytest.mark.parametrize("with_prior", [False, True])
def test_layers_of_unlike_modulations(with_prior, monkeypatch):
    observation, estimate = slots(3, 4)
    observation = replace(observation, bits_per_layer=(2, 4, 2))
    prior = prior_of(observation) if with_prior else None
    got, expected = both(detector_of("ep"), observation, estimate, prior, monkeypatch)
    assert len(observation.modulations) == 2
    assert not got[:, 0, :, 2:].any()
    for layer in range(3):
        assert_close(got[:, layer : layer + 1, :, :2], expected[:, layer : layer + 1, :, :2])


@pytest.mark.parametrize(("name", "with_prior"), CASES)
@pytest.mark.parametrize(("esn0_db", "share"), [(45.0, 1.0), (20.0, 0.01), (10.0, 1e-3)])
def test_layers_that_hide_one_another(name, with_prior, esn0_db, share, monkeypatch):
    """Gram matrices that single precision barely knows: what the two make of them differs where no LLR means much."""
    observation, estimate = slots(2, 2, esn0_db=esn0_db, share=share)
    prior = prior_of(observation) if with_prior else None
    got, expected = both(detector_of(name), observation, estimate, prior, monkeypatch)
    assert torch.isfinite(got).all()
    scale = expected.abs().mean()
    other = (got - expected).abs() / (expected.abs() + scale)
    assert float(other.mean()) < 1e-4
    sure = expected.abs() > scale
    assert torch.equal(got[sure] > 0, expected[sure] > 0)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
@pytest.mark.parametrize("name", ["ep", "ml"])
def test_the_level_of_a_slot_does_not_matter(scale, name):
    observation, estimate = slots(2, 4)
    level = torch.full((2,), scale)
    moved = replace(observation, y=observation.y * scale, noise_var=observation.noise_var * level * level)
    of_moved = replace(estimate, modes=estimate.modes * scale, error_modes=estimate.error_modes * scale * scale)
    found = [
        detection._detect_by(detector_of(name), slot, known, None)
        for slot, known in ((observation, estimate), (moved, of_moved))
    ]
    # levels are taken out before a receiver detects: here single precision has to hold their squares
    assert_close(found[1], found[0])


@pytest.mark.parametrize(("name", "with_prior"), CASES)
def test_bad_numbers_stay_visible_and_where_they_are(name, with_prior):
    observation, estimate = slots(2, 4)
    place = observation.num_data_re // 2
    data = observation.data_mask.flatten().nonzero()[place].item()
    y = observation.y.clone()
    y.flatten(2)[1, 2, data] = float("nan")
    prior = prior_of(observation) if with_prior else None
    llr = detection._detect_by(detector_of(name), replace(observation, y=y), estimate, prior)
    assert not torch.isfinite(llr[1, :, place]).any()
    llr[1, :, place] = 0
    assert torch.isfinite(llr).all()


@pytest.mark.parametrize("name", ["ep", "ml", "mmse-pic"])
def test_an_estimate_in_modes_gives_what_it_gives_on_the_grid(name):
    observation, _ = observe(2)
    decoded = torch.tensor([True, False])
    # a decoder that never decodes the second slot, and knows something of its bits
    observation = replace(observation, decoder=lambda llr: (0.1 * llr, decoded[-len(llr) :]))
    detector, estimate = Detection(name), Lmmse()._interpolate.estimate(observation)
    assert estimate.over_time is not None
    assert_close(detector(observation, *estimate.on_grid()), detector.of_estimate(observation, estimate))


def test_a_slot_does_not_depend_on_its_batch():
    observation, estimate = slots(2, 4)
    for name in ("ep", "ml"):
        whole = detection._detect_by(detector_of(name), observation, estimate, None)
        alone = estimate.select(torch.tensor([1]))
        assert torch.equal(detection._detect_by(detector_of(name), observation.part(1, 2), alone, None)[0], whole[1])


def test_gradients_take_the_torch_path():
    observation, estimate = slots(2, 4)
    h = estimate.modes.clone().requires_grad_()
    llr = Detection("ep")(observation, h, estimate.error_modes)
    llr.abs().sum().backward()
    assert torch.isfinite(torch.view_as_real(h.grad)).all()
    assert_close(Detection("ep")(observation, estimate.modes, estimate.error_modes), llr.detach())


def test_estimated_statistics_are_those_of_torch(monkeypatch):
    observation, _ = observe(4, num_prb=11)
    compiled = BlindEstimator()(observation)
    for module in (delay_statistics, blind_estimate):
        monkeypatch.setattr(module, "runs_compiled", lambda *tensors: False)
    expected = BlindEstimator()(observation)
    for name in ("h_hat", "err_var", "noise_var"):
        torch.testing.assert_close(getattr(compiled, name), getattr(expected, name), rtol=1e-3, atol=1e-4)


def test_inverse_of_a_covariance_where_cholesky_fails():
    """Of two matrices one is beyond single precision: its inverse is that of elimination, the other's is untouched."""
    x = torch.randn(2, 24, 8, generator=torch.Generator().manual_seed(3))
    a = x @ x.mT + torch.tensor([1e-1, 0.0])[:, None, None] * torch.eye(24)
    a[1] -= 1e-3 * torch.eye(24)
    assert torch.linalg.cholesky_ex(a)[1].gt(0).tolist() == [False, True]
    found = delay_statistics.inverse_of_covariance(a)
    torch.testing.assert_close(found[0], torch.linalg.inv(a[0].double()).float(), rtol=1e-3, atol=1e-3)
    assert torch.equal(found[1], torch.linalg.inv(a[1:])[0])
    assert torch.equal(delay_statistics.inverse_of_covariance(a[:1])[0], found[0])


EXPONENTIAL = f"""
import numpy as np
from receivers.classical.exponential import power_of_two
from receivers.jit import compiled
F, HALF = np.float32, np.float32(0.5)
@compiled
def exponential(x, out):
    for k in range(x.size):
        {(chr(10) + "        ").join(exp_source("value", "x[k]"))}
        out[k] = value
"""


def test_exponential():
    x = np.concatenate([np.linspace(-87, 0, 4001), [-1e30, -np.inf, np.nan]]).astype(np.float32)
    out = np.empty_like(x)
    generated_module("test_exponential", EXPONENTIAL).exponential(x, out)
    exact = np.exp(x[:4001].astype(np.float64))
    assert np.abs(out[:4001] / exact - 1).max() < 2**-17  # of the argument's rounding: 87 / 2 units of 2^-24
    near = x[:4001] > -1
    assert np.abs(out[:4001] / exact - 1)[near].max() < 2**-22
    assert np.all(out[4001:4003] == np.float32(2.0**LEAST_EXPONENT))
    assert np.isnan(out[4003])
