"""The rural macro cell of TR 38.901 (RMa)."""

from __future__ import annotations

import math

import numpy as np

from channels.scenarios.environment import LOS, Environment, Penetration, checked_height
from channels.scenarios.links import Links

_SPEED_OF_LIGHT_MPS = 3e8


class RuralMacro(Environment):
    """RMa: users in houses and cars. building_height_m 5 to 50 and street_width_m 5 to 50 (table 7.4.1-1)."""

    name = "rma"
    frequencies_hz = (0.5e9, 7e9)  # where table 7.5-6 ends
    min_distance_m = 35.0
    max_distance_m = 10_000.0
    base_height_m = 35.0
    user_height_m = 1.5
    indoor_ratio = 0.5
    indoor_depth_m = 10.0
    in_cars = True

    def __init__(
        self, carrier_frequency_hz: float, building_height_m: float = 5.0, street_width_m: float = 20.0
    ) -> None:
        super().__init__(carrier_frequency_hz)
        self.building_height_m = checked_height("building_height_m", building_height_m, 5, 50)
        self.street_width_m = checked_height("street_width_m", street_width_m, 5, 50)

    @property
    def penetration(self) -> Penetration:
        return "low"

    def los_probability(self, links: Links) -> np.ndarray:
        return np.exp(-np.maximum(links.outdoor_distance_m - 10, 0) / 1000)

    def _break_point_m(self, links: Links) -> np.ndarray:
        product = links.base_height_m * links.user_height_m * self.carrier_frequency_hz
        return 2 * math.pi * product / _SPEED_OF_LIGHT_MPS

    def _clear_db(self, distance_m: np.ndarray) -> np.ndarray:
        roofs = self.building_height_m**1.72
        loss = 20 * np.log10(40 * math.pi * distance_m * self.frequency_ghz / 3)
        loss = loss + min(0.03 * roofs, 10) * np.log10(distance_m) - min(0.044 * roofs, 14.77)
        return loss + 0.002 * math.log10(self.building_height_m) * distance_m

    def path_loss_db(self, links: Links, los: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
        d3, corner = links.distance_3d_m, self._break_point_m(links)
        far = self._clear_db(corner) + 40 * np.log10(d3 / corner)
        clear = np.where(links.distance_2d_m < corner, self._clear_db(d3), far)
        base, roofs = np.log10(links.base_height_m), self.building_height_m
        shadowed = 161.04 - 7.1 * math.log10(self.street_width_m) + 7.5 * math.log10(roofs)
        shadowed = shadowed - (24.37 - 3.7 * (roofs / links.base_height_m) ** 2) * base
        shadowed = shadowed + (43.42 - 3.1 * base) * (np.log10(d3) - 3) + 20 * math.log10(self.frequency_ghz)
        shadowed = shadowed - (3.2 * np.log10(11.75 * links.user_height_m) ** 2 - 4.97)
        return np.where(los, clear, np.maximum(clear, shadowed))

    def shadowing_std_db(self, links: Links, condition: np.ndarray, table: np.ndarray) -> np.ndarray:
        beyond = links.distance_2d_m >= self._break_point_m(links)
        return np.where(condition == LOS, np.where(beyond, 6.0, 4.0), table)

    def zenith_spread_of_departure(self, links: Links, los: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        # an outdoor line of sight does not reach the users in houses
        clear = los & ~links.indoor
        km, above = links.distance_2d_m / 1000, links.user_height_m - 1.5
        mean = np.where(clear, -0.17 * km + 0.22, -0.19 * km + 0.28) - 0.01 * above
        offset = np.degrees(np.arctan(31.5 / links.distance_2d_m) - np.arctan(33.5 / links.distance_2d_m))
        return np.maximum(-1, mean), np.where(clear, 0.34, 0.30), np.where(clear, 0.0, offset)
