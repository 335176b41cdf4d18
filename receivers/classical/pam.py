"""One axis of a square QAM constellation with its labels."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from receivers.classical.qam import axis_scale


@cache
def pam_axis(bits_per_axis: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Levels float32 [2**m], scaled for a unit-power QAM symbol, and labels bool [2**m, m] (TS 38.211 §5.1, Rel-18).

    The first bit is the sign; each further one tells the inner from the outer half of the levels left.
    """
    with torch.inference_mode(False):  # what is kept must also serve callers that train
        index = torch.arange(2**bits_per_axis, device=device)
        labels = (index[:, None] >> torch.arange(bits_per_axis - 1, -1, -1, device=device)) & 1
        sign = 1.0 - 2.0 * labels
        level = torch.ones(2**bits_per_axis, device=device)
        for j in range(bits_per_axis - 1, 0, -1):
            level = 2.0 ** (bits_per_axis - j) - sign[:, j] * level
        return sign[:, 0] * level * axis_scale(bits_per_axis), labels.bool()
