"""Timing and carrier frequency offsets of the users of training slots, put on after the channel."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from ran.link import SlotBatch
from ran.link.streams import stream
from ran.phy.config import Config


class Offsets(Config):
    """How far users are off in training: drawn for every slot and user, uniform in plus and minus the maximum.

    Applied to the channel as a phase over subcarriers and over OFDM symbols: what is left of an offset by less than
    the cyclic prefix, or by little of a subcarrier. The crosstalk between neighbouring symbols and subcarriers that
    the time domain brings (`waveform`) is not in it.

    timing_max_ns: early or late. cfo_max_hz: of the carrier. share: part of the slots that have offsets.
    """

    timing_max_ns: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    cfo_max_hz: Annotated[float, Field(ge=0, le=1e5)] = 0.0
    share: Annotated[float, Field(ge=0, le=1)] = 1.0

    def applied(self, batch: SlotBatch, drops: range, seed: int, scenario_id: str) -> SlotBatch:
        """The batch with offsets of its users; `drops` are the keys of its slots."""
        observation, h = batch.observation, batch.truth.h
        timing, cfo = (
            torch.from_numpy(values).to(h.device)[:, list(observation.layer_to_user)]
            for values in self._draws(drops, max(observation.layer_to_user) + 1, seed, scenario_id)
        )
        k = torch.arange(h.shape[-1], dtype=torch.float64, device=h.device)
        times = observation.symbol_times_s.to(h.device)
        # [batch, layer, symbol, subcarrier]
        turns = cfo[..., None, None] * times[:, None] - timing[..., None, None] * observation.subcarrier_spacing_hz * k
        phase = torch.polar(torch.ones_like(turns), 2 * torch.pi * turns).to(h.dtype).unsqueeze(1)
        moved = h * phase
        y = observation.y + ((moved - h) * batch.x.unsqueeze(1)).sum(2)
        return replace(batch, observation=replace(observation, y=y), h=moved)

    def _draws(self, drops: range, num_users: int, seed: int, scenario_id: str) -> tuple[np.ndarray, np.ndarray]:
        """Timing in seconds and frequency offset in Hz, float64 [drops, users]."""
        values = np.zeros((2, len(drops), num_users))
        for i, drop in enumerate(drops):
            generator = stream(seed, scenario_id, drop, "offsets")
            if generator.random() < self.share:
                values[:, i] = generator.uniform(-1, 1, (2, num_users))
        return values[0] * self.timing_max_ns * 1e-9, values[1] * self.cfo_max_hz
