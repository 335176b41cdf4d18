"""Interference that hits few OFDM symbols of a slot: found in what detection leaves, and rejected there.

A receiver that states one noise power for the slot is too sure of the symbols that a burst hits. What the soft symbols
leave of the received grid shows which ones: with more antennas than layers even wrong decisions cannot explain a burst,
as most of its directions hold no signal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from receivers.classical.soft_grid import soft_grid
from receivers.interface import SlotObservation

#: An OFDM symbol is hit where the power that is left exceeds what is expected by this factor at least, and
#: significantly so: by so many standard deviations of the mean of as many exponential variables as it has samples.
#: With a factor of 2 wrong decisions between two layers count for bursts in a third of the slots, with 4 in none of 60;
#: bursts 10 dB over all lose as few slots with either (docs/lab/interference-bursts.md).
_LEAST_RATIO = 4.0
_DEVIATIONS = 6.0

#: LLRs from observation, channel estimate and its error variance.
Detect = Callable[[SlotObservation, Tensor, Tensor], Tensor]


def bursts_rejected(
    observation: SlotObservation, h_hat: Tensor, err_var: Tensor, llr: Tensor, detection: Detect
) -> Tensor:
    """LLRs anew where OFDM symbols of a slot hold more noise than was stated; of all other slots `llr` as it is.

    observation: with the noise power that detection assumed. h_hat [batch, num_rx_ant, num_layers, num_ofdm_symbols,
    num_subcarriers], err_var [batch, num_layers, num_ofdm_symbols, num_subcarriers]: of that detection. llr [batch,
    num_layers, num_data_re, bits_per_symbol]: its result.

    In a symbol that is hit the covariance over the antennas of what is left, less what unknown symbols account for,
    tells the directions with more noise than stated; these are attenuated, in the received grid and in the channel
    alike, to the stated noise, and the slot is detected again (MMSE-IRC with a covariance of one symbol). Nothing is
    ever amplified.
    """
    x, _, unknown = soft_grid(observation, llr)
    left, stated = _left(observation, h_hat, err_var, x)
    hit = _hit(observation, h_hat, left, stated, unknown)
    slots = hit.any(1).nonzero().squeeze(1)
    if not len(slots):
        return llr
    seen, h, left, unknown = observation.select(slots), h_hat[slots], left[slots], unknown[slots]
    used = _used(observation).to(stated.dtype)
    covariance = torch.einsum("batk,bctk,tk->btac", left, left.conj(), used.to(left.dtype))
    of_data = torch.einsum("baltk,bcltk,bltk->btac", h, h.conj(), (unknown * used).to(h.dtype))
    covariance = (covariance - of_data) / used.sum(1).clamp_min(1)[:, None, None]
    values, directions = torch.linalg.eigh(covariance)
    level = _mean(stated[slots], used).unsqueeze(2)
    gain = torch.where(hit[slots].unsqueeze(2), (level / torch.maximum(values, level)).sqrt(), torch.ones_like(values))
    attenuate = (directions * gain.unsqueeze(2)) @ directions.mH
    y = torch.einsum("btac,bctk->batk", attenuate, seen.y)
    h = torch.einsum("btac,bcltk->baltk", attenuate, h)
    return llr.index_copy(0, slots, detection(replace(seen, y=y), h, err_var[slots]))


def symbols_hit(observation: SlotObservation, h_hat: Tensor, err_var: Tensor, x: Tensor, unknown: Tensor) -> Tensor:
    """Which OFDM symbols of each slot hold far more than the noise that was stated, bool [batch, num_ofdm_symbols].

    h_hat, err_var: as in `bursts_rejected`. x, unknown [batch, num_layers, num_ofdm_symbols, num_subcarriers]: mean and
    variance of what is sent, see `soft_grid`.
    """
    return _hit(observation, h_hat, *_left(observation, h_hat, err_var, x), unknown)


def _left(observation: SlotObservation, h_hat: Tensor, err_var: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """What soft symbols leave of the received grid, and the noise and error that it should be."""
    left = observation.y - (h_hat * x.unsqueeze(1)).sum(2)
    return left, observation.noise_var[:, None, None] + ((x.real**2 + x.imag**2) * err_var).sum(1)


def _used(observation: SlotObservation) -> Tensor:
    """REs on which something is sent that is known or detected, bool [num_ofdm_symbols, num_subcarriers]."""
    return observation.data_mask | (observation.pilots != 0).any(0)


def _hit(observation: SlotObservation, h_hat: Tensor, left: Tensor, stated: Tensor, unknown: Tensor) -> Tensor:
    """Which OFDM symbols hold more than they should, bool [batch, num_ofdm_symbols].

    Against the median of the slot's symbols where that is below what is expected: a burst on pilots raises the
    estimate of the noise for all symbols.
    """
    used = _used(observation).to(stated.dtype)
    strength = (h_hat.real**2 + h_hat.imag**2).mean(1)
    per_re = (left.real**2 + left.imag**2).mean(1) / (stated + (strength * unknown).sum(1))
    ratio, count = _mean(per_re, used), used.sum(1)
    median = ratio[:, count > 0].median(1).values.clamp(max=1)
    margin = _DEVIATIONS / (count * h_hat.shape[1]).clamp_min(1).sqrt()
    least = torch.maximum(torch.full_like(margin, _LEAST_RATIO), 1 + margin)
    return (ratio > least * median.unsqueeze(1)) & (count > 0) & ratio.isfinite()


def _mean(values: Tensor, used: Tensor) -> Tensor:
    """Mean over the REs of every OFDM symbol [batch, num_ofdm_symbols]; 0 where none is used."""
    return (values * used).sum(2) / used.sum(1).clamp_min(1)
