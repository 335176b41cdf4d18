"""Slots whose timing a receiver was not made for, turned back to one that it was.

A filter with a fixed prior of delays, from zero on, takes a channel that comes early or late for another one. A ramp of
phase over the subcarriers moves all delays of a slot, and loses nothing: noise stays white, and the channel that is
estimated after it holds the ramp as well.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from receivers.interface import SlotObservation

#: Deviations of the estimate by which a delay has to be outside before a slot is turned.
_SURE = 4.0
#: Widest step from one pair of pilots to the next, Hz: delays are told apart up to half of its inverse, 2 us.
_WIDEST_STEP_HZ = 250e3


def mean_delays(observation: SlotObservation) -> tuple[Tensor, Tensor] | None:
    """Mean delay of each layer's channel and its standard deviation, both float32 [batch, num_layers], in s.

    From the phase between least-squares estimates of neighbouring pairs of pilots, power-weighted over antennas, pairs
    and DM-RS symbols (S. M. Kay, IEEE Trans. ASSP 37, 1989). The deviation is what noise adds where the products of
    neighbours are independent, and more than it adds where they are not. None where pilots are too few or too far
    apart to tell.
    """
    layout, width = observation.layout, observation.y.shape[-1]
    step = layout.pair_spacing or 2 * layout.spacing
    step_hz = step * observation.subcarrier_spacing_hz
    if not layout.symbols or step_hz > _WIDEST_STEP_HZ:
        return None
    found = []
    for layer in range(observation.num_layers):
        columns = [k for k in layout.subcarriers(layer, width)[::2] if k + layout.spacing < width]
        if len(columns) < 2:
            return None
        pairs = torch.tensor([[k, k + layout.spacing] for k in columns], device=observation.y.device)
        groups = [_estimates(observation, layer, list(symbols), pairs) for symbols in layout.symbol_groups]
        found.append(_delay(torch.stack([h for h, _ in groups]), torch.stack([e for _, e in groups]), step_hz))
    delays, deviations = zip(*found, strict=True)
    return torch.stack(delays, 1), torch.stack(deviations, 1)


def _estimates(observation: SlotObservation, layer: int, symbols: list[int], pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Least-squares estimates of pairs complex64 [batch, antenna, pair], and their error variance [batch]."""
    sent = observation.pilots[layer, symbols][:, pairs]
    power = (sent.real**2 + sent.imag**2).mean()
    # the mean over a pair, and over a double symbol, does not hold the layers that share its REs
    estimate = (observation.y[:, :, symbols][..., pairs] * sent.conj()).mean((2, 4)) / power
    return estimate, observation.noise_var / (power * sent[..., 0].shape[0] * 2)


def _delay(h: Tensor, error: Tensor, step_hz: float) -> tuple[Tensor, Tensor]:
    """Delay, its deviation [batch]; estimates [group, batch, antenna, pair], their error variances [group, batch]."""
    product = (h[..., 1:] * h[..., :-1].conj()).sum((0, 2, 3))
    count = h[..., 1:].numel() // h.shape[1]
    noise = error.mean(0)
    common = product.abs() / count
    power = (h.real**2 + h.imag**2).mean((0, 2, 3))
    # of the products of noise with the channel and with itself, the part across the mean; neighbours share an estimate
    variance = (2 * noise * (power - noise).clamp_min(0) + noise**2) / (2 * count * common**2)
    scale = 1 / (2 * math.pi * step_hz)
    return -product.angle() * scale, variance.sqrt() * scale


def aligned(observation: SlotObservation, earliest_s: float, latest_s: float) -> SlotObservation:
    """The slots with their channels between two mean delays; those that are not clearly outside as they are, not a
    digit changed.

    A slot is moved by as little as brings all its layers inside, as far as one step can.
    """
    found = mean_delays(observation)
    if found is None:
        return observation
    delay, deviation = found
    early = (delay + _SURE * deviation < earliest_s).any(1)
    late = (delay - _SURE * deviation > latest_s).any(1)
    # first those that come late, then those that come early: what comes before a filter's zero is lost to it
    move = torch.where(late, latest_s - delay.amax(1), 0.0)
    move = torch.where(early | late, torch.maximum(move, earliest_s - delay.amin(1)), 0.0)
    if move.device.type == "cpu" and not bool((move != 0).any()):  # on a GPU the question would cost more than the ramp
        return observation
    frequencies = torch.arange(observation.y.shape[-1], device=move.device) * observation.subcarrier_spacing_hz
    phase = -2 * math.pi * move.double()[:, None] * frequencies
    ramp = torch.polar(torch.ones_like(phase), phase).to(observation.y.dtype)
    turned = observation.y * ramp[:, None, None, :]
    return replace(observation, y=torch.where((move != 0)[:, None, None, None], turned, observation.y))
