"""Measurements of every user of a recorded slot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ran.link.parts import cut
from ran.phy.shared_grid import SharedGrid
from receivers import SlotObservation
from receivers.classical.user_measurements import measure_users

#: T_c of TS 38.211 §4.1 in seconds.
_T_C = 1 / (480e3 * 4096)


@dataclass(frozen=True)
class UserReport:
    """What the DM-RS of a slot say about a user, see `receivers.classical.user_measurements.UserMeasurements`.

    rsrp_db: mean over antennas, dB over a power of 1 in the units of the recording. timing_advance_s: how late its
    first path arrives. timing_advance_steps: the same in steps of a timing advance command (TS 38.213 §4.2). cfo_hz and
    doppler_spread_hz are NaN with DM-RS in one symbol alone.
    """

    user: int
    sinr_db: float
    rsrp_db: float
    timing_advance_s: float
    timing_advance_steps: int
    cfo_hz: float
    delay_spread_s: float
    doppler_spread_hz: float


def user_reports(
    grid: SharedGrid, observation: SlotObservation, gains: NDArray[np.float32], delay_s: float, cfo_hz: float
) -> tuple[UserReport, ...]:
    """Reports of the users of one slot, from the widest of its rectangles that has DM-RS.

    observation: batch 1, from which a delay and a CFO have been taken off, with antennas multiplied by `gains`.
    """
    parts = [cut(observation, part) for part in grid.placement.parts]
    widest = max((part for part in parts if part.layout.symbols), key=lambda part: part.data_mask.shape[1])
    found = measure_users(widest)
    power = (found.rsrp[0] / gains.astype(float) ** 2).mean(1)
    step_s = 16 * 64 / 2**grid.carrier.numerology * _T_C
    late = found.first_path_s[0] + delay_s
    return tuple(
        UserReport(
            user=user,
            sinr_db=float(found.sinr_db[0, user]),
            rsrp_db=float(10 * np.log10(power[user])),
            timing_advance_s=float(late[user]),
            timing_advance_steps=round(float(late[user]) / step_s),
            cfo_hz=float(found.cfo_hz[0, user] + cfo_hz),
            delay_spread_s=float(found.delay_spread_s[0, user]),
            doppler_spread_hz=float(found.doppler_spread_hz[0, user]),
        )
        for user in range(len(power))
    )
