"""Urban scenarios of TR 38.901: street canyons (UMi) and macro cells (UMa)."""

from __future__ import annotations

import numpy as np

from channels.scenarios.environment import Environment, Penetration, Spec, checked_spec
from channels.scenarios.links import Links

#: As the formulas of table 7.4.1-1 have it.
_SPEED_OF_LIGHT_MPS = 3e8


class _Urban(Environment):
    """spec: release of TR 38.901 whose tables hold: 19 changed spreads and the loss of coated glass."""

    user_height_m = 1.5
    indoor_ratio = 0.8

    def __init__(self, carrier_frequency_hz: float, spec: Spec = 19) -> None:
        super().__init__(carrier_frequency_hz)
        self.spec = checked_spec(spec)

    @property
    def penetration(self) -> Penetration:
        # table 7.4.3-3 is for single frequencies below 6 GHz
        return "below 6 GHz" if self.carrier_frequency_hz < 6e9 else "mixed"

    def _break_point_m(self, links: Links, environment_height_m: np.ndarray | float) -> np.ndarray:
        product = (links.base_height_m - environment_height_m) * (links.user_height_m - environment_height_m)
        return 4 * product * self.carrier_frequency_hz / _SPEED_OF_LIGHT_MPS


class UrbanMicro(_Urban):
    """UMi, street canyon: base stations below the roofs."""

    name = "umi"
    least_parameter_frequency_hz = 2e9
    min_distance_m = 10.0
    base_height_m = 10.0

    def los_probability(self, links: Links) -> np.ndarray:
        distance = np.maximum(links.outdoor_distance_m, 18.0)
        near = 18 / distance
        return near + np.exp(-distance / 36) * (1 - near)

    def path_loss_db(self, links: Links, los: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
        d3, frequency = np.log10(links.distance_3d_m), 20 * np.log10(self.frequency_ghz)
        corner = self._break_point_m(links, 1.0)
        rise = links.base_height_m - links.user_height_m
        near = 32.4 + 21 * d3 + frequency
        far = 32.4 + 40 * d3 + frequency - 9.5 * np.log10(corner**2 + rise**2)
        clear = np.where(links.distance_2d_m < corner, near, far)
        shadowed = 22.4 + 35.3 * d3 + 21.3 * np.log10(self.frequency_ghz) - 0.3 * (links.user_height_m - 1.5)
        return np.where(los, clear, np.maximum(clear, shadowed))

    def zenith_spread_of_departure(self, links: Links, los: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        km, rise = links.distance_2d_m / 1000, links.user_height_m - links.base_height_m
        clear = np.maximum(-0.21, -14.8 * km + 0.01 * np.abs(rise) + 0.83)
        shadowed = np.maximum(-0.5, -3.1 * km + 0.01 * np.maximum(rise, 0) + 0.2)
        offset = -(10 ** (-1.5 * np.log10(np.maximum(10, links.distance_2d_m)) + 3.3))
        mean = np.where(los, clear, shadowed)
        return mean, np.full_like(mean, 0.35), np.where(los, 0.0, offset)


class UrbanMacro(_Urban):
    """UMa: base stations above the roofs."""

    name = "uma"
    least_parameter_frequency_hz = 6e9
    min_distance_m = 35.0
    base_height_m = 25.0

    def los_probability(self, links: Links) -> np.ndarray:
        distance = np.maximum(links.outdoor_distance_m, 18.0)
        near = 18 / distance
        high = 1 + _height_share(links.user_height_m) * 1.25 * (distance / 100) ** 3 * np.exp(-distance / 150)
        return np.where(links.outdoor_distance_m <= 18, 1.0, (near + np.exp(-distance / 63) * (1 - near)) * high)

    def path_loss_db(self, links: Links, los: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
        d3, frequency = np.log10(links.distance_3d_m), 20 * np.log10(self.frequency_ghz)
        corner = self._break_point_m(links, _environment_height_m(links, uniforms))
        rise = links.base_height_m - links.user_height_m
        near = 28 + 22 * d3 + frequency
        far = 28 + 40 * d3 + frequency - 9 * np.log10(corner**2 + rise**2)
        clear = np.where(links.distance_2d_m < corner, near, far)
        shadowed = 13.54 + 39.08 * d3 + frequency - 0.6 * (links.user_height_m - 1.5)
        return np.where(los, clear, np.maximum(clear, shadowed))

    def zenith_spread_of_departure(self, links: Links, los: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        km, above = links.distance_2d_m / 1000, links.user_height_m - 1.5
        mean = np.maximum(-0.5, -2.1 * km - 0.01 * np.abs(above) + np.where(los, 0.75, 0.9))
        log_f = np.log10(self.parameter_frequency_ghz)
        exponent = (0.208 * log_f - 0.782) * np.log10(np.maximum(25, links.distance_2d_m))
        exponent = exponent - 0.13 * log_f + 2.03 - 0.07 * above
        offset = 7.66 * log_f - 5.96 - 10**exponent
        return mean, np.where(los, 0.40, 0.49), np.where(los, 0.0, offset)


def _height_share(user_height_m: np.ndarray) -> np.ndarray:
    """C'(h) of table 7.4.2-1: users above 13 m see over roofs."""
    return (np.maximum(user_height_m - 13, 0) / 10) ** 1.5


def _environment_height_m(links: Links, uniforms: np.ndarray) -> np.ndarray:
    """Height of what reflects between the ends: 1 m, or drawn from 12, 15, ... m for high users (table 7.4.1-1)."""
    distance = links.distance_2d_m
    over_roofs = np.where(distance > 18, 1.25 * (distance / 100) ** 3 * np.exp(-distance / 150), 0.0)
    over_roofs = over_roofs * _height_share(links.user_height_m)
    steps = np.maximum(np.floor((links.user_height_m - 1.5 - 12) / 3) + 1, 1)
    high = 12 + 3 * np.minimum(np.floor(uniforms[..., 1] * steps), steps - 1)
    return np.where(uniforms[..., 0] < 1 / (1 + over_roofs), 1.0, high)
