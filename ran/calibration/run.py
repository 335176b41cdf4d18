"""Drops of a calibration setup and their percentiles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from channels.arrays import antenna_array
from channels.scenarios import HexagonalLayout, drop_users, noise_power_dbm, serving_spreads
from channels.waves import SPEED_OF_LIGHT_MPS
from ran.calibration.setups import METRICS, TOLERANCE_DB, Setup
from ran.link.streams import stream

#: Users of a drop: ten per sector (TR 38.901 table 7.8-1 with TR 36.873 table 6-1).
USERS_PER_SECTOR = 10
#: Percentiles that tables show.
PERCENTILES = (1, *range(5, 100, 5), 99)
#: Of the intervals.
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Percentile:
    """A percentile and the interval that holds the true one with 95 %, in the metric's unit; the reference, if any."""

    metric: str
    percent: int
    value: float
    low: float
    high: float
    reference: float | None
    tolerance: float | None

    @property
    def deviation(self) -> float | None:
        return None if self.reference is None else self.value - self.reference

    @property
    def is_met(self) -> bool | None:
        """Whether the reference is met; None without one."""
        if self.deviation is None or self.tolerance is None:
            return None
        return abs(self.deviation) <= self.tolerance


@dataclass(frozen=True)
class Calibration:
    """What a setup gave. values: by metric, float64 [num_users], sorted."""

    setup: Setup
    drops: int
    seed: int
    values: dict[str, np.ndarray]

    @property
    def num_users(self) -> int:
        return len(self.values["sir"])

    def percentile(self, metric: str, percent: int) -> Percentile:
        values = self.values[metric]
        low, high = _interval(len(values), percent / 100)
        return Percentile(
            metric,
            percent,
            float(np.percentile(values, percent)),
            float(values[low]),
            float(values[high]),
            self.setup.reference.get(metric, {}).get(percent),
            TOLERANCE_DB.get(metric),
        )

    def against_reference(self) -> list[Percentile]:
        """All percentiles that have a reference."""
        of = self.setup.reference
        return [self.percentile(metric, percent) for metric in of for percent in of[metric]]


def calibrate(setup: Setup, drops: int, seed: int, spreads: bool = False) -> Calibration:
    """Simulate `drops` drops; each depends on the setup, the seed and its number alone.

    spreads: delay and angle spreads of the serving links as well.
    """
    environment = setup.environment(setup.carrier_frequency_hz)
    layout = HexagonalLayout(setup.num_sites, setup.inter_site_distance_m)
    block = {
        "rows": 10,
        "columns": 1,
        "pattern": "38.901",
        "subarray_rows": 10,
        "subarray_zenith_deg": setup.beam_zenith_deg,
    }
    sector = antenna_array(block, SPEED_OF_LIGHT_MPS / setup.carrier_frequency_hz)
    noise = noise_power_dbm(setup.bandwidth_hz, setup.noise_figure_db)
    users = USERS_PER_SECTOR * layout.num_sectors
    parts: dict[str, list[np.ndarray]] = {}
    for index in range(drops):
        generator = stream(seed, setup.name, index, "network")
        drop = drop_users(environment, layout, generator, users, sector, setup.indoor_ratio)
        found = {
            "coupling_loss": drop.coupling_loss_db,
            "sir": drop.geometry_db(),
            "sinr": drop.geometry_db(setup.power_dbm, noise),
        }
        if spreads:
            found |= serving_spreads(environment, layout, drop, stream(seed, setup.name, index, "clusters"))
        for name, values in found.items():
            parts.setdefault(name, []).append(values * METRICS[name].factor)
    return Calibration(
        setup, drops, seed, {name: np.sort(np.concatenate(parts[name])) for name in METRICS if name in parts}
    )


def _interval(num: int, share: float) -> tuple[int, int]:
    """Places in a sorted sample between which the quantile is, by the binomial distribution."""
    tail = (1 - _CONFIDENCE) / 2
    low = int(binom.ppf(tail, num, share)) - 1
    high = math.ceil(float(binom.ppf(1 - tail, num, share)))
    return max(low, 0), min(high, num - 1)
