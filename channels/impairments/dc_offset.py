"""DC offset, as leakage of the local oscillator makes it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from channels.impairments.draws import uniforms
from channels.impairments.interface import Impairment, mean_power
from channels.impairments.options import finite


class DcOffset(Impairment):
    """DC offset (leakage of the local oscillator): a constant added to every antenna.

    level_db: its power over the mean power of the drop's waveform. phase_deg: its phase, the same on all antennas;
    without it every antenna has a phase of its own. Seen from the grid it is a tone in the middle of the band, between
    two subcarriers or upon one, as the waveform's modulator places the carrier.

    Draws num_antennas uniform numbers if no phase is given, else none.
    """

    name = "dc-offset"

    def __init__(self, level_db: float, phase_deg: float | None = None) -> None:
        self.level_db = finite("level_db", level_db)
        self.phase_deg = None if phase_deg is None else finite("phase_deg", phase_deg)

    def _impair(self, waveform: Tensor, sample_rate_hz: float, generators: Sequence[np.random.Generator]) -> Tensor:
        batch, num_antennas, _ = waveform.shape
        if self.phase_deg is None:
            phases = 2 * np.pi * uniforms(generators, num_antennas)
        else:
            phases = np.full((batch, num_antennas), math.radians(self.phase_deg))
        directions = torch.from_numpy(np.exp(1j * phases)).to(waveform.device, waveform.dtype)
        return waveform + directions[..., None] * (mean_power(waveform) * 10 ** (self.level_db / 10)).sqrt()
