"""Phase noise of oscillators: processes with a given spectrum, and Wiener's."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy.fft
import torch
from torch import Tensor

from channels.errors import bad_value
from channels.impairments.interface import Impairment, rotated
from channels.impairments.options import one_of, positive
from channels.impairments.oscillators import OSCILLATORS, PoleZeroSpectrum, Spectrum, band_powers
from channels.request import normals


class SpectralPhaseNoise(Impairment):
    """Rotation by a Gaussian phase process with the spectrum of an oscillator.

    The process is periodic and made in the frequency domain. Its period is at least twice the waveform, so that nothing
    of the waveform's two ends is correlated by it, and at least 1 / min_frequency_hz. Every line has the power of the
    spectrum over its band: the phase variance is the integral of the two-sided spectrum from min_frequency_hz to half
    the sample rate, whatever the number of samples. Slower changes are left out, as those that a receiver's carrier
    recovery has taken away before the slot.

    per_antenna: an oscillator of its own for every antenna instead of one for all.

    Draws 2 K normals per oscillator, one oscillator after the other, K lines of (cosine, -sine) by rising frequency;
    K = (L - 1) // 2 of the period's L samples, the next fast FFT length from max(2 num_samples, sample rate / minimum).
    """

    def __init__(self, spectrum: Spectrum, min_frequency_hz: float, per_antenna: bool) -> None:
        self.spectrum = spectrum
        self.min_frequency_hz = positive("min_frequency_hz", min_frequency_hz)
        self.per_antenna = per_antenna

    def check(self, sample_rate_hz: float) -> None:
        """`ValueError` unless something of the spectrum is within half the sample rate."""
        if 2 * self.min_frequency_hz >= positive("sample_rate_hz", sample_rate_hz):
            raise bad_value("min_frequency_hz", self.min_frequency_hz, f"below half the sample rate {sample_rate_hz:g}")

    def phase(
        self,
        generators: Sequence[np.random.Generator],
        num_oscillators: int,
        num_samples: int,
        sample_rate_hz: float,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """The process in radians, float64 [batch, num_oscillators, num_samples]."""
        self.check(sample_rate_hz)
        period = scipy.fft.next_fast_len(
            max(2 * num_samples, 3, math.ceil(sample_rate_hz / self.min_frequency_hz)), real=True
        )
        num_lines = (period - 1) // 2
        edges = (np.arange(num_lines + 1) + 0.5) * sample_rate_hz / period
        powers = band_powers(self.spectrum, edges.clip(self.min_frequency_hz))
        amplitudes = torch.from_numpy(period * np.sqrt(powers / 2)).to(device)
        numbers = normals(generators, num_oscillators * num_lines * 2).view(np.complex64)
        lines = torch.from_numpy(numbers).to(device).view(len(numbers), num_oscillators, num_lines)
        spectrum = torch.nn.functional.pad(lines * amplitudes, (1, period // 2 - num_lines))
        # one by one: transforms of many rows at once may round a row differently than by itself
        rows = [torch.fft.irfft(row, n=period)[:num_samples] for row in spectrum.flatten(0, 1)]
        return torch.stack(rows).view(len(numbers), num_oscillators, num_samples)

    def _impair(self, waveform: Tensor, sample_rate_hz: float, generators: Sequence[np.random.Generator]) -> Tensor:
        _, num_antennas, num_samples = waveform.shape
        num_oscillators = num_antennas if self.per_antenna else 1
        phase = self.phase(generators, num_oscillators, num_samples, sample_rate_hz, waveform.device)
        return rotated(waveform, phase)


class PhaseNoise(SpectralPhaseNoise):
    """Phase noise of the oscillators of TR 38.803 (30, 45 and 70 GHz, phase-locked loop) and R1-163984.

    oscillator: a name of `channels.impairments.oscillators.OSCILLATORS`, scaled to carrier_hz by
    20 log10(carrier / reference), also down to carriers below 6 GHz.
    """

    name = "phase-noise"

    def __init__(
        self,
        carrier_hz: float,
        oscillator: str = "tr38803-30ghz",
        min_frequency_hz: float = 1e3,
        per_antenna: bool = False,
    ) -> None:
        self.carrier_hz = positive("carrier_hz", carrier_hz)
        self.oscillator = one_of("oscillator", oscillator, OSCILLATORS)
        super().__init__(OSCILLATORS[oscillator].at(carrier_hz), min_frequency_hz, per_antenna)


class PoleZeroPhaseNoise(SpectralPhaseNoise):
    """Phase noise with poles and zeros of one's own, in the form of TR 38.803 §6.1.10.

    psd0_dbc_hz: at offset 0 of the carrier itself; zeros, poles: pairs of frequency in Hz and exponent.
    """

    name = "pole-zero-phase-noise"

    def __init__(
        self,
        psd0_dbc_hz: float,
        poles: Sequence[tuple[float, float]],
        zeros: Sequence[tuple[float, float]] = (),
        min_frequency_hz: float = 1e3,
        per_antenna: bool = False,
    ) -> None:
        self.psd0_dbc_hz, self.poles, self.zeros = psd0_dbc_hz, poles, zeros
        model = PoleZeroSpectrum(1.0, psd0_dbc_hz, _pairs(zeros), _pairs(poles))
        super().__init__(model.at(1.0), min_frequency_hz, per_antenna)


def _pairs(given: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    return tuple((frequency, exponent) for frequency, exponent in given)


class WienerPhaseNoise(Impairment):
    """Phase noise of a free-running oscillator: a random walk of the phase, a Lorentzian line.

    linewidth_hz: full width at half maximum of the line; the phase's variance grows by 2 pi linewidth_hz per second.
    variance_rad2_per_s: that growth itself; exactly one of the two. The walk starts from phase 0 at sample 0.
    per_antenna: an oscillator of its own for every antenna instead of one for all.

    Draws num_samples - 1 normals per oscillator, the increments of one oscillator after the other.
    """

    name = "wiener-phase-noise"

    def __init__(
        self,
        linewidth_hz: float | None = None,
        variance_rad2_per_s: float | None = None,
        per_antenna: bool = False,
    ) -> None:
        if (linewidth_hz is None) == (variance_rad2_per_s is None):
            given = (linewidth_hz, variance_rad2_per_s)
            raise bad_value("linewidth_hz, variance_rad2_per_s", given, "one of the two")
        self.linewidth_hz = None if linewidth_hz is None else positive("linewidth_hz", linewidth_hz)
        self.variance_rad2_per_s = (
            None if variance_rad2_per_s is None else positive("variance_rad2_per_s", variance_rad2_per_s)
        )
        self.per_antenna = per_antenna

    @property
    def growth_rad2_per_s(self) -> float:
        """Growth of the variance of the phase."""
        return self.variance_rad2_per_s or 2 * math.pi * (self.linewidth_hz or 0.0)

    def _impair(self, waveform: Tensor, sample_rate_hz: float, generators: Sequence[np.random.Generator]) -> Tensor:
        batch, num_antennas, num_samples = waveform.shape
        num_oscillators = num_antennas if self.per_antenna else 1
        numbers = torch.from_numpy(normals(generators, num_oscillators * (num_samples - 1))).to(waveform.device)
        steps = numbers.double().view(batch, num_oscillators, num_samples - 1)
        walk = steps.cumsum(-1) * math.sqrt(self.growth_rad2_per_s / sample_rate_hz)
        return rotated(waveform, torch.nn.functional.pad(walk, (1, 0)))
