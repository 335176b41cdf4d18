"""What every scenario of TR 38.901 states: line of sight, path loss, shadowing, vertical spread of departure."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import numpy as np

from channels.errors import bad_value
from channels.scenarios.links import Links

#: Propagation conditions in the order in which arrays of conditions number them.
CONDITIONS = ("los", "nlos", "o2i")
LOS, NLOS, O2I = range(3)
Penetration = Literal["low", "high", "mixed", "below 6 GHz"]
Spec = Literal[14, 19]


class Environment(ABC):
    """A scenario at a carrier frequency. Losses in dB, frequencies in Hz, arrays of the links' shape.

    Defaults of users and sites are those of TR 38.901 tables 7.2-1 to 7.2-5 (Rel-19).
    """

    name: ClassVar[str]
    #: Carrier frequencies for which the scenario is valid (TR 38.901 tables 7.4.1-1 and 7.5-6).
    frequencies_hz: ClassVar[tuple[float, float]] = (0.5e9, 100e9)
    #: Frequency-dependent large-scale parameters are taken at this frequency below it (table 7.5-6).
    least_parameter_frequency_hz: ClassVar[float] = 0.5e9
    min_distance_m: ClassVar[float]
    max_distance_m: ClassVar[float] = 5000.0
    indoor_ratio: ClassVar[float]
    base_height_m: float
    user_height_m: float
    #: Whether users outside buildings are in cars.
    in_cars: ClassVar[bool] = False
    #: Depth of buildings: the horizontal distance indoors is the lesser of two uniform numbers up to it.
    indoor_depth_m: ClassVar[float] = 25.0
    #: Least and largest number of floors of a building (TR 36.873 table 6-1, which TR 38.901 table 7.8-1 takes over).
    floors: ClassVar[tuple[int, int]] = (4, 8)

    #: Release of TR 38.901 whose tables hold; those of 14 to 18 do not differ.
    spec: Spec = 19

    def __init__(self, carrier_frequency_hz: float) -> None:
        low, high = self.frequencies_hz
        given = carrier_frequency_hz
        if isinstance(given, bool) or not isinstance(given, (int, float)) or not low <= given <= high:
            allowed = f"{low / 1e9:g}e9 to {high / 1e9:g}e9 for {self.name} (TR 38.901 tables 7.4.1-1, 7.5-6)"
            raise bad_value("carrier_frequency_hz", given, allowed)
        self.carrier_frequency_hz = float(given)

    @property
    def frequency_ghz(self) -> float:
        return self.carrier_frequency_hz / 1e9

    @property
    def parameter_frequency_ghz(self) -> float:
        return max(self.carrier_frequency_hz, self.least_parameter_frequency_hz) / 1e9

    @property
    def penetration(self) -> Penetration:
        """Loss of building walls where nobody says."""
        return "mixed"

    @abstractmethod
    def los_probability(self, links: Links) -> np.ndarray:
        """Probability that the outdoor part of a link has a line of sight (table 7.4.2-1)."""

    @abstractmethod
    def path_loss_db(self, links: Links, los: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
        """Basic path loss, without shadowing and walls (table 7.4.1-1).

        los: whether the outdoor part has a line of sight. uniforms [..., 2]: numbers from 0 to 1 for what the
        formulas draw.
        """

    @abstractmethod
    def zenith_spread_of_departure(self, links: Links, los: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean and standard deviation of log10(ZSD in degrees), and the offset of the zenith of departure in degrees.

        Tables 7.5-7 to 7.5-11; los as above.
        """

    def shadowing_std_db(self, links: Links, condition: np.ndarray, table: np.ndarray) -> np.ndarray:
        """Standard deviation of shadowing. table: that of the condition in table 7.5-6 or 7.4.1-1."""
        return table

    def log_delay_spread(self, condition: np.ndarray, table: np.ndarray) -> np.ndarray:
        """Mean of log10(delay spread in s). table: that of table 7.5-6."""
        return table


def checked_spec(given: int) -> Spec:
    """A release of TR 38.901 whose tables are here."""
    if isinstance(given, bool) or given not in (14, 19):
        raise bad_value("spec", given, "14 or 19, releases of TR 38.901")
    return 14 if given == 14 else 19


def checked_height(what: str, given: float, low: float, high: float) -> float:
    """A height in metres within its validity."""
    good = isinstance(given, (int, float)) and not isinstance(given, bool) and math.isfinite(given)
    if not good or not low <= given <= high:
        raise bad_value(what, given, f"{low:g} to {high:g} (TR 38.901 table 7.4.1-1)")
    return float(given)
