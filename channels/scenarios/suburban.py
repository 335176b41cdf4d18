"""The suburban macro cell of TR 38.901 (SMa, Rel-19): houses, trees, base stations above them."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from channels.errors import unknown_name
from channels.scenarios.environment import Penetration
from channels.scenarios.links import Links
from channels.scenarios.rural import RuralMacro

#: Share of the ground that is covered by commercial and by residential buildings and their heights in metres; height
#: of vegetation; extent of an obstacle (table 7.4.2-1).
_COMMERCIAL, _RESIDENTIAL, _TREES_M, _CLUTTER_M = (0.02, 20.0), (0.18, 8.0), 15.0, 30.0
_VEGETATION = {"none": 0.0, "sparse": 0.1, "dense": 0.2}


class SuburbanMacro(RuralMacro):
    """SMa: users in houses of two floors and in cars. vegetation: "none", "sparse" or "dense" (table 7.4.2-1).

    Path loss is that of RMa with houses of 10 m and streets of 10 m (table 7.4.1-1); clusters as in table 7.5-6 part 4,
    which ends at 24 GHz.
    """

    name = "sma"
    frequencies_hz = (0.5e9, 24e9)
    max_distance_m = 5000.0
    indoor_ratio = 0.8
    floors = (2, 2)

    def __init__(
        self,
        carrier_frequency_hz: float,
        vegetation: Literal["none", "sparse", "dense"] = "sparse",
        building_height_m: float = 10.0,
        street_width_m: float = 10.0,
    ) -> None:
        super().__init__(carrier_frequency_hz, building_height_m, street_width_m)
        if vegetation not in _VEGETATION:
            raise unknown_name("vegetation", vegetation, _VEGETATION)
        self.vegetation = vegetation

    @property
    def penetration(self) -> Penetration:
        return "low"

    def los_probability(self, links: Links) -> np.ndarray:
        rise = links.base_height_m - links.user_height_m
        above = np.zeros_like(links.distance_2d_m)
        for share, height in (_COMMERCIAL, _RESIDENTIAL, (_VEGETATION[self.vegetation], _TREES_M)):
            above = above - math.log1p(-share) * np.maximum(height - links.user_height_m, 0.0)
        distance = links.outdoor_distance_m
        return np.where(distance <= 10, 1.0, np.exp(-distance * above / (_CLUTTER_M * rise)))

    def zenith_spread_of_departure(self, links: Links, los: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        mean = np.full_like(links.distance_2d_m, 0.14)
        return mean, np.full_like(mean, 0.16), np.where(los & ~links.indoor, 0.0, 3.5)
