"""CQI tables and the choice of CQI and rank (TS 38.214 §5.2.2.1, Rel-17)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ran.errors import bad_value


class CqiEntry(NamedTuple):
    """A row of a CQI table: modulation order and code rate times 1024."""

    bits_per_symbol: int
    rate_x1024: float

    @property
    def efficiency(self) -> float:
        """Bits per symbol."""
        return self.bits_per_symbol * self.rate_x1024 / 1024


def _table(*groups: tuple[int, tuple[float, ...]]) -> tuple[CqiEntry, ...]:
    return tuple(CqiEntry(order, rate) for order, rates in groups for rate in rates)


#: CQI 1 to 15 by table number: TS 38.214 tables 5.2.2.1-2 to -5. CQI 0 is "out of range".
CQI_TABLES: dict[int, tuple[CqiEntry, ...]] = {
    1: _table((2, (78, 120, 193, 308, 449, 602)), (4, (378, 490, 616)), (6, (466, 567, 666, 772, 873, 948))),
    2: _table((2, (78, 193, 449)), (4, (378, 490, 616)), (6, (466, 567, 666, 772, 873)), (8, (711, 797, 885, 948))),
    3: _table((2, (30, 50, 78, 120, 193, 308, 449, 602)), (4, (378, 490, 616)), (6, (466, 567, 666, 772))),
    4: _table(
        (2, (78, 193, 449)), (4, (378, 616)), (6, (567, 666, 772, 873)), (8, (711, 797, 885, 948)), (10, (853, 948))
    ),
}


def cqi_table(number: int) -> tuple[CqiEntry, ...]:
    """CQI 1 to 15 of a table, 1 to 4."""
    if number not in CQI_TABLES:
        raise bad_value("cqi_table", number, "1 to 4 (TS 38.214 tables 5.2.2.1-2 to -5)")
    return CQI_TABLES[number]


def cqi_of(snr_db: np.ndarray, thresholds_db: np.ndarray) -> np.ndarray:
    """The highest CQI whose SNR is reached, 0 to 15, int64 of the shape of `snr_db`.

    snr_db: effective SINR. thresholds_db [15]: at which each CQI's transport block fails as often as it may (0.1; 1e-5
    with table 3), TS 38.214 §5.2.2.1.
    """
    if np.shape(thresholds_db) != (15,):
        raise bad_value("thresholds_db", np.shape(thresholds_db), "15 SNRs, of CQI 1 to 15")
    # a CQI that needs less than the one before takes its place
    sorted_db = np.minimum.accumulate(np.asarray(thresholds_db, float)[::-1])[::-1]
    return np.asarray(np.searchsorted(sorted_db, np.asarray(snr_db, float), side="right"), np.int64)
