"""What all models of waves share."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SPEED_OF_LIGHT_MPS = 299_792_458.0


def turns(cycles: Tensor) -> Tensor:
    """exp(2j pi cycles) as complex64, of float64 cycles; whole ones are taken off in double precision."""
    phase = (2 * math.pi * (cycles - cycles.round())).to(torch.float32)
    return torch.polar(torch.ones_like(phase), phase)
