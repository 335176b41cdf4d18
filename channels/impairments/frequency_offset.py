"""Carrier frequency offset."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from channels.errors import bad_value
from channels.impairments.draws import SPREADS, Spread, offsets
from channels.impairments.interface import Impairment, rotated
from channels.impairments.options import finite, one_of, positive


class CarrierFrequencyOffset(Impairment):
    """Carrier frequency offset, in Hz or parts per million, fixed or uniform.

    Rotation by exp(2j pi offset t), t = 0 at sample 0, the same for all antennas.

    offset_hz: the offset; or offset_ppm, parts per million of carrier_hz.
    spread: "fixed", or "uniform" on [-offset, offset] over the drops. TS 38.104 §6.5.1 allows a base station 0.05 ppm
    (wide area) or 0.1 ppm, TS 38.101-1 §6.4.1 a user equipment 0.1 ppm against what it receives.

    Draws one uniform number if the spread is uniform, else none.
    """

    name = "carrier-frequency-offset"

    def __init__(
        self,
        offset_hz: float | None = None,
        offset_ppm: float | None = None,
        carrier_hz: float | None = None,
        spread: Spread = "fixed",
    ) -> None:
        if (offset_hz is None) == (offset_ppm is None):
            raise bad_value("offset_hz, offset_ppm", (offset_hz, offset_ppm), "one of the two")
        if (offset_ppm is None) != (carrier_hz is None):
            raise bad_value("carrier_hz", carrier_hz, "the carrier with offset_ppm, nothing with offset_hz")
        self.offset_hz = None if offset_hz is None else finite("offset_hz", offset_hz)
        self.offset_ppm = None if offset_ppm is None else finite("offset_ppm", offset_ppm)
        self.carrier_hz = None if carrier_hz is None else positive("carrier_hz", carrier_hz)
        one_of("spread", spread, SPREADS)
        self.spread = spread

    @property
    def largest_hz(self) -> float:
        """The offset, or the end of its range."""
        if self.offset_ppm is not None and self.carrier_hz is not None:
            return self.offset_ppm * 1e-6 * self.carrier_hz
        return self.offset_hz or 0.0

    def _impair(self, waveform: Tensor, sample_rate_hz: float, generators: Sequence[np.random.Generator]) -> Tensor:
        cycles_per_sample = torch.from_numpy(offsets(generators, self.largest_hz, self.spread) / sample_rate_hz)
        times = torch.arange(waveform.shape[-1], dtype=torch.float64, device=waveform.device)
        return rotated(waveform, 2 * torch.pi * (cycles_per_sample.to(waveform.device) * times))
