"""Components that TR 38.901 §7.6 adds to a scenario on request: absolute delays, oxygen, blockage (Rel-19)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from channels.dual_mobility import dual_mobility
from channels.errors import bad_value
from channels.scenarios.blockage import Regions, RegionsDrawn, Screens, blockage_of
from channels.scenarios.environment import LOS, Environment
from channels.scenarios.field import correlated_fields
from channels.scenarios.indoor import IndoorFactory, IndoorOffice
from channels.scenarios.link_drop import LinkDrop
from channels.waves import SPEED_OF_LIGHT_MPS

#: Loss in oxygen in dB per km from 52 to 68 GHz, one value per GHz (table 7.6.1-1).
_OXYGEN_GHZ = np.arange(52, 69)
_OXYGEN_DB_PER_KM = (0, 1, 2.2, 4, 6.6, 9.7, 12.6, 14.6, 15, 14.6, 14.3, 10.5, 6.8, 3.9, 1.9, 1, 0)
#: Mean and standard deviation of log10 of the excess delay in s without a line of sight, and its correlation distance
#: in metres (table 7.6.9-1). "inf": base stations among the clutter; those above it have another distance.
_EXCESS = {
    "inh": (-8.6, 0.1, 10.0),
    "inf": (-7.5, 0.4, 6.0),
    "umi": (-7.5, 0.5, 15.0),
    "uma": (-7.4, 0.2, 50.0),
    "rma": (-8.33, 0.26, 50.0),
    "sma": (-7.702, 0.4, 50.0),
}
_EXCESS_DISTANCE_ABOVE_CLUTTER_M = 11.0


@dataclass(frozen=True)
class Drawn:
    """What is random in the components. excess [batch, num_places]: N(0, 1) of the excess delay."""

    excess: np.ndarray | None
    regions: RegionsDrawn | None


class Additions:
    """The components of one scenario. Without any no random number is drawn."""

    def __init__(
        self,
        environment: Environment,
        mobility: bool = False,
        absolute_delay: bool = False,
        oxygen: bool = False,
        blockage: dict[str, Any] | None = None,
        dual: dict[str, Any] | None = None,
    ) -> None:
        self.environment, self.mobility, self.absolute_delay, self.oxygen = (
            environment,
            mobility,
            absolute_delay,
            oxygen,
        )
        self.blockage = None if blockage is None else blockage_of(blockage, environment)
        self.dual = None if dual is None else dual_mobility(dual)
        if self.dual is not None and mobility:
            raise bad_value("dual_mobility", dual, "without mobility, whose base station stands still (§7.6.3.2)")

    @property
    def any(self) -> bool:
        return self.absolute_delay or self.oxygen or self.blockage is not None

    def draw(self, generators: Sequence[np.random.Generator], places_m: np.ndarray, indoor: np.ndarray) -> Drawn:
        """Random numbers of drops at places along their ways, [batch, num_places, 2]; the excess delay's first."""
        excess = regions = None
        if self.absolute_delay:
            distance = np.array([self._excess()[2]])
            excess = np.stack([correlated_fields(g, distance, p)[0] for g, p in zip(generators, places_m, strict=True)])
        if isinstance(self.blockage, Regions):
            regions = self.blockage.draw(generators, places_m, indoor)
        return Drawn(excess, regions)

    def excess_delay_s(self, condition: np.ndarray, drawn: Drawn, place: int) -> np.ndarray:
        """By how much the first path is late, [batch]: nothing with a line of sight (§7.6.9)."""
        if drawn.excess is None:
            return np.zeros(condition.shape)
        mean, std, _ = self._excess()
        excess = 10 ** (mean + std * drawn.excess[:, place])
        if isinstance(self.environment, IndoorFactory):
            excess = np.minimum(excess, 2 * max(self.environment.size_m) / SPEED_OF_LIGHT_MPS)
        elif isinstance(self.environment, IndoorOffice):
            excess = np.minimum(excess, 2 * max(self.environment.room_m) / SPEED_OF_LIGHT_MPS)
        return np.where(condition == LOS, 0.0, excess)

    def with_absolute_delays(self, drop: LinkDrop, drawn: Drawn) -> LinkDrop:
        """A drop whose delays are those of the whole way from array to array, if wanted."""
        if not self.absolute_delay:
            return drop
        late = drop.links.distance_3d_m / SPEED_OF_LIGHT_MPS + self.excess_delay_s(drop.state.condition, drawn, 0)
        clusters = drop.clusters
        # the way's length is what the delay says from now on
        least = -drop.links.distance_3d_m / SPEED_OF_LIGHT_MPS
        return replace(
            drop, clusters=replace(clusters, delays_s=clusters.delays_s + late[:, None], least_delay_s=least)
        )

    def attenuated(self, drop: LinkDrop, way_m: np.ndarray, drawn: Drawn, place: int) -> LinkDrop:
        """A drop without what oxygen and blockers take away. way_m [batch, num_paths]: lengths of the paths."""
        clusters = drop.clusters
        of_path, of_los, of_ray = np.zeros_like(way_m), np.zeros(len(way_m)), None
        if self.oxygen:
            per_m = oxygen_db_per_km(self.environment.frequency_ghz) / 1000
            of_path = of_path + per_m * way_m
            of_los = of_los + per_m * drop.links.distance_3d_m
        if isinstance(self.blockage, Regions) and drawn.regions is not None:
            path_db, los_db = self.blockage.losses_db(drop, drawn.regions, place)
            of_path, of_los = of_path + path_db, of_los + los_db
        if isinstance(self.blockage, Screens):
            of_ray, los_db = self.blockage.losses_db(drop)
            of_los = of_los + los_db
        power = 10 ** (-of_path / 10)
        changed = replace(
            clusters,
            powers=clusters.powers * power,
            power_of_ray=clusters.power_of_ray * power,
            los_power=clusters.los_power * 10 ** (-of_los / 10),
            ray_factors=None if of_ray is None else 10 ** (-of_ray / 20),
        )
        return replace(drop, clusters=changed)

    def _excess(self) -> tuple[float, float, float]:
        mean, std, distance = _EXCESS[self.environment.name]
        if isinstance(self.environment, IndoorFactory) and self.environment.hall[1] == "H":
            distance = _EXCESS_DISTANCE_ABOVE_CLUTTER_M
        return mean, std, distance


def oxygen_db_per_km(frequency_ghz: float) -> float:
    """Loss in oxygen, linear between the table's frequencies (table 7.6.1-1)."""
    return float(np.interp(frequency_ghz, _OXYGEN_GHZ, _OXYGEN_DB_PER_KM))
