"""Indoor scenarios of TR 38.901: office (InH) and factory (InF). All users are in the room of the base station."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from channels.errors import bad_value, unknown_name
from channels.scenarios.environment import NLOS, Environment
from channels.scenarios.links import Links


class IndoorOffice(Environment):
    """InH: an open or a mixed office of 120 x 50 m, base stations at the ceiling (table 7.2-2)."""

    name = "inh"
    least_parameter_frequency_hz = 6e9
    min_distance_m = 0.0
    max_distance_m = 150.0
    base_height_m = 3.0
    user_height_m = 1.0
    indoor_ratio = 0.0

    def __init__(self, carrier_frequency_hz: float, office: Literal["open", "mixed"] = "mixed") -> None:
        super().__init__(carrier_frequency_hz)
        if office not in ("open", "mixed"):
            raise unknown_name("office", office, ("open", "mixed"))
        self.office = office
        self.room_m = (120.0, 50.0)

    def los_probability(self, links: Links) -> np.ndarray:
        distance = links.distance_2d_m
        if self.office == "open":
            near = np.exp(-np.maximum(distance - 5, 0) / 70.8)
            return np.where(distance <= 49, near, 0.54 * np.exp(-(distance - 49) / 211.7))
        near = np.exp(-np.maximum(distance - 1.2, 0) / 4.7)
        return np.where(distance < 6.5, near, 0.32 * np.exp(-(distance - 6.5) / 32.6))

    def path_loss_db(self, links: Links, los: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
        d3, log_f = np.log10(links.distance_3d_m), math.log10(self.frequency_ghz)
        clear = 32.4 + 17.3 * d3 + 20 * log_f
        return np.where(los, clear, np.maximum(clear, 17.3 + 38.3 * d3 + 24.9 * log_f))

    def zenith_spread_of_departure(self, links: Links, los: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        log_f = math.log10(1 + self.parameter_frequency_ghz)
        mean = np.where(los, -1.43 * log_f + 2.228, 1.08)
        return mean, np.where(los, 0.13 * log_f + 0.30, 0.36), np.zeros_like(mean)


#: Hall in metres, share of clutter, its size and its height in metres (table 7.8-7; high ends: none there, ours).
_FACTORIES: dict[str, tuple[tuple[float, float, float], float, float, float]] = {
    "SL": ((120.0, 60.0, 10.0), 0.2, 10.0, 2.0),
    "DL": ((300.0, 150.0, 10.0), 0.6, 2.0, 6.0),
    "SH": ((300.0, 150.0, 10.0), 0.2, 10.0, 2.0),
    "DH": ((120.0, 60.0, 10.0), 0.6, 2.0, 6.0),
    "HH": ((300.0, 150.0, 10.0), 0.0, 1.0, 0.0),
}
#: Shadowing without a line of sight, dB (table 7.4.1-1).
_SHADOWING_DB = {"SL": 5.7, "DL": 7.2, "SH": 5.9, "DH": 4.0, "HH": 0.0}


class IndoorFactory(Environment):
    """InF: a hall with clutter. hall: "SL", "DL", "SH", "DH" or "HH" of table 7.2-4.

    First letter: sparse or dense clutter; second: the base station among (1.5 m) or above it (8 m). "HH": both ends
    above it, always in sight. hall_size_m: length, width, height; clutter_density from 0 to below 1; clutter_size_m;
    clutter_height_m. Left out: table 7.8-7.
    """

    name = "inf"
    min_distance_m = 1.0
    max_distance_m = 600.0
    indoor_ratio = 0.0

    def __init__(
        self,
        carrier_frequency_hz: float,
        hall: Literal["SL", "DL", "SH", "DH", "HH"] = "SH",
        hall_size_m: Sequence[float] | None = None,
        clutter_density: float | None = None,
        clutter_size_m: float | None = None,
        clutter_height_m: float | None = None,
    ) -> None:
        super().__init__(carrier_frequency_hz)
        if hall not in _FACTORIES:
            raise unknown_name("hall", hall, _FACTORIES)
        self.hall = hall
        size, density, extent, height = _FACTORIES[hall]
        if hall_size_m is not None:
            if len(hall_size_m) != 3 or not all(math.isfinite(side) and side > 0 for side in hall_size_m):
                raise bad_value("hall_size_m", list(hall_size_m), "length, width and height, numbers above 0")
            size = (float(hall_size_m[0]), float(hall_size_m[1]), float(hall_size_m[2]))
        self.size_m, self.room_m = size, size[:2]
        self.clutter_density = _within("clutter_density", clutter_density, density, 0.0, 0.99)
        self.clutter_size_m = _within("clutter_size_m", clutter_size_m, extent, 0.1, 100.0)
        self.clutter_height_m = _within("clutter_height_m", clutter_height_m, height, 0.0, 10.0)
        self.base_height_m = 8.0 if hall[1] == "H" else 1.5
        self.user_height_m = 8.0 if hall == "HH" else 1.5
        if hall in ("SH", "DH") and self.clutter_height_m <= self.user_height_m:
            raise bad_value("clutter_height_m", self.clutter_height_m, "more than the users' 1.5 (table 7.4.2-1)")

    def los_probability(self, links: Links) -> np.ndarray:
        if self.hall == "HH" or self.clutter_density == 0:
            return np.ones_like(links.distance_2d_m)
        reach: np.ndarray | float = -self.clutter_size_m / math.log1p(-self.clutter_density)
        if self.hall[1] == "H":
            rise = links.base_height_m - links.user_height_m
            reach = reach * rise / (self.clutter_height_m - links.user_height_m)
        return np.exp(-links.distance_2d_m / reach)

    def path_loss_db(self, links: Links, los: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
        d3, log_f = np.log10(links.distance_3d_m), math.log10(self.frequency_ghz)
        clear = 31.84 + 21.5 * d3 + 19 * log_f
        sparse_low = 33.0 + 25.5 * d3 + 20 * log_f
        shadowed = {
            "SL": sparse_low,
            "DL": np.maximum(18.6 + 35.7 * d3 + 20 * log_f, sparse_low),
            "SH": 32.4 + 23.0 * d3 + 20 * log_f,
            "DH": 33.63 + 21.9 * d3 + 20 * log_f,
            "HH": clear,
        }[self.hall]
        return np.where(los, clear, np.maximum(clear, shadowed))

    def shadowing_std_db(self, links: Links, condition: np.ndarray, table: np.ndarray) -> np.ndarray:
        return np.where(condition == NLOS, _SHADOWING_DB[self.hall], table)

    def log_delay_spread(self, condition: np.ndarray, table: np.ndarray) -> np.ndarray:
        length, width, height = self.size_m
        ratio = length * width * height / (2 * (length * width + length * height + width * height))
        clear, shadowed = math.log10(26 * ratio + 14) - 9.35, math.log10(30 * ratio + 32) - 9.44
        return np.where(condition == NLOS, shadowed, clear)

    def zenith_spread_of_departure(self, links: Links, los: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        mean = np.where(los, 1.35, 1.2)
        return mean, np.where(los, 0.35, 0.55), np.zeros_like(mean)


def _within(what: str, given: float | None, default: float, low: float, high: float) -> float:
    if given is None:
        return default
    if isinstance(given, bool) or not low <= given <= high:
        raise bad_value(what, given, f"{low:g} to {high:g}")
    return float(given)
