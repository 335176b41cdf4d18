"""Analogue-to-digital conversion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from channels.impairments.interface import Impairment, mean_power
from channels.impairments.options import finite, whole


class Converter(Impairment):
    """Analogue-to-digital converter: clipping and uniform quantisation of real and imaginary part.

    clip_db: where each part clips, over the root mean square of a part; the automatic gain control that sets it sees
    the power of one drop, of each antenna by itself or, without per_antenna, of all. 9 to 12 dB suit OFDM.
    bits: of each part, mid-rise, 2^bits levels between the clipping levels; none means clipping alone. The error of a
    part that stays within the levels has the power step^2 / 12.

    Its gradient is straight-through: 1 where a part is not clipped, 0 where it is, with the gain control held constant.
    Draws no random numbers.
    """

    name = "converter"

    def __init__(self, bits: int | None, clip_db: float = 12.0, per_antenna: bool = True) -> None:
        self.bits = None if bits is None else whole("bits", bits, 1, 24)
        self.clip_db = finite("clip_db", clip_db)
        self.per_antenna = per_antenna

    def _impair(self, waveform: Tensor, sample_rate_hz: float, generators: Sequence[np.random.Generator]) -> Tensor:
        part_power = mean_power(waveform.detach(), self.per_antenna) / 2
        level = (part_power * 10 ** (self.clip_db / 10)).sqrt()[..., None]
        # [batch, num_antennas, num_samples, 2]
        parts = torch.view_as_real(waveform)
        clipped = torch.minimum(torch.maximum(parts, -level), level)
        if self.bits is None:
            return torch.view_as_complex(clipped)
        step = level / 2 ** (self.bits - 1)
        index = (clipped.detach() / step).floor().clamp(-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1)
        error = (index + 0.5) * step - clipped.detach()
        return torch.view_as_complex(clipped + error)
