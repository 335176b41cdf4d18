"""The level of a received slot, taken out before and by powers of two alone, so that no digit of a number changes."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from receivers.interface import SlotObservation, Truth


def level_exponent(observation: SlotObservation) -> Tensor:
    """Exponent e of every slot, int32 [batch]: 2^e is next to the root mean square of its received grid.

    0 for a slot in which nothing was received. Levels from 1e-15 to 1e15 stay within single precision.
    """
    y = observation.y
    power = (y.real**2 + y.imag**2).mean((1, 2, 3))
    exponent = torch.log2(power).mul(0.5).round()
    return torch.where(torch.isfinite(exponent), exponent, 0.0).int()


def at_unit_level(observation: SlotObservation) -> SlotObservation:
    """The same slots with a received power next to 1: the grid times 2^-e, the noise variance times 4^-e.

    LLRs do not depend on the level, so those of the result are those of `observation`. Multiplying by a power of two is
    exact, hence slots that are received near level 1 give the same numbers as without.
    """
    exponent = level_exponent(observation)
    scale = torch.exp2(-exponent.to(observation.noise_var.dtype))
    return replace(
        observation,
        y=observation.y * scale[:, None, None, None],
        noise_var=observation.noise_var * scale**2,
    )


def truth_at_unit_level(observation: SlotObservation, truth: Truth) -> Truth:
    """The truth that belongs to `at_unit_level(observation)`: the channel times 2^-e."""
    scale = torch.exp2(-level_exponent(observation).to(observation.noise_var.dtype))
    return replace(truth, h=truth.h * scale[:, None, None, None, None])
