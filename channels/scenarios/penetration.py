"""Loss of walls and cars (TR 38.901 §7.4.3, Rel-19, and Rel-14 where they differ)."""

from __future__ import annotations

import math

import numpy as np

from channels.scenarios.environment import Penetration, Spec

#: Standard deviation of the low-loss and the high-loss model, dB (table 7.4.3-2).
_LOW_STD_DB, _HIGH_STD_DB = 4.4, 6.5


def wall_loss_db(frequency_ghz: float, high: bool, spec: Spec = 19) -> float:
    """Loss through the outer wall, by power through glass and concrete (tables 7.4.3-1 and 7.4.3-2).

    Glass with an infrared-reflecting coat, that of high loss, was 23 + 0.3 f before Rel-19.
    """
    concrete = 5 + 4 * frequency_ghz
    coated = 25.4 + 0.11 * frequency_ghz if spec == 19 else 23 + 0.3 * frequency_ghz
    glass = coated if high else 2 + 0.2 * frequency_ghz
    share = 0.7 if high else 0.3
    return 5 - 10 * math.log10(share * 10 ** (-glass / 10) + (1 - share) * 10 ** (-concrete / 10))


def penetration_db(
    model: Penetration,
    frequency_ghz: float,
    indoor_distance_m: np.ndarray,
    uniform: np.ndarray,
    normal: np.ndarray,
    spec: Spec = 19,
) -> np.ndarray:
    """Loss of users in buildings: outer wall, way indoors, and what varies between buildings.

    "mixed": half of the users, those of `uniform` below 0.5, are in buildings of low loss. "below 6 GHz" is the model
    of table 7.4.3-3: 20 dB, nothing random. uniform and normal: independent, one each per user.
    """
    inside = 0.5 * indoor_distance_m
    if model == "below 6 GHz":
        return 20.0 + inside
    high = np.full(np.shape(uniform), model == "high") if model != "mixed" else uniform >= 0.5
    wall = np.where(high, wall_loss_db(frequency_ghz, True, spec), wall_loss_db(frequency_ghz, False, spec))
    return wall + inside + normal * np.where(high, _HIGH_STD_DB, _LOW_STD_DB)


def car_loss_db(normal: np.ndarray) -> np.ndarray:
    """Loss of users in cars with ordinary windows: 9 dB on average, 5 dB standard deviation (§7.4.3.2)."""
    return 9.0 + 5.0 * normal
