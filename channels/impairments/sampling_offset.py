"""Sampling clock offset."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from channels.errors import bad_value
from channels.impairments.draws import SPREADS, Spread, offsets
from channels.impairments.interface import Impairment
from channels.impairments.options import finite, one_of

#: Length and shape of the interpolator: a sinc under a Kaiser window.
NUM_TAPS = 32
KAISER_BETA = 9.0
_TABLE_ROWS = 2048
#: Larger offsets would ask for a filter against aliases.
MAX_PPM = 10_000


class SamplingClockOffset(Impairment):
    """Sampling clock offset, in parts per million, fixed or uniform.

    Sample n is taken at n (1 + offset), in the waveform's own sample periods.

    offset_ppm: positive when the sampling clock runs slow, so that its samples come late.
    spread: "fixed", or "uniform" on [-offset_ppm, offset_ppm] over the drops.

    Interpolated by a windowed sinc of 32 taps. For a waveform that is oversampled by 1.25 or more (a band of 0.4 of the
    sample rate to either side, as NR's FFT sizes give) the error is below -80 dB of the signal. Before and after the
    waveform there is silence, so that the last samples fade out with a slow clock. The carrier stays what
    it is: an oscillator that is shared with the clock adds a carrier frequency offset of as many ppm.

    Draws one uniform number if the spread is uniform, else none.
    """

    name = "sampling-clock-offset"

    def __init__(self, offset_ppm: float, spread: Spread = "fixed") -> None:
        self.offset_ppm = finite("offset_ppm", offset_ppm)
        if abs(self.offset_ppm) > MAX_PPM:
            raise bad_value("offset_ppm", offset_ppm, f"a number from -{MAX_PPM} to {MAX_PPM}")
        one_of("spread", spread, SPREADS)
        self.spread = spread

    def _impair(self, waveform: Tensor, sample_rate_hz: float, generators: Sequence[np.random.Generator]) -> Tensor:
        num_samples = waveform.shape[-1]
        drift = torch.from_numpy(offsets(generators, self.offset_ppm * 1e-6, self.spread)).to(waveform.device)
        places = torch.arange(num_samples, dtype=torch.float64, device=waveform.device) * (1 + drift)
        before = places.floor()
        first = before.long()
        row = (places - before) * _TABLE_ROWS
        lower = row.floor().clamp_max(_TABLE_ROWS - 1)
        table = _table().to(waveform.device)
        # [batch or 1, 1, num_samples, taps]
        weights = table[lower.long()].lerp(table[lower.long() + 1], (row - lower)[..., None]).to(waveform.real.dtype)
        half = NUM_TAPS // 2
        padded = torch.nn.functional.pad(waveform, (half - 1, half))
        last = padded.shape[-1] - 1
        out = torch.zeros_like(waveform)
        for tap in range(NUM_TAPS):
            index = first + tap
            # places beyond the waveform meet silence
            values = padded.gather(-1, index.clamp_max(last).expand(waveform.shape))
            out = out + values * weights[..., tap].masked_fill(index > last, 0)
        return out


@lru_cache(maxsize=1)
def _table() -> Tensor:
    """Weights of the taps at 0, 1 / rows, ..., 1 of the way between two samples, float64 [rows + 1, taps].

    Lines between the rows are off by less than 1e-7.
    """
    fraction = np.arange(_TABLE_ROWS + 1)[:, None] / _TABLE_ROWS
    distance = np.arange(NUM_TAPS) - (NUM_TAPS // 2 - 1) - fraction
    window = np.i0(KAISER_BETA * np.sqrt(1 - (distance / (NUM_TAPS / 2)) ** 2)) / np.i0(KAISER_BETA)
    with torch.inference_mode(False):  # what is kept must also serve callers that train
        return torch.from_numpy(np.sinc(distance) * window)
