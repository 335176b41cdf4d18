"""Pilots of one CDM group seen as delays: the linear model of blind channel estimation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.special import gammainc, gammaincinv
from torch import Tensor

from receivers.classical.subbands import Subbands, cut_band
from receivers.interface import PilotLayout

#: Delays a layer may have, in useful symbol durations: a little early (timing errors) to well beyond the cyclic prefix.
#: Of pairs of pilots that are too far apart to tell all of these, as large a part, in proportion, as they can tell.
EARLIEST, LATEST = -1 / 32, 1 / 8
# Delay bins per delay that the band resolves. With 1 the model would be periodic in the band and fail at its edges.
_OVERSAMPLING = 2
# Sidelobes of the taper, about -50 dB, stay under the noise of the pilots up to 30 dB SNR.
_KAISER_BETA = 7.0


@dataclass(frozen=True)
class DelayGrid(ABC):
    """Delay bins of the layers of one CDM group, and how they appear on its pilots and on all subcarriers.

    The subbands of a band share one model, and their fading serves as further observations of the same statistics.
    A pilot vector is what a bin with the cover code of a layer looks like on the pilots of a subband. It is named by an
    integer, its place: the signed bin with code (1, 1), and `place(-1)` further with code (1, -1).

    bins_per_symbol: bins in a useful symbol duration. window [num_window] int64: signed bins that a layer may occupy.
    num_pilots: pilots of a subband. taper [num_pilots] float32: before powers are measured, mean square 1.
    synthesis [num_window, subbands.width] complex64: bins to the subcarriers of a subband, with code (1, 1).
    """

    subbands: Subbands
    bins_per_symbol: int
    window: Tensor
    num_pilots: int
    taper: Tensor
    synthesis: Tensor

    def bin_s(self, subcarrier_spacing_hz: float) -> float:
        """Distance of the bins in seconds."""
        return 1 / (self.bins_per_symbol * subcarrier_spacing_hz)

    @abstractmethod
    def pilots(self, values: Tensor, symbols: list[int]) -> Tensor:
        """Values at the pilots: [..., num_symbols, num_subcarriers] -> [..., len(symbols), all pilots]."""

    @abstractmethod
    def cut(self, z: Tensor) -> Tensor:
        """Cut pilots [..., all pilots] into [..., num_subbands, num_pilots]."""

    @abstractmethod
    def place(self, code: int) -> int:
        """Distance of the places of cover code (1, code) from those of (1, 1)."""

    @abstractmethod
    def phase(self, code: int) -> complex:
        """Factor on `synthesis` for the pilot vectors of cover code (1, code)."""

    @abstractmethod
    def powers(self, z: Tensor, codes: tuple[int, ...]) -> tuple[list[Tensor], Tensor]:
        """Tapered delay spectra |.|^2 of pilots [batch, ..., num_pilots], means over what lies between.

        Returns for each cover code (1, code) the powers [batch, num_window], in which noise has its variance per pilot;
        and the powers [batch, n] at delays that no layer with one of the codes can have, n 0 without such delays.
        """

    @abstractmethod
    def quiet(self, z: Tensor) -> Tensor:
        """Estimate [batch] of the noise variance per pilot where all delays may be in use: from the quietest."""

    @property
    @abstractmethod
    def bins_per_power(self) -> float:
        """Sum over all `powers` of a layer of unit power."""

    @property
    @abstractmethod
    def num_bins(self) -> int:
        """Length of the (periodic) delay axis in bins."""

    @abstractmethod
    def matched(self, z: Tensor, where: Tensor) -> Tensor:
        """Inner products of pilots [batch, rx, symbol, subband, num_pilots] with the pilot vectors at the places
        `where` [batch, d] int64, complex64 [batch, rx * symbol * subband, d]."""

    @abstractmethod
    def inner_products(self, where: Tensor) -> Tensor:
        """Inner products of the pilot vectors at the places `where` [batch, d] int64, float32 [batch, d, d]."""


@dataclass(frozen=True)
class CombGrid(DelayGrid):
    """Evenly spaced pilots, as of DM-RS type 1: the delay axis is periodic, and products with bins are a transform.

    With m the pilot within its subband, m0 the middle, and d the bin: pilot vectors
    F[m, d] = exp(-2j pi (m - m0) d / num_bins); the cover code (1, -1) shifts d by half the axis.

    first, spacing: subcarrier of the first pilot, and distance of the pilots in subcarriers.
    gram [num_bins] float32: real inner product of two pilot vectors by the distance of their bins.
    centre [num_bins] complex64: phase that refers a bin of the transform to the middle of the subband.
    half_shift: phase of the synthesis of a layer with cover code (1, -1).
    """

    first: int
    spacing: int
    gram: Tensor
    centre: Tensor
    half_shift: complex

    @property
    def num_bins(self) -> int:
        return self.gram.shape[0]

    @property
    def bins_per_power(self) -> float:
        return self.num_bins

    def pilots(self, values: Tensor, symbols: list[int]) -> Tensor:
        return values[..., symbols, self.first :: self.spacing]

    def cut(self, z: Tensor) -> Tensor:
        if len(self.subbands) == 1:
            return z.unsqueeze(-2)
        index = self.subbands.starts[:, None] // self.spacing + torch.arange(self.num_pilots, device=z.device)
        return z[..., index]

    def place(self, code: int) -> int:
        return 0 if code > 0 else self.num_bins // 2

    def phase(self, code: int) -> complex:
        return 1.0 if code > 0 else self.half_shift

    def powers(self, z: Tensor, codes: tuple[int, ...]) -> tuple[list[Tensor], Tensor]:
        spectrum = torch.fft.ifft(z * self.taper, n=self.num_bins, norm="forward")
        power = (spectrum.real**2 + spectrum.imag**2) / self.num_pilots
        power = power.mean(tuple(range(1, power.ndim - 1)))
        places = [self.window + self.place(code) for code in codes]
        free = torch.ones(self.num_bins, dtype=torch.bool, device=z.device)
        lobe = torch.arange(-LOBE, LOBE + 1, device=z.device)
        for place in places:
            free[(place[:, None] + lobe).flatten() % self.num_bins] = False
        return [power[:, place % self.num_bins] for place in places], power[:, free]

    def quiet(self, z: Tensor) -> Tensor:
        spectrum = torch.fft.ifft(z * self.taper, n=self.num_bins, norm="forward")
        return _quiet((spectrum.real**2 + spectrum.imag**2) / self.num_pilots)

    def matched(self, z: Tensor, where: Tensor) -> Tensor:
        spectrum = torch.fft.ifft(z, n=self.num_bins, norm="forward") * self.centre
        index = (where % self.num_bins)[:, None, None, None].expand(*spectrum.shape[:4], -1)
        # a turn around the delay axis changes the sign, because the middle lies between two pilots
        sign = 1.0 - 2.0 * (where < 0)
        # [batch, rx, symbol, subband, d] -> [batch, snapshots, d]
        return torch.gather(spectrum, -1, index).flatten(1, 3) * sign.unsqueeze(1)

    def inner_products(self, where: Tensor) -> Tensor:
        return self.gram[(where.unsqueeze(2) - where.unsqueeze(1)).abs()]


#: Half width of the taper's main lobe, bins: leakage beyond it is below the sidelobes.
LOBE = 5


@dataclass(frozen=True)
class PairGrid(DelayGrid):
    """Pairs of neighbouring pilots with gaps between the pairs, as of DM-RS type 2, multiplied out.

    With k the distance of a pilot from the middle of its subband in subcarriers: pilot vectors
    exp(-2j pi k d / bins_per_symbol), times (j, -j) on the pilots of every pair for cover code (1, -1); with that
    factor all inner products are real. Delays a pair spacing apart differ by the phase within the pairs alone.

    index [all pilots] int64: subcarriers. per_subband: pilots of a subband among all.
    share [num_window] float32: power of a bin that a product with its own code sees; the other code's sees the rest.
    vectors [num_pilots, 2 num_window] complex64: both codes'. gram [2 num_window, 2 num_window] float32.
    tapered: the conjugate of `vectors`, with the taper.
    """

    index: Tensor
    per_subband: Tensor
    share: Tensor
    vectors: Tensor
    tapered: Tensor
    gram: Tensor

    @property
    def num_bins(self) -> int:
        return len(self.window)

    @property
    def bins_per_power(self) -> float:
        # the pilots of a pair add up, over as many delays as there are pairs
        return self.bins_per_symbol * self.num_pilots / self.subbands.width

    def pilots(self, values: Tensor, symbols: list[int]) -> Tensor:
        return values[..., symbols, :][..., self.index]

    def cut(self, z: Tensor) -> Tensor:
        return z[..., self.per_subband]

    def place(self, code: int) -> int:
        return 0 if code > 0 else len(self.window)

    def phase(self, code: int) -> complex:
        return 1.0 if code > 0 else 1.0j

    def powers(self, z: Tensor, codes: tuple[int, ...]) -> tuple[list[Tensor], Tensor]:
        spectrum = z @ self.tapered
        power = (spectrum.real**2 + spectrum.imag**2) / self.num_pilots
        power = power.mean(tuple(range(1, power.ndim - 1)))
        # a delay turns the pilots of a pair against each other, and shows in part in the other code
        width = len(self.window)
        plain, coded = power[:, :width], power[:, width:]
        kept, lost = self.share, 1 - self.share
        apart = {1: kept * plain - lost * coded, -1: kept * coded - lost * plain}
        return [(apart[code] / (kept - lost)).clamp_min(0) for code in codes], power[:, :0]

    def quiet(self, z: Tensor) -> Tensor:
        spectrum = z @ self.tapered
        return _quiet((spectrum.real**2 + spectrum.imag**2) / self.num_pilots)

    def _column(self, where: Tensor) -> Tensor:
        return where - self.window[0]

    def matched(self, z: Tensor, where: Tensor) -> Tensor:
        spectrum = z.flatten(1, 3) @ self.vectors.conj()
        return torch.gather(spectrum, -1, self._column(where).unsqueeze(1).expand(-1, spectrum.shape[1], -1))

    def inner_products(self, where: Tensor) -> Tensor:
        column = self._column(where)
        return self.gram[column.unsqueeze(2), column.unsqueeze(1)]


@lru_cache(maxsize=64)
def delay_grid(
    first: int, spacing: int, pair_spacing: int, num_subcarriers: int, bundle: int | None, device: torch.device
) -> DelayGrid:
    """The grid of the CDM group whose first pilot is at subcarrier `first`.

    bundle: see `subbands.cut_band`.
    """
    with torch.inference_mode(False):  # what is kept must also serve callers that train
        subbands = cut_band(num_subcarriers, pair_spacing, bundle, device)
        if pair_spacing == 2 * spacing:
            return _comb_grid(subbands, first, spacing, device)
        return _pair_grid(subbands, first, spacing, pair_spacing, num_subcarriers, device)


def grid_of(layout: PilotLayout, first: int, num_subcarriers: int, device: torch.device) -> DelayGrid:
    """The grid of a CDM group of a layout, whose bundles fill the band evenly."""
    bundle = layout.bundle_subcarriers
    if bundle is not None and bundle >= num_subcarriers:
        bundle = None
    step = layout.pair_spacing or 2 * layout.spacing
    return delay_grid(first, layout.spacing, step, num_subcarriers, bundle, device)


def _quiet(power: Tensor) -> Tensor:
    """Noise variance from the quietest quarter of the bins of [batch, ..., bins], as if noise alone were in them.

    Infinite where so few bins are resolved that a single path reaches all of them.
    """
    if power.shape[-1] < 4 * LOBE:
        return torch.full_like(power.flatten(1)[:, 0], torch.inf)
    n = power[0, ..., 0].numel()
    power = power.mean(tuple(range(1, power.ndim - 1)))
    lowest = power.sort(1).values[:, : max(1, power.shape[1] // 4)].mean(1)
    # means over n values are Gamma distributed; of those the mean of the lowest quarter
    return lowest / float(4 * gammainc(n + 1, gammaincinv(n, 0.25)))


def _window(bins_per_symbol: int, share: float = 1.0) -> np.ndarray:
    earliest, latest = share * EARLIEST * bins_per_symbol, share * LATEST * bins_per_symbol
    return np.arange(int(np.floor(earliest)), int(np.ceil(latest)) + 1)


def _taper(num_pilots: int) -> np.ndarray:
    taper = np.kaiser(num_pilots, _KAISER_BETA)
    return np.asarray(taper / np.sqrt(np.mean(taper**2)))


def _tensor(array: np.ndarray, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.from_numpy(array).to(device=device, dtype=dtype)


def _comb_grid(subbands: Subbands, first: int, spacing: int, device: torch.device) -> CombGrid:
    num_pilots = subbands.width // spacing
    num_bins = 2 * int(np.ceil(_OVERSAMPLING * num_pilots / 2))
    middle = (num_pilots - 1) / 2
    # the comb's delay axis is 1/spacing useful symbols long
    window = _window(num_bins * spacing)
    distance = np.arange(num_bins)
    angle = np.pi * distance / num_bins
    with np.errstate(invalid="ignore", divide="ignore"):
        gram = np.where(distance == 0, num_pilots, np.sin(num_pilots * angle) / np.sin(angle))
    position = (np.arange(subbands.width) - first) / spacing - middle
    synthesis = np.exp(-2j * np.pi * np.outer(window, position) / num_bins)
    return CombGrid(
        subbands=subbands,
        bins_per_symbol=num_bins * spacing,
        window=_tensor(window, torch.int64, device),
        num_pilots=num_pilots,
        taper=_tensor(_taper(num_pilots), torch.float32, device),
        synthesis=_tensor(synthesis, torch.complex64, device),
        first=first,
        spacing=spacing,
        gram=_tensor(gram, torch.float32, device),
        centre=_tensor(np.exp(-2j * np.pi * middle * distance / num_bins), torch.complex64, device),
        half_shift=complex(np.exp(1j * np.pi * middle)),
    )


def _pair_grid(
    subbands: Subbands, first: int, spacing: int, step: int, num_subcarriers: int, device: torch.device
) -> PairGrid:
    bins_per_symbol = _OVERSAMPLING * subbands.width
    window = _window(bins_per_symbol, min(1.0, 1 / (step * (LATEST - EARLIEST))))
    inside = (np.arange(0, subbands.width, step)[:, None] + first + spacing * np.arange(2)).ravel()
    middle = inside.mean()
    all_pilots = (np.arange(0, num_subcarriers, step)[:, None] + first + spacing * np.arange(2)).ravel()
    plain = np.exp(-2j * np.pi * np.outer(inside - middle, window) / bins_per_symbol)
    coded = plain * np.resize([1j, -1j], len(inside))[:, None]
    vectors = np.concatenate([plain, coded], axis=1)
    taper = _taper(len(inside) // 2).repeat(2)
    starts = subbands.starts.cpu().numpy() // step * 2
    return PairGrid(
        subbands=subbands,
        bins_per_symbol=bins_per_symbol,
        window=_tensor(window, torch.int64, device),
        num_pilots=len(inside),
        taper=_tensor(taper, torch.float32, device),
        synthesis=_tensor(
            np.exp(-2j * np.pi * np.outer(window, np.arange(subbands.width) - middle) / bins_per_symbol),
            torch.complex64,
            device,
        ),
        index=_tensor(all_pilots, torch.int64, device),
        share=_tensor(np.cos(np.pi * spacing * window / bins_per_symbol) ** 2, torch.float32, device),
        per_subband=_tensor(starts[:, None] + np.arange(len(inside)), torch.int64, device),
        vectors=_tensor(vectors, torch.complex64, device),
        tapered=_tensor(vectors.conj() * taper[:, None], torch.complex64, device),
        gram=_tensor((vectors.conj().T @ vectors).real, torch.float32, device),
    )
