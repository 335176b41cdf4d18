"""Coarse timing of a slot: where the delays of its layers lie."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from receivers.interface import SlotObservation

# Mean delays, in useful symbol durations, that the window of delays takes as they are; others are moved to _TARGET.
_EARLY, _LATE, _TARGET = -1 / 64, 5 / 64, 1 / 64
# The correlation over frequency must stand out of the noise by this many standard deviations to be believed.
_CERTAINTY = 5.0


def mean_delay(observation: SlotObservation) -> tuple[Tensor, Tensor]:
    """Mean delay of all layers in useful symbol durations, and its certainty, both float32 [batch].

    From the phase between neighbouring pairs of pilots: over the distance of a pair the layers' cover codes over
    frequency agree, and over two symbols of double-symbol DM-RS those over time cancel. Unique up to 1/8 of a symbol
    either way with DM-RS type 1, 1/12 with type 2. The certainty is the correlation over its standard deviation in
    noise alone.
    """
    layout = observation.layout
    symbols, num_subcarriers = list(layout.symbols), observation.data_mask.shape[1]
    step = layout.pair_spacing or 2 * layout.spacing
    correlation = torch.zeros(observation.y.shape[0], dtype=observation.y.dtype, device=observation.y.device)
    energy = torch.zeros_like(correlation.real)
    for first in sorted(set(layout.first_subcarrier)):
        layer = layout.first_subcarrier.index(first)
        k = torch.tensor(layout.subcarriers(layer, num_subcarriers), device=observation.y.device)
        base = observation.pilots[layer, symbols][:, k]
        z = (observation.y[:, :, symbols][..., k] * base.conj()).unflatten(-1, (-1, 2))
        product = z[..., 1:, :] * z[..., :-1, :].conj()
        correlation = correlation + product.sum((1, 2, 3, 4))
        energy = energy + (product.real**2 + product.imag**2).sum((1, 2, 3, 4))
    certainty = correlation.abs() / energy.sqrt().clamp_min(torch.finfo(torch.float32).tiny)
    return -correlation.angle() / (2 * torch.pi * step), certainty


def coarse_delay(observation: SlotObservation) -> Tensor | None:
    """Delays in seconds, float64 [batch], by which the slots are late (or early) beyond what the window of delays
    takes, 0 where they are not; None where no slot is, and where pairs of pilots are too far apart to tell."""
    if 2 * (observation.layout.pair_spacing or 2 * observation.layout.spacing) * _LATE > 1:
        return None
    delay, certainty = mean_delay(observation)
    far = ((delay < _EARLY) | (delay > _LATE)) & (certainty > _CERTAINTY)
    if not bool(far.any()):
        return None
    return torch.where(far, delay - _TARGET, 0.0).double() / observation.subcarrier_spacing_hz


def delayed(observation: SlotObservation, delay_s: Tensor) -> SlotObservation:
    """The slots with their signals later by `delay_s` [batch] float64."""
    k = torch.arange(observation.y.shape[-1], dtype=torch.float64, device=observation.y.device)
    angle = -2 * torch.pi * observation.subcarrier_spacing_hz * delay_s.unsqueeze(1) * k
    phase = torch.polar(torch.ones_like(angle), angle).to(observation.y.dtype)
    return replace(observation, y=observation.y * phase[:, None, None])
