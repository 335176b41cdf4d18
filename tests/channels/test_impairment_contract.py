"""What every impairment promises: shape, dtype, drops that depend on themselves alone, gradients, refusals."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from channels.impairments import IMPAIRMENTS, Chain, Impairment, catalogue

RATE_HZ = 30.72e6

#: Options of every impairment that let it do something.
OPTIONS: dict[str, dict[str, Any]] = {
    "rapp": {"input_back_off_db": 3.0, "am_pm_deg": 10.0},
    "saleh": {"input_back_off_db": 3.0},
    "memory-polynomial": {"input_back_off_db": 3.0, "coefficients": [[1.0, -0.1 + 0.1j], [0.05j, -0.02]]},
    "nr-power-amplifier": {"input_back_off_db": 6.0, "model": "cmos-28ghz"},
    "phase-noise": {"carrier_hz": 30e9, "per_antenna": True, "min_frequency_hz": 50e3},
    "pole-zero-phase-noise": {"psd0_dbc_hz": -70.0, "poles": [(1e5, 2.0)], "min_frequency_hz": 50e3},
    "wiener-phase-noise": {"linewidth_hz": 1e3},
    "carrier-frequency-offset": {"offset_hz": 2e3, "spread": "uniform"},
    "sampling-clock-offset": {"offset_ppm": 200.0, "spread": "uniform"},
    "iq-imbalance": {"gain_db": 0.5, "phase_deg": 3.0},
    "dc-offset": {"level_db": -20.0},
    "converter": {"bits": 6},
    "jammer": {"level_db": -10.0, "frequency_hz": -1e6, "max_frequency_hz": 1e6, "bandwidth_hz": 180e3},
    "gaussian-interference": {"level_db": -10.0, "bandwidth_hz": 5e6, "num_sources": 2},
    "ofdm-interference": {"level_db": -10.0, "num_subcarriers": 72, "noise_power": 0.5},
    "interference-bursts": {"level_db": 10.0, "duration_s": 1e-6},
    "antenna-gains": {"gains_db": (-3.0, -200.0)},
}

#: Impairments whose gradient is that of what they compute.
DIFFERENTIABLE = sorted(set(IMPAIRMENTS) - {"converter"})


def build(name: str) -> Impairment:
    return IMPAIRMENTS[name](**OPTIONS[name])


def generators(num_drops: int) -> list[np.random.Generator]:
    return [np.random.default_rng([43, drop]) for drop in range(num_drops)]


def signal(num_drops: int, num_antennas: int, num_samples: int, dtype: torch.dtype = torch.complex64) -> Tensor:
    numbers = np.random.default_rng(8).standard_normal((num_drops, num_antennas, num_samples, 2)) * 0.5**0.5
    return torch.from_numpy(numbers.view(np.complex128)[..., 0]).to(dtype)


def test_catalogue_has_a_line_for_every_impairment() -> None:
    assert set(catalogue()) == set(IMPAIRMENTS) == set(OPTIONS)
    assert all(line and not line.endswith(",") for line in catalogue().values())


@pytest.mark.parametrize("name", IMPAIRMENTS)
def test_constructor_arguments_have_type_hints_and_are_attributes(name: str) -> None:
    cls = IMPAIRMENTS[name]
    hints = inspect.get_annotations(inspect.getattr_static(cls, "__init__"), eval_str=True)
    built = build(name)
    for parameter in inspect.signature(cls).parameters:
        assert parameter in hints
        assert hasattr(built, parameter)


@pytest.mark.parametrize("name", IMPAIRMENTS)
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_shape_and_dtype_stay_and_something_happens(name: str, dtype: torch.dtype) -> None:
    waveform = signal(3, 2, 1000, dtype)
    out = build(name)(waveform, RATE_HZ, generators(3))
    assert out.shape == waveform.shape
    assert out.dtype == dtype
    assert torch.isfinite(torch.view_as_real(out)).all()
    assert not torch.allclose(out, waveform)
    assert torch.equal(waveform, signal(3, 2, 1000, dtype))


@pytest.mark.parametrize("name", IMPAIRMENTS)
@pytest.mark.parametrize("num_samples", [61, 1000, 4096])
def test_a_drop_depends_on_itself_alone(name: str, num_samples: int) -> None:
    waveform = signal(5, 2, num_samples)
    together = build(name)(waveform, RATE_HZ, generators(5))
    for part in (slice(0, 1), slice(1, 3), slice(4, 5)):
        assert torch.equal(build(name)(waveform[part], RATE_HZ, generators(5)[part]), together[part])


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradient_flows(name: str) -> None:
    impairment = build(name)
    waveform = signal(2, 1, 6, torch.complex128).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: impairment(x, RATE_HZ, generators(2)), (waveform,))


def test_gradient_of_the_converter_is_straight_through() -> None:
    waveform = signal(1, 1, 1000, torch.complex128).requires_grad_()
    out = IMPAIRMENTS["converter"](bits=4, clip_db=3.0)(waveform, RATE_HZ, generators(1))  # type: ignore[call-arg]
    torch.view_as_real(out).sum().backward()
    parts = torch.view_as_real(waveform.detach())
    clip = (parts.square().mean() * 10**0.3).sqrt()
    assert waveform.grad is not None
    assert torch.equal(torch.view_as_real(waveform.grad), (parts.abs() < clip).double())
    assert 0.7 < (parts.abs() < clip).double().mean() < 0.99


@pytest.mark.parametrize("name", IMPAIRMENTS)
def test_silence_gives_finite_samples_and_gradients(name: str) -> None:
    waveform = torch.zeros(1, 2, 100, dtype=torch.complex64, requires_grad=True)
    out = build(name)(waveform, RATE_HZ, generators(1))
    torch.view_as_real(out).square().sum().backward()
    assert torch.isfinite(torch.view_as_real(out.detach())).all()
    assert waveform.grad is not None
    assert torch.isfinite(torch.view_as_real(waveform.grad)).all()


@pytest.mark.parametrize("name", IMPAIRMENTS)
def test_conjugated_and_strided_waveforms(name: str) -> None:
    whole = signal(2, 2, 200)
    strided = whole[..., ::2].conj()
    expected = build(name)(strided.resolve_conj().contiguous(), RATE_HZ, generators(2))
    torch.testing.assert_close(build(name)(strided, RATE_HZ, generators(2)), expected)


def test_chain_goes_through_in_order_with_one_generator_per_drop() -> None:
    names = ["iq-imbalance", "phase-noise", "rapp", "dc-offset"]
    waveform = signal(2, 2, 300)
    out = Chain([build(name) for name in names])(waveform, RATE_HZ, generators(2))
    streams, expected = generators(2), waveform
    for name in names:
        expected = build(name)(expected, RATE_HZ, streams)
    assert torch.equal(out, expected)
    assert torch.equal(Chain([])(waveform, RATE_HZ, generators(2)), waveform)


def test_gradient_flows_through_a_chain() -> None:
    chain = Chain([build(name) for name in DIFFERENTIABLE])
    waveform = signal(1, 1, 4, torch.complex128).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: chain(x, RATE_HZ, generators(1)), (waveform,))


@pytest.mark.parametrize(
    ("waveform", "rate_hz", "num_generators", "message"),
    [
        (torch.zeros(1, 1, 4), RATE_HZ, 1, r"^waveform: got torch.float32; allowed: complex64 or complex128$"),
        (torch.zeros(1, 4) + 0j, RATE_HZ, 1, r"^waveform: got \(1, 4\); allowed: \[batch, num_antennas, num_samples\]"),
        (torch.zeros(1, 1, 0) + 0j, RATE_HZ, 1, r"^waveform: got \(1, 1, 0\); allowed: \[batch"),
        (torch.zeros(2, 1, 4) + 0j, RATE_HZ, 1, r"^generators: got 1; allowed: one per drop of the waveform, 2$"),
        (torch.zeros(1, 1, 4) + 0j, 0.0, 1, r"^sample_rate_hz: got 0.0; allowed: a finite number above 0$"),
    ],
)
def test_calls_that_make_no_sense_are_refused(
    waveform: Tensor, rate_hz: float, num_generators: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build("rapp")(waveform, rate_hz, generators(num_generators))


@pytest.mark.gpu
@pytest.mark.parametrize("name", IMPAIRMENTS)
def test_a_gpu_computes_the_same(name: str) -> None:
    waveform = signal(3, 2, 2000)
    here = build(name)(waveform, RATE_HZ, generators(3))
    there = build(name)(waveform.cuda(), RATE_HZ, generators(3))
    assert there.is_cuda
    # the converter may round a number that lies upon an edge to either side: one step of it
    tolerance = 0.1 if name == "converter" else 2e-4
    torch.testing.assert_close(there.cpu(), here, rtol=0, atol=tolerance)


@pytest.mark.parametrize("level", [1e-9, 1e9])
@pytest.mark.parametrize("name", sorted(set(IMPAIRMENTS) - {"ofdm-interference"}))
def test_the_level_of_the_waveform_does_not_matter(name: str, level: float) -> None:
    """Of ofdm-interference the noise power is an absolute option; all others count from the waveform's own power."""
    waveform = signal(2, 2, 1000)
    expected = build(name)(waveform, RATE_HZ, generators(2))
    found = build(name)(waveform * level, RATE_HZ, generators(2)) / level
    if name == "converter":
        # a sample on the edge between two levels may round either way
        differ = (found - expected).abs() > 1e-4
        assert differ.float().mean() < 0.01
    else:
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
