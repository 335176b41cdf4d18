"""Phase noise against its spectra and variances, and carrier frequency offset."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad

from channels.impairments import CarrierFrequencyOffset, PhaseNoise, PoleZeroPhaseNoise, WienerPhaseNoise
from channels.impairments.oscillators import OSCILLATORS
from channels.impairments.phase_noise import SpectralPhaseNoise

RATE_HZ = 122.88e6


def generators(num_drops: int) -> list[np.random.Generator]:
    return [np.random.default_rng([41, drop]) for drop in range(num_drops)]


def ones(num_drops: int, num_antennas: int, num_samples: int) -> torch.Tensor:
    return torch.ones(num_drops, num_antennas, num_samples, dtype=torch.complex128)


def integral(noise: SpectralPhaseNoise, low_hz: float, high_hz: float) -> float:
    """One side of the spectrum, integrated by someone else over the logarithm of the frequency."""
    edges = np.geomspace(low_hz, high_hz, 40)
    total = 0.0
    for low, high in zip(np.log(edges[:-1]), np.log(edges[1:]), strict=True):
        total += quad(lambda u: float(noise.spectrum(np.exp(u))) * math.exp(u), low, high, epsrel=1e-4)[0]
    return total


@pytest.mark.parametrize(
    ("oscillator", "carrier_hz", "offset_hz", "level_dbc"),
    [
        # level by hand: psd0 + 10 log10 of the factors
        ("r1-163984-a", 30e9, 0.0, -79.4),
        ("r1-163984-a", 60e9, 0.0, -79.4 + 20 * math.log10(2)),
        ("r1-163984-b", 60e9, 0.005e6, -70.0 - 10 * math.log10(2) + 10 * math.log10(1.0625)),
        ("tr38803-30ghz", 29.55e9, 0.0, 32.0),
        ("tr38803-30ghz", 29.55e9, 1e6, -99.39),
        ("tr38803-30ghz", 2.955e9, 1e6, -119.39),
        ("tr38803-loop-ue", 30e9, 100e3, -83.05),
    ],
)
def test_spectra_have_their_levels(oscillator: str, carrier_hz: float, offset_hz: float, level_dbc: float) -> None:
    level = 10 * math.log10(OSCILLATORS[oscillator].at(carrier_hz)(np.array([offset_hz])).item())
    assert level == pytest.approx(level_dbc, abs=0.01)


@pytest.mark.parametrize("oscillator", OSCILLATORS)
@pytest.mark.parametrize("rate_hz", [30.72e6, 491.52e6])
def test_spectrum_of_the_process_per_decade(oscillator: str, rate_hz: float) -> None:
    noise = PhaseNoise(30e9, oscillator, min_frequency_hz=10e3)
    num_samples, num_drops = 30720, 60
    phase = noise.phase(generators(num_drops), 1, num_samples, rate_hz)[:, 0].numpy()
    # the process is periodic: a window over twice the waveform would see lines; over the waveform it sees leakage of a
    # steep spectrum, which the Blackman-Harris window keeps away from the decades looked at
    window = np.blackman(num_samples)
    spectrum = np.abs(np.fft.rfft(phase * window)) ** 2 / (window**2).sum() / rate_hz
    frequencies = np.fft.rfftfreq(num_samples, 1 / rate_hz)
    edges = [edge for edge in (1e5, 1e6, 1e7, 1e8) if 8 * rate_hz / num_samples < edge < 0.45 * rate_hz]
    for low, high in zip(edges, [*edges[1:], 0.45 * rate_hz], strict=True):
        inside = (frequencies >= low) & (frequencies < high)
        expected = noise.spectrum(frequencies[inside])
        # mean of ratios to the model: every line has one, however steep the spectrum is
        ratio = (spectrum[:, inside] / expected).mean()
        lines = inside.sum() * num_drops
        # exponential lines of which the window joins about two
        assert abs(10 * math.log10(ratio)) < 10 * math.log10(1 + 5 * math.sqrt(2 / lines)) + 0.15, (low, ratio)


@pytest.mark.parametrize("oscillator", ["tr38803-30ghz", "tr38803-70ghz", "r1-163984-b"])
def test_variance_is_the_integral_of_the_spectrum(oscillator: str) -> None:
    noise = PhaseNoise(28e9, oscillator)
    num_drops, num_samples, rate_hz = 400, 4096, 15.36e6
    phase = noise.phase(generators(num_drops), 1, num_samples, rate_hz)[:, 0]
    expected = 2 * integral(noise, 1e3, rate_hz / 2)
    # one number per drop; a drop's samples hang together
    middle = phase[:, num_samples // 2].numpy()
    low, high = stats.chi2(num_drops).ppf([5e-7, 1 - 5e-7]) / num_drops
    assert low < (middle**2).mean() / expected < high


def test_common_phase_error_and_the_rest_are_what_the_spectrum_says() -> None:
    noise = PhaseNoise(30e9, "r1-163984-a", min_frequency_hz=10e3)
    fft_size, num_drops = 1024, 600
    rate_hz = fft_size * 120e3
    phase = noise.phase(generators(num_drops), 1, fft_size, rate_hz)[:, 0].numpy()
    common = phase.mean(1)
    rest = phase.var(1).mean()
    # mean over T: the spectrum times sinc^2(f T); by any other sum than the one that makes the process
    frequencies = np.geomspace(10e3, rate_hz / 2, 200_000)
    psd = noise.spectrum(frequencies)
    expected_common = 2 * np.trapezoid(psd * np.sinc(frequencies / 120e3) ** 2, frequencies)
    expected_rest = 2 * np.trapezoid(psd * (1 - np.sinc(frequencies / 120e3) ** 2), frequencies)
    low, high = stats.chi2(num_drops).ppf([5e-7, 1 - 5e-7]) / num_drops
    assert low < (common**2).mean() / expected_common < high
    # the rest sums up many lines of a drop and spreads less than the common part
    assert low < rest / expected_rest < high


def test_process_does_not_depend_on_the_batch_and_antennas_share_an_oscillator() -> None:
    together = PhaseNoise(30e9)(ones(3, 2, 500), RATE_HZ, generators(3))
    alone = PhaseNoise(30e9)(ones(1, 2, 500), RATE_HZ, generators(3)[2:])
    assert torch.equal(together[2:], alone)
    assert torch.equal(together[:, 0], together[:, 1])
    own = PhaseNoise(30e9, per_antenna=True)(ones(1, 2, 500), RATE_HZ, generators(1))
    assert not torch.allclose(own[:, 0], own[:, 1])
    np.testing.assert_allclose(own.abs(), 1, rtol=1e-12)


def test_own_poles_and_zeros_make_the_same_process() -> None:
    named = PhaseNoise(30e9, "r1-163984-a")
    own = PoleZeroPhaseNoise(
        -79.4,
        poles=[(0.1e6, 2.0), (0.2e6, 2.0), (8e6, 2.0)],
        zeros=[(1.8e6, 2.0), (2.2e6, 2.0), (40e6, 2.0)],
    )
    args = (generators(1), 1, 300, RATE_HZ)
    again = (generators(1), 1, 300, RATE_HZ)
    np.testing.assert_allclose(named.phase(*args), own.phase(*again), rtol=1e-9, atol=1e-15)


def test_wiener_variance_grows_with_time() -> None:
    linewidth_hz, num_drops, num_samples = 2e3, 4000, 64
    turned = WienerPhaseNoise(linewidth_hz)(ones(num_drops, 1, num_samples), RATE_HZ, generators(num_drops))
    phase = turned.angle()[:, 0].numpy()
    assert (phase[:, 0] == 0).all()
    low, high = stats.chi2(num_drops).ppf([5e-7, 1 - 5e-7]) / num_drops
    for sample in (1, 7, 63):
        assert low < (phase[:, sample] ** 2).mean() / (2 * math.pi * linewidth_hz * sample / RATE_HZ) < high
    increments = np.diff(phase, axis=1)
    assert abs(np.corrcoef(increments[:, 5], increments[:, 6])[0, 1]) < 5 / math.sqrt(num_drops)
    same = WienerPhaseNoise(variance_rad2_per_s=2 * math.pi * linewidth_hz)
    assert torch.equal(turned[:5], same(ones(5, 1, num_samples), RATE_HZ, generators(5)))


def test_frequency_offset_rotates() -> None:
    num_samples = 100_000
    turned = CarrierFrequencyOffset(12_345.0)(ones(2, 2, num_samples), RATE_HZ, generators(2))
    expected = np.exp(2j * np.pi * 12_345.0 * np.arange(num_samples) / RATE_HZ)
    np.testing.assert_allclose(turned, np.broadcast_to(expected, turned.shape), atol=1e-9)
    by_ppm = CarrierFrequencyOffset(offset_ppm=0.1, carrier_hz=3.5e9)(ones(1, 1, 10), RATE_HZ, generators(1))
    by_hz = CarrierFrequencyOffset(350.0)(ones(1, 1, 10), RATE_HZ, generators(1))
    np.testing.assert_allclose(by_ppm, by_hz, atol=1e-15)


def test_uniform_frequency_offset_spreads_over_its_range() -> None:
    num_drops = 2000
    turned = CarrierFrequencyOffset(1e6, spread="uniform")(ones(num_drops, 1, 2), RATE_HZ, generators(num_drops))
    offsets = turned[:, 0, 1].angle().numpy() * RATE_HZ / (2 * np.pi)
    assert stats.kstest(offsets, stats.uniform(-1e6, 2e6).cdf).pvalue > 1e-6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: PhaseNoise(30e9, "tr38803-28ghz"),
            r"^oscillator: got 'tr38803-28ghz'; allowed: .*did you mean 'tr38803-",
        ),
        (lambda: PhaseNoise(0.0), r"^carrier_hz: got 0.0; allowed: a finite number above 0$"),
        (lambda: PoleZeroPhaseNoise(-80.0, poles=[(0.0, 2.0)]), r"^poles: got \(0.0, 2.0\); allowed: pairs of a freq"),
        (
            lambda: WienerPhaseNoise(),
            r"^linewidth_hz, variance_rad2_per_s: got \(None, None\); allowed: one of the two$",
        ),
        (lambda: CarrierFrequencyOffset(), r"^offset_hz, offset_ppm: got \(None, None\); allowed: one of the two$"),
        (
            lambda: CarrierFrequencyOffset(offset_ppm=1.0),
            r"^carrier_hz: got None; allowed: the carrier with offset_ppm",
        ),
        (lambda: CarrierFrequencyOffset(1.0, spread="unifrm"), r"^spread: got 'unifrm'; .*did you mean 'uniform'\?$"),  # type: ignore[arg-type]
    ],
)
def test_options_that_make_no_sense_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


def test_lowest_frequency_must_fit_the_sample_rate() -> None:
    with pytest.raises(ValueError, match=r"^min_frequency_hz: got 1000.0; allowed: below half the sample rate 1500$"):
        PhaseNoise(30e9)(ones(1, 1, 10), 1500.0, generators(1))
