"""Power amplifiers against their formulas, and what they do to an OFDM signal."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from channels.impairments import MemoryPolynomial, NrPowerAmplifier, Rapp, Saleh
from channels.impairments.memory_polynomial import NR_POWER_AMPLIFIERS
from channels.impairments.metrics import evm, leakage_db
from channels.impairments.power_amplifier import PowerAmplifier

RATE_HZ = 30.72e6


def generators(num_drops: int) -> list[np.random.Generator]:
    return [np.random.default_rng([31, drop]) for drop in range(num_drops)]


def at_amplitudes(amplifier: PowerAmplifier, amplitudes: list[float]) -> Tensor:
    """Complex output for real inputs in units of saturation (0 dB back-off from power 1), complex128."""
    waveform = torch.tensor(amplitudes, dtype=torch.complex128).view(-1, 1, 1)
    return amplifier(waveform, RATE_HZ, generators(len(waveform))).flatten()


def ofdm(num_drops: int, num_samples: int = 16384, active: float = 0.2) -> Tensor:
    """A Gaussian signal of unit power in the middle of the band, complex128 [num_drops, 1, num_samples]."""
    numbers = np.random.default_rng(5).standard_normal((num_drops, 1, num_samples, 2)).view(np.complex128)[..., 0]
    numbers[..., np.abs(np.fft.fftfreq(num_samples)) > active / 2] = 0
    samples = np.fft.ifft(numbers)
    return torch.from_numpy(samples / np.sqrt(np.mean(np.abs(samples) ** 2, axis=-1, keepdims=True)))


@pytest.mark.parametrize("smoothness", [0.8, 1.0, 2.0, 3.0, 10.0])
def test_rapp_compresses_as_its_formula(smoothness: float) -> None:
    rapp = Rapp(0.0, smoothness, reference_power=1.0)
    amplitudes = [1e-4, 0.1, 0.5, 1.0, 2.0, 1000.0]
    expected = [r / (1 + r ** (2 * smoothness)) ** (1 / (2 * smoothness)) for r in amplitudes]
    np.testing.assert_allclose(at_amplitudes(rapp, amplitudes).numpy(), expected, rtol=1e-9)
    assert abs(at_amplitudes(rapp, [1.0]).item()) == pytest.approx(2 ** (-1 / (2 * smoothness)))


def test_rapp_does_not_overflow_on_peaks_in_single_precision() -> None:
    waveform = torch.full((1, 1, 4), 1e6, dtype=torch.complex64)
    limited = Rapp(0.0, 20.0, reference_power=1.0)(waveform, RATE_HZ, generators(1))
    np.testing.assert_allclose(limited.numpy(), 1, rtol=1e-5)


def test_phase_shift_of_the_modified_rapp_model() -> None:
    rapp = Rapp(0.0, am_pm_deg=30.0, am_pm_knee=0.8, am_pm_exponent=4.0, reference_power=1.0)
    for r in (0.1, 0.8, 1.5):
        degrees = math.degrees(at_amplitudes(rapp, [r]).angle().item())
        assert degrees == pytest.approx(30 * r**4 / (1 + (r / 0.8) ** 4), rel=1e-9)


def test_saleh_has_its_known_maxima() -> None:
    saleh = Saleh(0.0, reference_power=1.0)
    amplitudes = np.linspace(0.01, 4, 4000)
    out = at_amplitudes(saleh, list(amplitudes)).numpy()
    # maximum at saturation, 6 dB under the line of small signals, where the phase shift is c / (b + d)
    assert amplitudes[np.abs(out).argmax()] == pytest.approx(1, abs=2e-3)
    assert np.abs(out).max() == pytest.approx(0.5, rel=1e-6)
    assert at_amplitudes(saleh, [1.0]).angle().item() == pytest.approx(4.0033 / (1.1517 + 9.1040), rel=1e-6)
    assert at_amplitudes(saleh, [1e4]).angle().item() == pytest.approx(4.0033 / 9.1040, rel=1e-6)
    # in Saleh's own units: normalised output a r / (1 + b r^2)
    r = 0.6
    own = 2.1587 * r / (1 + 1.1517 * r**2)
    ours = abs(at_amplitudes(saleh, [r * math.sqrt(1.1517)]).item()) / math.sqrt(1.1517) * 2.1587
    assert ours == pytest.approx(own, rel=1e-6)


@pytest.mark.parametrize("model", NR_POWER_AMPLIFIERS)
def test_nr_amplifiers_are_their_polynomials(model: str) -> None:
    amplifier = NrPowerAmplifier(0.0, model, reference_power=1.0)
    coefficients = NR_POWER_AMPLIFIERS[model]
    assert abs(coefficients[0]) == pytest.approx(1, abs=1e-5)
    r = np.array([0.05, 0.3, 0.7, 1.0])
    expected = sum(c * r ** (2 * k + 1) for k, c in enumerate(coefficients)) / coefficients[0]
    np.testing.assert_allclose(at_amplitudes(amplifier, list(r)).numpy(), expected, rtol=1e-6)
    # beyond the end of its validity it stays there
    np.testing.assert_allclose(at_amplitudes(amplifier, [5.0]).numpy(), expected[-1], rtol=1e-6)


def test_memory_polynomial_sums_over_delays_and_orders() -> None:
    coefficients = [[1.0, -0.1 + 0.05j], [0.05j, (0.02, -0.01)], [0.0, -0.03]]
    amplifier = MemoryPolynomial(6.0, coefficients, reference_power=1.0)
    x = np.random.default_rng(3).uniform(-1, 1, (1, 2, 50, 2)).view(np.complex128)[..., 0]
    drive = x / 10 ** (6 / 20)
    assert np.abs(drive).max() < 1
    expected = np.zeros_like(drive)
    for delay, row in enumerate([[1.0, -0.1 + 0.05j], [0.05j, 0.02 - 0.01j], [0.0, -0.03]]):
        for k, c in enumerate(row):
            late = np.zeros_like(drive)
            late[..., delay:] = drive[..., : 50 - delay]
            expected += c * late * np.abs(late) ** (2 * k)
    out = amplifier(torch.from_numpy(x), RATE_HZ, generators(1)).numpy()
    np.testing.assert_allclose(out, expected * 10 ** (6 / 20), atol=1e-12)


def test_back_off_counts_from_the_mean_power_of_each_drop() -> None:
    signal = ofdm(2)
    loud = signal * torch.tensor([1.0, 7.0]).view(2, 1, 1)
    out = Rapp(8.0)(loud, RATE_HZ, generators(2))
    np.testing.assert_allclose(out[1], 7 * Rapp(8.0)(signal, RATE_HZ, generators(2))[1], atol=1e-9)
    # of a saturation that stands still the louder signal meets more
    fixed = Rapp(8.0, reference_power=1.0)(loud, RATE_HZ, generators(2))
    np.testing.assert_allclose(fixed[0], out[0], atol=1e-9)
    assert evm(fixed, loud)[1] > 3 * evm(fixed, loud)[0]


def test_restored_power_is_the_input_power() -> None:
    signal = ofdm(2)
    for amplifier in (Rapp(0.0, restore_power=True), Saleh(0.0, restore_power=True)):
        out = amplifier(signal, RATE_HZ, generators(2))
        np.testing.assert_allclose(out.abs().square().mean(-1), signal.abs().square().mean(-1), rtol=1e-9)


def test_soft_limiter_distorts_a_gaussian_signal_as_bussgang_says() -> None:
    # a limiter at amplitude A of a complex Gaussian of power 1 (H. Ochiai, H. Imai, IEEE Trans. Commun. 50(1), 2002):
    # output power 1 - exp(-A^2), linear gain 1 - exp(-A^2) + sqrt(pi) A erfc(A) / 2
    back_off_db = 3.0
    a = 10 ** (back_off_db / 20)
    gain = 1 - math.exp(-(a**2)) + math.sqrt(math.pi) * a * math.erfc(a) / 2
    expected = math.sqrt((1 - math.exp(-(a**2))) / gain**2 - 1)
    signal = ofdm(8, 65536, active=1.0)
    measured = evm(Rapp(back_off_db, 60.0, reference_power=1.0)(signal, RATE_HZ, generators(8)), signal)
    # Rapp at smoothness 60 is a limiter but for 1 % of its amplitudes; 500,000 samples leave 0.5 % of spread
    assert measured.square().mean().sqrt().item() == pytest.approx(expected, rel=0.02)


def test_leakage_falls_with_the_back_off_and_is_nothing_without_an_amplifier() -> None:
    signal = ofdm(1, 2**17)
    bandwidth = 0.2 * RATE_HZ
    clean = min(value.min() for value in leakage_db(signal, RATE_HZ, bandwidth, 1.1 * bandwidth))
    levels = []
    for back_off in (3.0, 6.0, 9.0, 12.0):
        out = Rapp(back_off)(signal, RATE_HZ, generators(1))
        below, above = leakage_db(out, RATE_HZ, bandwidth, 1.1 * bandwidth)
        assert below.shape == (1, 1)
        assert abs(below - above) < 1.0
        levels.append(min(below.item(), above.item()))
    assert clean > 80
    assert levels == sorted(levels)
    assert levels[0] < 30 < 45 < levels[-1] < clean


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rapp(math.nan), r"^input_back_off_db: got nan; allowed: a finite number$"),
        (lambda: Rapp(3.0, 0.0), r"^smoothness: got 0.0; allowed: a finite number above 0$"),
        (lambda: Saleh(3.0, phase_compression=-1.0), r"^phase_compression: got -1.0; allowed: a finite number from 0$"),
        (lambda: Saleh(3.0, reference_power=-1.0), r"^reference_power: got -1.0; allowed: a finite number above 0$"),
        (lambda: NrPowerAmplifier(3.0, "gan-2ghz"), r"^model: got 'gan-2ghz'; .*did you mean 'gan-28?.1?ghz'\?$"),
        (lambda: MemoryPolynomial(3.0, [[]]), r"^coefficients: got \[\[\]\]; allowed: finite numbers, at least one"),
        (
            lambda: MemoryPolynomial(3.0, [[complex(math.inf)]]),
            r"^coefficients: got \[\[\(inf\+0j\)\]\]; allowed: finite",
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
