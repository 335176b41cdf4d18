"""Measurements of every user of a recorded slot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ran.link.parts import cut
from ran.phy.shared_grid import SharedGrid
from ran.phy.user_grids import UserPart
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
    grid: SharedGrid,
    observation: SlotObservation,
    gains: NDArray[np.float32],
    delay_s: float,
    cfo_hz: float,
    numbers: Sequence[int],
) -> tuple[UserReport, ...]:
    """Reports of the users of one slot, each from the widest rectangle in which it has DM-RS.

    observation: batch 1, from which a delay and a CFO have been taken off, with antennas multiplied by `gains`.
    numbers: of the users among all of the slot.
    """
    widest: dict[int, tuple[SlotObservation, int]] = {}
    for part in grid.parts:
        own = cut(observation, part)
        layers = part.layers if isinstance(part, UserPart) else range(observation.num_layers)
        users = sorted({observation.layer_to_user[layer] for layer in layers})
        for place, user in enumerate(users if own.layout.symbols else ()):
            if user not in widest or own.data_mask.shape[1] > widest[user][0].data_mask.shape[1]:
                widest[user] = own, place
    measured = {id(own): measure_users(own) for own, _ in widest.values()}
    step_s = 16 * 64 / 2**grid.carrier.numerology * _T_C
    reports = []
    for user, (own, place) in sorted(widest.items()):
        found = measured[id(own)]
        power = (found.rsrp[0, place] / gains.astype(float) ** 2).mean()
        late = float(found.first_path_s[0, place]) + delay_s
        reports.append(
            UserReport(
                user=numbers[user],
                sinr_db=float(found.sinr_db[0, place]),
                rsrp_db=float(10 * np.log10(power)),
                timing_advance_s=late,
                timing_advance_steps=round(late / step_s),
                cfo_hz=float(found.cfo_hz[0, place] + cfo_hz),
                delay_spread_s=float(found.delay_spread_s[0, place]),
                doppler_spread_hz=float(found.doppler_spread_hz[0, place]),
            )
        )
    return tuple(reports)
