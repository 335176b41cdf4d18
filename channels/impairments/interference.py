"""Signals of others: narrow-band jammers, other users' OFDM, and noise in a band."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from scipy.signal import czt
from torch import Tensor

from channels.errors import bad_value, non_negative
from channels.impairments.draws import complex_normals, uniforms
from channels.impairments.interface import Impairment, mean_power
from channels.impairments.options import finite, positive, whole


class Interference(Impairment):
    """One or several signals added to the waveform, each from one direction.

    Every source reaches the antennas with a vector of independent CN(0, 1) gains, constant over the waveform: a flat
    Rayleigh channel, so that it can be nulled by combining antennas. level_db is the power of a source, averaged over
    channels, per antenna: over noise_power where that is given (INR; the noise's power per sample in the waveform's
    units), else over the mean power of the drop's waveform as it comes, which after a receiver's noise includes that.
    start, stop: shares of the waveform's duration between which the sources are on, as those of a cell whose slots are
    not this one's; level_db is their level while they are.

    Draws per source, one source after the other: num_antennas gains (real, imaginary part), then what the source says.
    """

    def __init__(
        self, level_db: float, noise_power: float | None, num_sources: int, start: float = 0.0, stop: float = 1.0
    ) -> None:
        self.level_db = finite("level_db", level_db)
        self.noise_power = None if noise_power is None else positive("noise_power", noise_power)
        self.num_sources = whole("num_sources", num_sources, 1, 1000)
        self.start, self.stop = finite("start", start), finite("stop", stop)
        if not 0 <= start < 1:
            raise bad_value("start", start, "0 or more, below 1")
        if not start < stop <= 1:
            raise bad_value("stop", stop, f"above start, which is {start:g}, and at most 1")

    def _impair(self, waveform: Tensor, sample_rate_hz: float, generators: Sequence[np.random.Generator]) -> Tensor:
        _, num_antennas, num_samples = waveform.shape
        reference = mean_power(waveform)
        if self.noise_power is not None:
            reference = torch.full_like(reference, self.noise_power)
        amplitude = (reference * 10 ** (self.level_db / 10)).sqrt()
        for _ in range(self.num_sources):
            gains = torch.from_numpy(complex_normals(generators, num_antennas)).to(waveform.device)
            signal = self._signal(generators, num_samples, sample_rate_hz)
            if (self.start, self.stop) != (0.0, 1.0):
                signal[:, : round(self.start * num_samples)] = 0
                signal[:, round(self.stop * num_samples) :] = 0
            received = gains[..., None] * torch.from_numpy(signal).to(waveform.device, torch.complex64)[:, None]
            waveform = waveform + received.to(waveform.dtype) * amplitude
        return waveform

    @abstractmethod
    def _signal(self, generators: Sequence[np.random.Generator], num_samples: int, sample_rate_hz: float) -> np.ndarray:
        """Signals of unit mean power, complex [batch, num_samples]."""


class Jammer(Interference):
    """Narrow-band jammer: a tone or noise in a narrow band, at one place or anywhere in a range.

    frequency_hz: middle of the jammer from the carrier; with max_frequency_hz uniform between the two in every drop.
    bandwidth_hz: 0 for a tone.

    Draws of each source after its gains: its place in one uniform number, if it has a range; then the phase of a tone
    in one uniform number, or the noise as `GaussianInterference` does.
    """

    name = "jammer"

    def __init__(
        self,
        level_db: float,
        frequency_hz: float,
        max_frequency_hz: float | None = None,
        bandwidth_hz: float = 0.0,
        noise_power: float | None = None,
        num_sources: int = 1,
        start: float = 0.0,
        stop: float = 1.0,
    ) -> None:
        super().__init__(level_db, noise_power, num_sources, start, stop)
        self.frequency_hz = finite("frequency_hz", frequency_hz)
        self.max_frequency_hz = None if max_frequency_hz is None else finite("max_frequency_hz", max_frequency_hz)
        if self.max_frequency_hz is not None and self.max_frequency_hz < self.frequency_hz:
            raise bad_value("max_frequency_hz", max_frequency_hz, f"from frequency_hz, {frequency_hz:g}")
        self.bandwidth_hz = non_negative("bandwidth_hz", bandwidth_hz)

    def check(self, sample_rate_hz: float) -> None:
        """`ValueError` unless the band of the interference fits the sample rate."""
        _check_band(self.frequency_hz, self.bandwidth_hz, sample_rate_hz)
        if self.max_frequency_hz is not None:
            _check_band(self.max_frequency_hz, self.bandwidth_hz, sample_rate_hz)

    def _signal(self, generators: Sequence[np.random.Generator], num_samples: int, sample_rate_hz: float) -> np.ndarray:
        centres = np.full((len(generators), 1), self.frequency_hz)
        if self.max_frequency_hz is not None:
            centres += (self.max_frequency_hz - self.frequency_hz) * uniforms(generators, 1)
        if self.bandwidth_hz == 0:
            base: np.ndarray = np.exp(2j * np.pi * uniforms(generators, 1))
        else:
            base = _noise_in_band(generators, num_samples, self.bandwidth_hz / sample_rate_hz)
        return base * np.exp(2j * np.pi * (centres / sample_rate_hz * np.arange(num_samples) % 1))


class GaussianInterference(Interference):
    """Interference as Gaussian noise in a band, from one or several directions.

    centre_hz, bandwidth_hz: the band, from the carrier; without a bandwidth the whole sample rate.

    Draws of each source after its gains: complex normals, one per line of a spectrum of 2 num_samples lines that is in
    the band, at least one; without a bandwidth one per sample.
    """

    name = "gaussian-interference"

    def __init__(
        self,
        level_db: float,
        bandwidth_hz: float | None = None,
        centre_hz: float = 0.0,
        noise_power: float | None = None,
        num_sources: int = 1,
        start: float = 0.0,
        stop: float = 1.0,
    ) -> None:
        super().__init__(level_db, noise_power, num_sources, start, stop)
        self.bandwidth_hz = None if bandwidth_hz is None else positive("bandwidth_hz", bandwidth_hz)
        self.centre_hz = finite("centre_hz", centre_hz)

    def check(self, sample_rate_hz: float) -> None:
        """`ValueError` unless the band of the interference fits the sample rate."""
        if self.bandwidth_hz is not None:
            _check_band(self.centre_hz, self.bandwidth_hz, sample_rate_hz)

    def _signal(self, generators: Sequence[np.random.Generator], num_samples: int, sample_rate_hz: float) -> np.ndarray:
        if self.bandwidth_hz is None:
            return complex_normals(generators, num_samples)
        base = _noise_in_band(generators, num_samples, self.bandwidth_hz / sample_rate_hz)
        return base * np.exp(2j * np.pi * (self.centre_hz / sample_rate_hz * np.arange(num_samples) % 1))


class OfdmInterference(Interference):
    """Interference of other users: their QPSK on OFDM with a cyclic prefix, in a timing of their own.

    subcarrier_spacing_hz, num_subcarriers: of each, around centre_hz, which is where a subcarrier of theirs is; the
    cyclic prefix is 9 / 128 of the rest of the symbol, as TS 38.211 §5.3.1 has it for most symbols. The time of the
    first symbol is uniform over a symbol, and no whole number of samples.

    Draws of each source after its gains: the timing in one uniform number, then the bits of all symbols that reach into
    the waveform, one integer 0 to 3 per subcarrier, symbol after symbol.
    """

    name = "ofdm-interference"

    def __init__(
        self,
        level_db: float,
        num_subcarriers: int,
        subcarrier_spacing_hz: float = 30e3,
        centre_hz: float = 0.0,
        noise_power: float | None = None,
        num_sources: int = 1,
        start: float = 0.0,
        stop: float = 1.0,
    ) -> None:
        super().__init__(level_db, noise_power, num_sources, start, stop)
        self.num_subcarriers = whole("num_subcarriers", num_subcarriers, 1, 100_000)
        self.subcarrier_spacing_hz = positive("subcarrier_spacing_hz", subcarrier_spacing_hz)
        self.centre_hz = finite("centre_hz", centre_hz)

    def check(self, sample_rate_hz: float) -> None:
        """`ValueError` unless the band of the interference fits the sample rate."""
        _check_band(self.centre_hz, self.num_subcarriers * self.subcarrier_spacing_hz, sample_rate_hz)

    def _signal(self, generators: Sequence[np.random.Generator], num_samples: int, sample_rate_hz: float) -> np.ndarray:
        spacing, count = self.subcarrier_spacing_hz, self.num_subcarriers
        useful_s = 1 / spacing
        prefix_s = useful_s * 9 / 128
        symbol_s = useful_s + prefix_s
        num_symbols = int(np.ceil(num_samples / sample_rate_hz / symbol_s)) + 1
        lowest_hz = self.centre_hz - count // 2 * spacing
        signal = np.empty((len(generators), num_samples), np.complex128)
        for row, generator in zip(signal, generators, strict=True):
            start_s = -generator.random() * symbol_s
            symbols = np.exp(0.5j * np.pi * generator.integers(4, size=(num_symbols, count)))
            times = np.arange(num_samples) / sample_rate_hz - start_s
            number = np.floor(times / symbol_s).astype(int)
            for symbol, data in enumerate(symbols):
                inside = np.flatnonzero(number == symbol)
                if inside.size:
                    since = times[inside[0]] - symbol * symbol_s - prefix_s
                    row[inside] = _tones(data, lowest_hz, spacing, since, inside.size, sample_rate_hz)
        return signal / np.sqrt(count)


def _tones(
    data: np.ndarray, lowest_hz: float, spacing_hz: float, start_s: float, count: int, rate_hz: float
) -> np.ndarray:
    """Sum of data[k] exp(2j pi (lowest + k spacing) (start + n / rate)) for n = 0 to count - 1, complex128 [count]."""
    turned = data * np.exp(2j * np.pi * (spacing_hz * start_s * np.arange(len(data)) % 1))
    band = czt(turned, m=count, w=np.exp(2j * np.pi * spacing_hz / rate_hz))
    return band * np.exp(2j * np.pi * (lowest_hz * (start_s + np.arange(count) / rate_hz) % 1))


def _noise_in_band(generators: Sequence[np.random.Generator], num_samples: int, fraction: float) -> np.ndarray:
    """Gaussian noise of unit power in this fraction of the sample rate around 0, complex128 [batch, num_samples]."""
    period = 2 * num_samples
    lines = max(1, round(period * fraction))
    spectrum = np.zeros((len(generators), period), np.complex128)
    spectrum[:, (np.arange(lines) - lines // 2) % period] = complex_normals(generators, lines)
    return np.fft.ifft(spectrum, axis=1)[:, :num_samples] * (period / np.sqrt(lines))


def _check_band(centre_hz: float, width_hz: float, sample_rate_hz: float) -> None:
    if abs(centre_hz) + width_hz / 2 > sample_rate_hz / 2:
        given = f"{width_hz:g} Hz around {centre_hz:g} Hz"
        raise bad_value("band of the interference", given, f"within the sample rate {sample_rate_hz:g} Hz")
