"""Gains that differ from antenna to antenna."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from channels.errors import bad_value
from channels.impairments.interface import Impairment
from channels.impairments.options import finite


class AntennaGains(Impairment):
    """Gain of each antenna's branch, constant and real: amplifiers or cables that differ, or an antenna that is dead.

    gains_db: of the antennas in their order, beginning again where there are more antennas; -200 silences one. At a
    receiver the branch's noise has the gain as well, and the noise power that a base station states is that of a branch
    without gain. Draws no random numbers.
    """

    name = "antenna-gains"

    def __init__(self, gains_db: tuple[float, ...]) -> None:
        if not gains_db:
            raise bad_value("gains_db", list(gains_db), "one per antenna")
        self.gains_db = tuple(finite("gains_db", gain) for gain in gains_db)

    def _impair(self, waveform: Tensor, sample_rate_hz: float, generators: Sequence[np.random.Generator]) -> Tensor:
        each = [self.gains_db[i % len(self.gains_db)] for i in range(waveform.shape[1])]
        gains = torch.tensor([10 ** (gain / 20) for gain in each], dtype=waveform.real.dtype)
        return waveform * gains.to(waveform.device)[:, None]
