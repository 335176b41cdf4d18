"""L1-RSRP as users report it (TS 38.214 §5.2.1.4.3, TS 38.133 §10.1.6, Rel-18)."""

from __future__ import annotations

import numpy as np

#: Range of the strongest beam's report, dBm, its step, dB, and the reported value of all that is below.
LOWEST_DBM, HIGHEST_DBM, STEP_DB, FIRST_VALUE = -140.0, -44.0, 1.0, 16
#: Steps of the others below it, 4 bit.
DIFFERENTIAL_STEP_DB, DIFFERENTIAL_STEPS = 2.0, 16


def absolute_value(rsrp_dbm: np.ndarray) -> np.ndarray:
    """Reported value of the strongest beam (TS 38.133 table 10.1.6.1-1), int64.

    16 below -140 dBm, 17 from -140 to -139, ..., 113 from -44 dBm.
    """
    steps = np.floor((rsrp_dbm - LOWEST_DBM) / STEP_DB) + 1
    return np.clip(steps, 0, (HIGHEST_DBM - LOWEST_DBM) / STEP_DB + 1).astype(np.int64) + FIRST_VALUE


def differential_value(below_db: np.ndarray) -> np.ndarray:
    """Reported value of a beam so far below the strongest (table 10.1.6.1-2): 0 from 0 to 2 dB, ..., 15 from 30 dB."""
    return np.clip(np.floor(below_db / DIFFERENTIAL_STEP_DB), 0, DIFFERENTIAL_STEPS - 1).astype(np.int64)


def reported_dbm(rsrp_dbm: np.ndarray) -> np.ndarray:
    """What a base station makes of a report of beams, [..., num_beams]: the middles of the intervals.

    All beams of the last axis are one report: the strongest in 7 bit and steps of 1 dB, the others in 4 bit and steps
    of 2 dB below it. As reports of more than four beams do, it holds all that were measured.
    """
    strongest = rsrp_dbm.max(-1, keepdims=True)
    best = LOWEST_DBM + STEP_DB * (absolute_value(strongest) - FIRST_VALUE - 0.5)
    steps = differential_value(strongest - rsrp_dbm)
    others = best - DIFFERENTIAL_STEP_DB * (steps + 0.5)
    is_best = np.arange(rsrp_dbm.shape[-1]) == rsrp_dbm.argmax(-1)[..., None]
    return np.asarray(np.where(is_best, best, others), rsrp_dbm.dtype)
