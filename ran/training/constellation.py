"""Slots sent again with a constellation in training: the link as a differentiable function of its points."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from ran.phy.modulation import constellation, modulate
from receivers import SlotObservation, Truth


def points_of(model: nn.Module) -> Tensor | None:
    """The constellation in training [2**bits_per_symbol] complex64, None for a model without."""
    own = getattr(model, "constellation", None)
    points: Tensor | None = None if own is None else own.points()
    return points


def sent_with(points: Tensor | None, observation: SlotObservation, truth: Truth) -> SlotObservation:
    """The same slots, bits, channel and noise, with the data sent as other points; gradients go to these.

    What was received differs by the channel times the difference of the symbols. With None nothing changes.
    """
    if points is None:
        return observation
    bits, per_symbol = truth.coded_bits.flatten(2), observation.bits_per_symbol
    before = observation.constellation
    if before is None:
        before = torch.from_numpy(constellation(per_symbol)).to(points.device)
    change = observation.layer_amplitude * (modulate(bits, per_symbol, points) - modulate(bits, per_symbol, before))
    data = observation.data_mask.flatten().nonzero().squeeze(-1)
    shape = (*change.shape[:2], observation.data_mask.numel())
    x = torch.zeros(shape, dtype=change.dtype, device=change.device).index_copy(2, data, change)
    y = observation.y + (truth.h * x.unflatten(2, observation.data_mask.shape).unsqueeze(1)).sum(2)
    return replace(observation, y=y, constellation=points)
