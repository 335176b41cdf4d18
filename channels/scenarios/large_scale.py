"""Large-scale state of links: condition, path loss, walls, shadowing, K factor, spreads (TR 38.901 §7.5 steps 2-4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from channels.scenarios.environment import LOS, NLOS, O2I, Environment, Penetration
from channels.scenarios.links import Links
from channels.scenarios.parameters import ORDER, Parameters
from channels.scenarios.penetration import car_loss_db, penetration_db

#: Largest spreads in degrees (TR 38.901 §7.5 step 4): azimuth, zenith.
_MOST_DEG = (104.0, 52.0)


@dataclass(frozen=True)
class LinkNumbers:
    """Random numbers of links, independent: uniform from 0 to 1, or N(0, 1), of the links' shape.

    los, normals [..., 7] and path_loss [..., 2] are of a link, and the same for sectors of a site; building and
    wall are of a user, the same for all its links.
    """

    los: np.ndarray
    path_loss: np.ndarray
    normals: np.ndarray
    building: np.ndarray
    wall: np.ndarray


@dataclass(frozen=True)
class LinkState:
    """Large-scale state of links, float64 of the links' shape.

    condition int64: 0 LOS, 1 NLOS, 2 O2I. path_loss_db: without walls, which are penetration_db. shadowing_db: what a
    link gains. Spreads in s and degrees. zsd_scale_deg: 10 to the mean of log10 of the zenith spread of departure,
    which sets the spread of rays within a cluster; zod_offset_deg.
    """

    condition: np.ndarray
    path_loss_db: np.ndarray
    penetration_db: np.ndarray
    shadowing_db: np.ndarray
    k_factor_db: np.ndarray
    delay_spread_s: np.ndarray
    asd_deg: np.ndarray
    asa_deg: np.ndarray
    zsd_deg: np.ndarray
    zsa_deg: np.ndarray
    zsd_scale_deg: np.ndarray
    zod_offset_deg: np.ndarray

    @property
    def gain_db(self) -> np.ndarray:
        """Power gain between isotropic antennas."""
        return self.shadowing_db - self.path_loss_db - self.penetration_db


def conditions(links: Links, los: np.ndarray) -> np.ndarray:
    """Condition of every link: users in buildings have O2I, whatever the way to the wall is like."""
    return np.where(links.indoor, O2I, np.where(los, LOS, NLOS))


def link_states(
    environment: Environment,
    parameters: Parameters,
    links: Links,
    numbers: LinkNumbers,
    penetration: Penetration | None = None,
    wanted: int | None = None,
) -> LinkState:
    """State of every link. wanted: a condition that all links are to have; None: as the probability has it.

    The line of sight of a user in a building is that up to the wall: it sets the basic path loss, while everything
    else is of the condition O2I.
    """
    los = numbers.los < environment.los_probability(links)
    if wanted in (LOS, NLOS):
        los = np.full_like(los, wanted == LOS)
    condition = conditions(links, los)
    loss = environment.path_loss_db(links, los, numbers.path_loss)
    model = penetration or environment.penetration
    walls = _penetration_db(environment, model, links, numbers)
    mean, std = parameters.mean[condition], parameters.std[condition]
    correlated = np.einsum("...ij,...j->...i", parameters.root[condition], numbers.normals)
    zsd_mean, zsd_std, offset = environment.zenith_spread_of_departure(links, los)

    def normal(name: str) -> np.ndarray:
        return correlated[..., ORDER.index(name)]

    def drawn(name: str) -> np.ndarray:
        place = ORDER.index(name)
        return mean[..., place] + std[..., place] * normal(name)

    def spread(name: str, most: float) -> np.ndarray:
        return np.minimum(10 ** drawn(name), most)

    log_delay = environment.log_delay_spread(condition, mean[..., ORDER.index("ds")])
    shadowing = environment.shadowing_std_db(links, condition, std[..., ORDER.index("sf")]) * normal("sf")
    return LinkState(
        condition=condition,
        path_loss_db=loss,
        penetration_db=walls,
        shadowing_db=shadowing,
        k_factor_db=np.where(condition == LOS, drawn("k"), -np.inf),
        delay_spread_s=10 ** (log_delay + std[..., ORDER.index("ds")] * normal("ds")),
        asd_deg=spread("asd", _MOST_DEG[0]),
        asa_deg=spread("asa", _MOST_DEG[0]),
        zsd_deg=np.minimum(10 ** (zsd_mean + zsd_std * normal("zsd")), _MOST_DEG[1]),
        zsa_deg=spread("zsa", _MOST_DEG[1]),
        zsd_scale_deg=10**zsd_mean,
        zod_offset_deg=offset,
    )


def _penetration_db(environment: Environment, model: Penetration, links: Links, numbers: LinkNumbers) -> np.ndarray:
    """Loss of walls, and in rural cells of the cars that all users outside buildings are in (table 7.2-3)."""
    indoors = penetration_db(
        model, environment.frequency_ghz, links.indoor_distance_m, numbers.building, numbers.wall, environment.spec
    )
    outdoors = car_loss_db(numbers.wall) if environment.in_cars else np.zeros_like(indoors)
    return np.where(links.indoor, indoors, outdoors)
