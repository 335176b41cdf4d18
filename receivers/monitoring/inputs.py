"""Statistics of a received slot that show whether it is like those of a training, level and payload aside."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from receivers.interface import PilotLayout, SlotObservation
from receivers.levels import at_unit_level

#: The statistics, in the order of `input_statistics`, with their units.
STATISTICS = {
    "snr": "dB",
    "antenna spread": "dB",
    "symbol spread": "dB",
    "frequency correlation": "",
    "time correlation": "",
}
#: Ratios of powers are no larger, dB: beyond, an antenna is dead or a signal noiseless.
_MOST_DB = 100.0
_LEAST_SNR = 1e-3


def input_statistics(observation: SlotObservation) -> Tensor:
    """Statistics float32 [batch, len(STATISTICS)]; NaN where slots have too few pilots for one.

    snr: received power over the stated noise, less it. antenna spread, symbol spread: of the strongest antenna over the
    weakest, and of the strongest OFDM symbol with data over the median. frequency correlation: of the least-squares
    estimates of neighbouring pilot pairs of the first layer; time correlation: of those of the first and the last pilot
    symbol. Both are magnitudes, less what noise of the stated power adds.
    """
    seen = at_unit_level(observation)
    power = seen.y.real**2 + seen.y.imag**2
    tiny = torch.finfo(torch.float32).tiny
    noise = seen.noise_var.clamp_min(tiny)
    data = seen.data_mask.to(power.dtype)
    of_antenna = (power * data).sum((2, 3)) / data.sum()
    snr = _db((of_antenna.mean(1) / noise - 1).clamp(_LEAST_SNR, 10 ** (_MOST_DB / 10)))
    antennas = _db((of_antenna.amax(1) / of_antenna.amin(1).clamp_min(tiny)).clamp(1, 10 ** (_MOST_DB / 10)))
    rows = data.sum(1) > 0
    of_symbol = (power.mean(1) * data).sum(2)[:, rows] / data.sum(1)[rows]
    symbols = _db((of_symbol.amax(1) / of_symbol.median(1).values.clamp_min(tiny)).clamp(1, 10 ** (_MOST_DB / 10)))
    return torch.stack([snr, antennas, symbols, *_correlations(seen, noise)], dim=1)


def _correlations(seen: SlotObservation, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Over a pair of pilots, and over the slot, float32 [batch] each."""
    unknown = torch.full_like(noise, torch.nan)
    symbols = list(seen.layout.symbols)
    if not symbols:
        return unknown, unknown
    both = _pairs(seen.layout, seen.y.shape[-1], str(seen.y.device))
    sent = seen.pilots[0][symbols][:, both]
    strength = (sent.real**2 + sent.imag**2).clamp_min(torch.finfo(torch.float32).tiny)
    # the mean of a pair does not hold the layer that shares its REs: [batch, antenna, symbol, pair]
    estimate = (seen.y[:, :, symbols][..., both] * (sent.conj() / strength)).mean(-2)
    error = noise / (2 * strength.mean())
    energy = (estimate.real**2 + estimate.imag**2).mean((1, 2, 3)) - error

    def correlation(a: Tensor, b: Tensor) -> Tensor:
        common = (a * b.conj()).mean((1, 2, 3)).abs()
        return (common / energy.clamp_min(_LEAST_SNR * error)).clamp(0, 2)

    over_frequency = unknown if both.shape[1] < 2 else correlation(estimate[..., 1:], estimate[..., :-1])
    # layers told apart by the two symbols of a pair are not told apart by one of them
    distinct = len(seen.layout.symbol_groups) > 1 and not any(-1 in code for code in seen.layout.time_cover_code)
    over_time = correlation(estimate[:, :, :1], estimate[:, :, -1:]) if distinct else unknown
    return over_frequency, over_time


@lru_cache(maxsize=64)
def _pairs(layout: PilotLayout, num_subcarriers: int, device: str) -> Tensor:
    """Subcarriers of both pilots of each pair of the first layer, int64 [2, num_pairs]."""
    spacing = layout.spacing
    columns = [k for k in layout.subcarriers(0, num_subcarriers) if k < num_subcarriers - spacing]
    first = torch.tensor(columns[::2], device=device)
    return torch.stack([first, first + spacing])


def configuration(observation: SlotObservation) -> dict[str, int]:
    """What of a slot's configuration a training covers or not."""
    return {
        "bits per symbol": observation.bits_per_symbol,
        "layers": observation.num_layers,
        "antennas": observation.y.shape[1],
        "DM-RS symbols": len(observation.layout.symbols),
    }


def _db(ratio: Tensor) -> Tensor:
    return 10 * torch.log10(ratio)
