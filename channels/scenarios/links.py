"""Where users stand towards base stations: the geometry that path loss and large-scale parameters are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Links:
    """Links between users and sites; all arrays float64 or bool of one shape, or broadcastable to it.

    distance_2d_m: horizontal distance, of which indoor_distance_m is inside the user's building.
    base_height_m, user_height_m: above ground. indoor: the user is in a building and the base station is not.
    """

    distance_2d_m: np.ndarray
    indoor_distance_m: np.ndarray
    base_height_m: np.ndarray
    user_height_m: np.ndarray
    indoor: np.ndarray

    @property
    def outdoor_distance_m(self) -> np.ndarray:
        """Horizontal distance outside the user's building."""
        return np.maximum(self.distance_2d_m - self.indoor_distance_m, 0.0)

    @property
    def distance_3d_m(self) -> np.ndarray:
        return np.hypot(self.distance_2d_m, self.base_height_m - self.user_height_m)

    @property
    def zenith_at_base_rad(self) -> np.ndarray:
        """Zenith angle of the user as seen from the base station; from the user it is pi minus this."""
        return np.arctan2(self.distance_2d_m, self.user_height_m - self.base_height_m)
