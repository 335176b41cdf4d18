"""The loops of link adaptation, evaluated on tables of what every MCS does in every slot."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ran.studies.adaptation.experiment import OuterLoop


def choose(
    margin_db: NDArray[np.floating],
    arrived: NDArray[np.bool_],
    delay_slots: int,
    target_bler: float,
    outer: OuterLoop | None = None,
) -> NDArray[np.int64]:
    """Which MCS is sent in every slot, int64 [series, slots]: places on the last axis of the tables.

    margin_db [series, slots, mcs]: effective SINR measured in a slot less the SNR at which the MCS has the target BLER.
    arrived [series, slots, mcs]: whether its block would arrive.
    delay_slots: a slot's measurement and its ACK are known so many slots later, the ACK in the next slot at the
        earliest; before, the lowest MCS is sent.
    outer: the outer loop, which adds its offset to the margins; without it the inner loop is alone.

    The inner loop takes the highest MCS whose margin is not negative, or the lowest where there is none.
    """
    series, slots, num_mcs = margin_db.shape
    chosen = np.zeros((series, slots), np.int64)
    offset = np.full(series, 0.0 if outer is None else outer.start_db)
    every = np.arange(series)
    for slot in range(delay_slots, slots):
        known, acknowledged = slot - delay_slots, slot - max(delay_slots, 1)
        if outer is not None and acknowledged >= 0:
            ack = arrived[every, acknowledged, chosen[:, acknowledged]]
            up = outer.step_db * target_bler / (1 - target_bler)
            offset = np.clip(offset + np.where(ack, up, -outer.step_db), outer.min_db, outer.max_db)
        fits = margin_db[:, known] + offset[:, None] >= 0
        highest = num_mcs - 1 - np.argmax(fits[:, ::-1], axis=1)
        chosen[:, slot] = np.where(fits.any(1), highest, 0)
    return chosen


def ideal(bits: NDArray[np.integer], arrived: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The MCS that brings most bits in every slot, known beforehand, int64 [series, slots]; bits [mcs]."""
    return np.asarray(np.argmax(arrived * bits, axis=-1))
