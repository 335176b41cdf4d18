"""Tapped delay lines against closed forms.

Sample means are compared within five standard errors, each computed from the sample itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import j0

from channels import Tdl
from channels.path_grid import modes_to_grid

SIGMAS = 5
SLOT_TIMES = np.arange(14) * 0.5e-3 / 14


def draw(model: Tdl, drops: int, times: Any, frequencies: Any, num_rx_ant: int = 1, num_tx_ant: int = 1) -> np.ndarray:
    generators = [np.random.Generator(np.random.Philox(key=[2026, drop])) for drop in range(drops)]
    h = model.response(generators, num_rx_ant, num_tx_ant, np.atleast_1d(times), np.atleast_1d(frequencies))
    return h.numpy().astype(np.complex128)


def assert_mean(samples: np.ndarray, expected: np.ndarray | complex) -> None:
    """The mean over the first axis agrees with `expected`; samples along it are independent."""
    error = samples.mean(0) - expected
    for part, of_samples in ((error.real, samples.real), (error.imag, samples.imag)):
        standard_error = of_samples.std(0) / len(samples) ** 0.5
        assert np.all(np.abs(part) <= SIGMAS * standard_error + 1e-6), np.max(np.abs(part) / (standard_error + 1e-12))


def tap_gains(model: Tdl, drops: int, times: Any, num_rx_ant: int = 1) -> np.ndarray:
    """Gains of the separate delays in ascending order, [drops, num_rx_ant, num_times, num_delays].

    Found by inverting the response on frequencies spread at random over a band that resolves all delays.
    """
    frequencies = np.random.default_rng(8).uniform(0, 2e9, 256)
    delays = np.unique(model.power_delay_profile.delays_s)
    phases = np.exp(-2j * np.pi * np.outer(frequencies, delays))
    assert np.linalg.cond(phases) < 5
    h = draw(model, drops, times, frequencies, num_rx_ant)[:, :, 0]
    gains: np.ndarray = h @ np.linalg.pinv(phases).T
    return gains


@pytest.mark.parametrize("model", [Tdl("A", 1000, 100), Tdl("C", 1000, 100), Tdl("TDLA30", None, 100)])
def test_taps_are_independent_complex_gaussians_of_the_tabulated_power(model: Tdl) -> None:
    drops = 1500
    order = np.argsort(model.power_delay_profile.delays_s)
    delays, powers = model.power_delay_profile.delays_s[order], model.power_delay_profile.powers[order]
    gains = tap_gains(model, drops, 0.0)[:, 0, 0]
    assert_mean(np.abs(gains) ** 2, powers)
    unit = gains / np.sqrt(powers)
    for tap in unit.T:
        assert stats.kstest(np.abs(tap) ** 2, stats.expon.cdf).pvalue > 1e-5
    assert_mean(unit[:, :, None] * unit[:, None].conj(), np.eye(len(powers)))
    assert_mean(unit[:, :, None] * unit[:, None], 0)  # circular: real and imaginary parts are independent
    # the second moment of the delays, relative to the square of the delay spread
    centred = (delays - powers @ delays) / model.power_delay_profile.rms_delay_spread_s
    assert_mean(np.abs(gains) ** 2 @ centred**2, 1)


@pytest.mark.parametrize("max_doppler_hz", [30.0, 400.0, 3000.0])
@pytest.mark.parametrize("profile", ["B", "E"])
def test_autocorrelation_in_time(profile: str, max_doppler_hz: float) -> None:
    """J0 of the Rayleigh part plus the line of sight turning at 0.7 times the maximum Doppler shift."""
    model = Tdl(profile, 100, max_doppler_hz)
    h = draw(model, 3000, SLOT_TIMES, 0.0)[:, 0, 0, :, 0]
    radians = 2 * np.pi * max_doppler_hz * SLOT_TIMES
    k_factor = 0.0 if profile == "B" else model.power_delay_profile.los_power
    expected = (1 - k_factor) * j0(radians) + k_factor * np.exp(0.7j * radians)
    assert_mean(h * h[:, :1].conj(), expected)
    np.testing.assert_allclose(model.time_correlation(SLOT_TIMES), expected, atol=1e-12)


@pytest.mark.parametrize("model", [Tdl("A", 300, 200), Tdl("E", 300, 200), Tdl("TDLB100", None, 200)])
def test_correlation_in_frequency(model: Tdl) -> None:
    frequencies = np.arange(40) * 240e3 - 4.7e6
    h = draw(model, 3000, 1e-3, frequencies)[:, 0, 0, 0]
    profile = model.power_delay_profile
    powers = profile.powers.copy()
    powers[0] += profile.los_power
    expected = np.exp(-2j * np.pi * np.outer(frequencies - frequencies[0], profile.delays_s)) @ powers
    assert_mean(h * h[:, :1].conj(), expected)


@pytest.mark.parametrize(("profile", "k_factor_db"), [("D", 13.3), ("E", 22.0)])
def test_first_tap_is_rician(profile: str, k_factor_db: float) -> None:
    model = Tdl(profile, 1000, 100)
    los_power, scattered = model.power_delay_profile.los_power, model.power_delay_profile.powers[0]
    assert 10 * np.log10(los_power / scattered) == pytest.approx(k_factor_db)
    power = np.abs(tap_gains(model, 1500, [0.0])[:, 0, 0, 0]) ** 2
    distribution = stats.ncx2(df=2, nc=2 * los_power / scattered, scale=scattered / 2)
    assert stats.kstest(power, distribution.cdf).pvalue > 1e-4


def test_line_of_sight_turns_at_its_doppler_shift_in_every_draw() -> None:
    model = Tdl("E", 1000, 500)
    times = np.linspace(0, 4e-3, 60)
    first_tap = tap_gains(model, 20, times)[:, 0, :, 0]
    turned_back = first_tap * np.exp(-2j * np.pi * 0.7 * 500 * times)
    los = np.sqrt(model.power_delay_profile.los_power)
    deviation = turned_back / turned_back.mean(1, keepdims=True) * los - los
    # what is left is the scattered part, 22 dB below
    assert np.sqrt(np.mean(np.abs(deviation) ** 2)) < 2 * np.sqrt(model.power_delay_profile.powers[0])


def test_antenna_pairs_fade_independently() -> None:
    h = draw(Tdl("A", 100, 100), 3000, 0.0, 0.0, 2, 2).reshape(3000, 4)
    assert_mean(h[:, :, None] * h[:, None].conj(), np.eye(4))


@pytest.mark.parametrize(("los_phases", "correlation"), [("independent", 0.0), ("common", 1.0)])
def test_line_of_sight_across_antennas(los_phases: Any, correlation: float) -> None:
    model = Tdl("D", 100, 100, los_phases=los_phases)
    h = draw(model, 3000, 0.0, 0.0, 2, 2).reshape(3000, 4)
    off_diagonal = correlation * model.power_delay_profile.los_power
    assert_mean(h[:, :, None] * h[:, None].conj(), off_diagonal + (1 - off_diagonal) * np.eye(4))
    assert_mean(h, 0)


@pytest.mark.parametrize(("num_modes", "num_taps", "num_subcarriers"), [(1, 12, 36), (4, 23, 600), (14, 24, 600)])
def test_grid_is_the_sum_over_modes_and_taps(num_modes: int, num_taps: int, num_subcarriers: int) -> None:
    """Either order of the two matrix products, and batches in several steps, against the plain sum."""
    torch.manual_seed(5)
    batch, pairs, times = 70, 4, 14
    modes = torch.randn(batch, pairs, num_modes, num_taps, dtype=torch.complex64)
    basis = torch.randn(times, num_modes)
    phases = torch.randn(num_taps, num_subcarriers, dtype=torch.complex64)
    exact = modes.to(torch.complex128), basis.to(torch.complex128), phases.to(torch.complex128)
    expected = torch.einsum("bpmt,sm,tf->bpsf", *exact)
    torch.testing.assert_close(modes_to_grid(modes, basis, phases), expected.to(torch.complex64), rtol=1e-3, atol=1e-3)


def test_subcarriers_are_points_of_one_function() -> None:
    """The same draw over another set of subcarriers is the same channel."""
    model, frequencies = Tdl("C", 300, 300), (np.arange(600) - 299.5) * 30e3
    h = draw(model, 3, SLOT_TIMES, frequencies, 2)
    np.testing.assert_allclose(draw(model, 3, SLOT_TIMES, frequencies[5::7], 2), h[..., 5::7], atol=1e-5)


def test_delays_turn_phases_backwards() -> None:
    """A later path has a phase that falls with frequency: the sign convention of the interface."""
    h = draw(Tdl("E", 1000, 0), 400, 0.0, np.arange(2) * 1e4)[:, 0, 0, 0]
    assert np.mean(h[:, 1] * h[:, 0].conj()).imag < 0


def test_zero_doppler_is_static_and_zero_delay_spread_is_flat() -> None:
    h = draw(Tdl("D", 0, 0), 3, SLOT_TIMES, np.arange(50) * 30e3)
    np.testing.assert_allclose(h, np.broadcast_to(h[..., :1, :1], h.shape), atol=1e-6)


def test_speed_and_carrier_give_the_doppler() -> None:
    """56 m/s at 2.14 GHz."""
    by_speed = Tdl("B", 100, speed_mps=56, carrier_frequency_hz=2.14e9)
    assert by_speed.doppler_hz == pytest.approx(399.743, abs=1e-3)
    by_doppler = Tdl("B", 100, max_doppler_hz=by_speed.doppler_hz)
    assert np.array_equal(draw(by_speed, 2, SLOT_TIMES, 0.0), draw(by_doppler, 2, SLOT_TIMES, 0.0))


def test_arguments_are_attributes() -> None:
    arguments: dict[str, Any] = {
        "profile": "D",
        "delay_spread_ns": 50.0,
        "max_doppler_hz": None,
        "speed_mps": 3.0,
        "carrier_frequency_hz": 3.5e9,
        "los_phases": "common",
    }
    model = Tdl(**arguments)
    assert {key: getattr(model, key) for key in arguments} == arguments


def test_what_inference_leaves_in_the_caches_serves_training() -> None:
    frequencies = np.arange(24) * 15e3 + 123.0
    with torch.inference_mode():
        draw(Tdl("A", 77, 55), 1, SLOT_TIMES, frequencies)
    generators = [np.random.default_rng(0)]
    h = Tdl("A", 77, 55).response(generators, 1, 1, SLOT_TIMES, frequencies)
    x = torch.ones_like(h, requires_grad=True)
    (h * x).abs().square().sum().backward()
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"profile": "F", "delay_spread_ns": 1, "max_doppler_hz": 0},
            r"profile: got 'F'; allowed: A, B, C, D, E, TDLA30",
        ),
        ({"profile": "tdla-30", "max_doppler_hz": 0}, r"profile: got 'tdla-30'; .*; did you mean 'TDLA30'\?"),
        ({"profile": 3, "max_doppler_hz": 0}, r"profile: got 3; allowed: A, B"),
        ({"profile": "A", "max_doppler_hz": 0}, r"delay_spread_ns: got None; .* which profile 'A' needs"),
        (
            {"profile": "TDLA30", "delay_spread_ns": 30, "max_doppler_hz": 0},
            r"delay_spread_ns: got 30; .* fixed delays",
        ),
        ({"profile": "A", "delay_spread_ns": -1, "max_doppler_hz": 0}, r"delay_spread_ns: got -1; allowed: a finite"),
        (
            {"profile": "A", "delay_spread_ns": "30", "max_doppler_hz": 0},
            r"delay_spread_ns: got '30'; allowed: a finite",
        ),
        (
            {"profile": "TDLA30", "max_doppler_hz": float("nan")},
            r"max_doppler_hz: got nan; allowed: a finite number from 0",
        ),
        ({"profile": "TDLA30", "max_doppler_hz": True}, r"max_doppler_hz: got True; allowed: a finite number from 0"),
        ({"profile": "TDLA30"}, r"max_doppler_hz: got None; allowed: .* speed_mps"),
        ({"profile": "TDLA30", "speed_mps": 3}, r"carrier_frequency_hz: got None; allowed: .* with speed_mps"),
        ({"profile": "TDLA30", "carrier_frequency_hz": 1e9}, r"speed_mps: got None; allowed: .* with carrier"),
        ({"profile": "TDLA30", "max_doppler_hz": 1, "speed_mps": 3}, r"max_doppler_hz: got 1; .* not both"),
        ({"profile": "TDLA30", "speed_mps": -3, "carrier_frequency_hz": 1e9}, r"speed_mps: got -3; allowed: a finite"),
        (
            {"profile": "D", "delay_spread_ns": 9, "max_doppler_hz": 0, "los_phases": "comon"},
            r"did you mean 'common'\?",
        ),
    ],
)
def test_bad_options_are_refused_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        Tdl(**options)
    assert "\n" not in str(error.value)
