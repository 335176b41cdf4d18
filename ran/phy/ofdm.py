"""OFDM modulation with exact NR cyclic prefixes: a slot's grid to samples and back, in torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ran.errors import InputError, bad_value
from ran.phy.config import Carrier
from ran.phy.numerology import NUM_SYMBOLS_PER_EXTENDED_SLOT, NUM_SYMBOLS_PER_SLOT

#: Share of the FFT's subcarriers that may be used: the rest is the guard band in which delays are interpolated.
MAX_OCCUPANCY = 0.85
#: Cyclic prefixes are multiples of 1/128 of the useful part.
_FFT_STEP = 128
#: Attenuation in dB of the window for which `interpolation_reach` holds.
INTERPOLATION_DB = 110.0


def cyclic_prefixes(numerology: int, slot_number: int, fft_size: int, extended: bool = False) -> tuple[int, ...]:
    """Cyclic prefixes of a slot's symbols in samples, exact (TS 38.211 §5.3.1, Rel-18).

    144 kappa 2^-mu T_c, and 16 kappa T_c more in the first symbol of every half subframe; the useful part is
    2048 kappa 2^-mu T_c. Extended ones are all 512 kappa 2^-mu T_c. `fft_size`: a multiple of 128.
    """
    part = fft_size // _FFT_STEP
    if extended:
        return (32 * part,) * NUM_SYMBOLS_PER_EXTENDED_SLOT
    first = NUM_SYMBOLS_PER_SLOT * (slot_number % 2**numerology)
    half_subframe = 7 * 2**numerology
    symbols = range(first, first + NUM_SYMBOLS_PER_SLOT)
    return tuple(9 * part + (2**numerology * part if n % half_subframe == 0 else 0) for n in symbols)


def interpolation_reach(num_subcarriers: int, fft_size: int) -> int:
    """Samples to either side that a Kaiser-windowed sinc needs to delay this band by fractions of a sample.

    J. F. Kaiser's estimate of the length for `INTERPOLATION_DB`; the transition band is the guard band.
    """
    guard = 1 - num_subcarriers / fft_size
    return int(-(-(INTERPOLATION_DB - 7.95) / (14.36 * guard) // 2))


def default_fft_size(num_subcarriers: int) -> int:
    """Smallest power of two with a guard band wide enough: interpolating delays reaches over half a cyclic prefix."""
    size = _FFT_STEP
    while num_subcarriers > MAX_OCCUPANCY * size or 2 * interpolation_reach(num_subcarriers, size) > 9 * size // 128:
        size *= 2
    return size


@dataclass(frozen=True)
class Ofdm:
    """A slot's OFDM symbols in the time domain.

    Subcarrier k of K is at (k - K/2) times the subcarrier spacing from the carrier (TS 38.211 §5.3.1 with k0 = 0).
    Transforms are unitary: white noise of variance v per sample is noise of variance v per RE, and an antenna with unit
    power on all REs has the mean power K / fft_size.

    carrier_frequency_hz: f_0 of the phase compensation of §5.4. Every symbol is upconverted with the phase 0 at the
    start of its useful part; in the baseband of an oscillator that goes on, symbol l has the phase -2 pi f_0 t_l, where
    t_l counts from the start of the subframe. 0 leaves it out, as on both sides of a simulation, where it cancels.
    """

    numerology: int
    slot_number: int
    num_subcarriers: int
    fft_size: int
    extended: bool = False
    carrier_frequency_hz: float = 0.0

    @classmethod
    def build(
        cls,
        carrier: Carrier,
        fft_size: int | None = None,
        slot_number: int | None = None,
        carrier_frequency_hz: float = 0.0,
    ) -> Ofdm:
        """Of a carrier; `InputError` for an FFT that cannot carry it. slot_number: default the carrier's."""
        needed = carrier.num_subcarriers
        size = default_fft_size(needed) if fft_size is None else fft_size
        if size % _FFT_STEP or size <= 0:
            raise InputError(
                f"waveform.fft_size: got {size}; allowed: multiples of {_FFT_STEP}, where every cyclic prefix is a "
                "whole number of samples (TS 38.211 §5.3.1)"
            )
        if needed > MAX_OCCUPANCY * size:
            least = math.ceil(needed / MAX_OCCUPANCY / _FFT_STEP) * _FFT_STEP
            raise bad_value(
                "waveform.fft_size",
                size,
                f"{least} or more for {needed} subcarriers, whose guard band is then wide enough to interpolate delays",
            )
        return cls(
            carrier.numerology,
            carrier.slot_number if slot_number is None else slot_number,
            needed,
            size,
            carrier.cyclic_prefix == "extended",
            carrier_frequency_hz,
        )

    @property
    def num_symbols(self) -> int:
        """OFDM symbols of the slot, 14 or with the extended cyclic prefix 12."""
        return len(self.prefixes)

    @property
    def sample_rate_hz(self) -> float:
        return self.fft_size * 15e3 * 2**self.numerology

    @property
    def prefixes(self) -> tuple[int, ...]:
        """Cyclic prefixes in samples."""
        return cyclic_prefixes(self.numerology, self.slot_number, self.fft_size, self.extended)

    @property
    def starts(self) -> tuple[int, ...]:
        """First sample of each symbol's useful part."""
        prefixes = self.prefixes
        return tuple(sum(prefixes[: n + 1]) + n * self.fft_size for n in range(len(prefixes)))

    @property
    def num_samples(self) -> int:
        """Of the slot."""
        return sum(self.prefixes) + self.num_symbols * self.fft_size

    @property
    def samples_before(self) -> int:
        """Samples of the subframe before the slot."""
        slots_per_subframe = 2**self.numerology
        within = range(self.slot_number - self.slot_number % slots_per_subframe, self.slot_number)
        lengths = (cyclic_prefixes(self.numerology, slot, self.fft_size, self.extended) for slot in within)
        return sum(sum(prefixes) + len(prefixes) * self.fft_size for prefixes in lengths)

    def phases(self, device: torch.device | str = "cpu") -> Tensor:
        """Factor on every symbol that the compensation of §5.4 leaves in the baseband, complex64 [num_symbols]."""
        times = (torch.tensor(self.starts, dtype=torch.float64) + self.samples_before) / self.sample_rate_hz
        turns = -2 * torch.pi * (self.carrier_frequency_hz * times % 1)
        return torch.polar(torch.ones_like(turns), turns).to(device, torch.complex64)

    def modulate(self, grid: Tensor) -> Tensor:
        """Grid [..., num_symbols, num_subcarriers] complex64 to samples [..., num_samples] complex64."""
        if grid.shape[-2:] != (self.num_symbols, self.num_subcarriers):
            raise bad_value("grid", tuple(grid.shape), f"[..., {self.num_symbols}, {self.num_subcarriers}]")
        if self.carrier_frequency_hz:
            grid = grid * self.phases(grid.device)[:, None]
        half = self.num_subcarriers // 2
        guard = grid.new_zeros(*grid.shape[:-1], self.fft_size - self.num_subcarriers)
        useful = torch.fft.ifft(torch.cat([grid[..., half:], guard, grid[..., :half]], dim=-1), norm="ortho")
        pieces = []
        for symbol, prefix in enumerate(self.prefixes):
            pieces += [useful[..., symbol, self.fft_size - prefix :], useful[..., symbol, :]]
        return torch.cat(pieces, dim=-1)

    def demodulate(self, samples: Tensor, window_offset: int = 0) -> Tensor:
        """Samples [..., num_samples] to the grid [..., num_symbols, num_subcarriers] complex64.

        window_offset: samples by which every FFT window starts before the useful part, at most the shortest prefix.
        The phase ramp that this causes is undone.
        """
        if samples.shape[-1] != self.num_samples:
            raise bad_value("samples", tuple(samples.shape), f"[..., {self.num_samples}]")
        if not 0 <= window_offset <= min(self.prefixes):
            raise bad_value("window_offset", window_offset, f"0 to {min(self.prefixes)}, the shortest cyclic prefix")
        windows = [samples[..., first - window_offset : first - window_offset + self.fft_size] for first in self.starts]
        spectrum = torch.fft.fft(torch.stack(windows, dim=-2), norm="ortho")
        half = self.num_subcarriers // 2
        used = torch.cat([spectrum[..., self.fft_size - half :], spectrum[..., : self.num_subcarriers - half]], dim=-1)
        if self.carrier_frequency_hz:
            used = used * self.phases(used.device).conj()[:, None]
        if window_offset == 0:
            return used
        position = torch.arange(self.num_subcarriers, device=samples.device, dtype=torch.float64) - half
        cycles = position * window_offset / self.fft_size % 1
        return used * torch.polar(torch.ones_like(cycles), 2 * torch.pi * cycles).to(used.dtype)
