"""Users dropped into many cells: gains to all sectors, the serving sector, coupling loss and geometry (large scale)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from channels.arrays import AntennaArray, direction
from channels.scenarios.clusters import draw_clusters, measured_spreads, numbers_needed
from channels.scenarios.environment import Environment, Penetration
from channels.scenarios.field import correlated_fields
from channels.scenarios.large_scale import LinkNumbers, LinkState, conditions, link_states
from channels.scenarios.layout import SECTOR_AZIMUTHS_DEG, Layout
from channels.scenarios.links import Links
from channels.scenarios.parameters import ORDER, Parameters, parameters
from channels.waves import SPEED_OF_LIGHT_MPS

#: Height of a floor (TR 36.873 table 6-1, which TR 38.901 table 7.8-1 takes over).
_FLOOR_M = 3.0
#: Thermal noise density, dBm / Hz.
_NOISE_DBM_PER_HZ = -174.0


@dataclass(frozen=True)
class NetworkDrop:
    """Users in a network; first axis the user.

    users_m float64 [num_users, 2]; height_m, indoor_distance_m float64 [num_users]; indoor bool [num_users].
    state: large-scale state of the links, [num_users, num_sites].
    gain_db float64 [num_users, num_sectors]: from antenna port to antenna port, sector by sector of each site.
    """

    users_m: np.ndarray
    height_m: np.ndarray
    indoor: np.ndarray
    indoor_distance_m: np.ndarray
    state: LinkState
    gain_db: np.ndarray

    @property
    def serving(self) -> np.ndarray:
        """The sector received most strongly, int64 [num_users] (handover margin 0 dB)."""
        return self.gain_db.argmax(-1)

    @property
    def coupling_loss_db(self) -> np.ndarray:
        """Gain from the serving sector, float64 [num_users], negative as TR 38.901's curves are."""
        return self.gain_db.max(-1)

    def geometry_db(self, power_dbm: float | None = None, noise_dbm: float | None = None) -> np.ndarray:
        """Serving sector over all others, and over noise where power and noise are given, float64 [num_users]."""
        power = 10 ** (self.gain_db / 10)
        best = power.max(-1)
        others = np.maximum(power.sum(-1) - best, np.finfo(np.float64).tiny)
        noise = 0.0 if power_dbm is None or noise_dbm is None else 10 ** ((noise_dbm - power_dbm) / 10)
        return 10 * np.log10(best / (others + noise))


def serving_spreads(
    environment: Environment, layout: Layout, drop: NetworkDrop, generator: np.random.Generator
) -> dict[str, np.ndarray]:
    """Spreads of the clusters towards every user's serving site, float64 [num_users]; see `measured_spreads`."""
    users = np.arange(len(drop.users_m))
    site = drop.serving // len(SECTOR_AZIMUTHS_DEG)
    way = layout.from_sites_m(drop.users_m)[users, site]
    azimuth = np.arctan2(way[:, 1], way[:, 0])
    zenith = np.arctan2(np.hypot(way[:, 0], way[:, 1]), drop.height_m - environment.base_height_m)
    state = LinkState(**{field.name: getattr(drop.state, field.name)[users, site] for field in fields(LinkState)})
    constants = parameters(environment)
    num_uniform, num_normal = numbers_needed(int(constants.num_clusters.max()))
    uniforms, normals = generator.random((len(users), num_uniform)), generator.standard_normal((len(users), num_normal))
    clusters = draw_clusters(state, constants, azimuth, zenith, uniforms, normals)
    return measured_spreads(clusters, azimuth, zenith)


def noise_power_dbm(bandwidth_hz: float, noise_figure_db: float) -> float:
    """Thermal noise in a receiver of a bandwidth."""
    return _NOISE_DBM_PER_HZ + 10 * math.log10(bandwidth_hz) + noise_figure_db


def drop_users(
    environment: Environment,
    layout: Layout,
    generator: np.random.Generator,
    num_users: int,
    antenna: AntennaArray,
    indoor_ratio: float | None = None,
    penetration: Penetration | None = None,
    correlated: bool = False,
) -> NetworkDrop:
    """Users uniformly over all cells of a layout, and their gains to all sectors.

    antenna: of every sector, with one port, facing along x: each sector turns it to its direction. Users have an
    isotropic, vertically polarised antenna; the gain is that in the direction of the user. indoor_ratio: share of
    users in buildings; left out: the scenario's own. Large-scale parameters are the same for the sectors of a site and
    independent between sites, and between users unless `correlated`: then those of users in the same condition are
    alike over the distances of table 7.5-6, which takes some ten times as long.
    """
    ratio = environment.indoor_ratio if indoor_ratio is None else indoor_ratio
    uniforms = generator.random((num_users, 9))
    indoor = uniforms[:, 0] < ratio
    inside = np.where(indoor, environment.indoor_depth_m * uniforms[:, 1:3].min(-1), 0.0)
    # the outdoor part of the way is at least the least distance
    users = layout.users_m(uniforms[:, 3:7], environment.min_distance_m + inside)
    height = np.where(indoor, floor_height_m(uniforms[:, 7:9], environment.floors), environment.user_height_m)
    way = layout.from_sites_m(users)
    shape = way.shape[:2]
    links = Links(
        np.hypot(way[..., 0], way[..., 1]),
        np.broadcast_to(inside[:, None], shape),
        np.full(shape, environment.base_height_m),
        np.broadcast_to(height[:, None], shape),
        np.broadcast_to(indoor[:, None], shape),
    )
    numbers = LinkNumbers(
        los=generator.random(shape),
        path_loss=generator.random((*shape, 2)),
        normals=generator.standard_normal((*shape, 7)),
        building=np.broadcast_to(generator.random((num_users, 1)), shape),
        wall=np.broadcast_to(generator.standard_normal((num_users, 1)), shape),
    )
    constants = parameters(environment)
    if correlated:
        los = numbers.los < environment.los_probability(links)
        normals = _alike(conditions(links, los), constants, way, generator)
        numbers = replace(numbers, normals=normals)
    state = link_states(environment, constants, links, numbers, penetration)
    azimuth = np.arctan2(way[..., 1], way[..., 0])
    antenna_db = sector_gain_db(antenna, environment, links.zenith_at_base_rad, azimuth)
    gain = (state.gain_db[..., None] + antenna_db).reshape(num_users, -1)
    return NetworkDrop(users, height, indoor, inside, state, gain)


def _alike(
    condition: np.ndarray, constants: Parameters, way_m: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Normal numbers of the links, [num_users, num_sites, 7]: every site has its own fields per condition."""
    normals = np.empty((*condition.shape, len(ORDER)))
    for site in range(condition.shape[1]):
        for place, distance_m in enumerate(constants.distance_m):
            values = correlated_fields(generator, distance_m, way_m[:, site])
            here = condition[:, site] == place
            normals[here, site] = values.T[here]
    return normals


def floor_height_m(uniforms: np.ndarray, floors: tuple[int, int]) -> np.ndarray:
    """Height of users in buildings, metres: any floor of a house of so many floors. uniforms [..., 2]."""
    low, high = floors
    number = low + np.floor(uniforms[..., 0] * (high - low + 1))
    return _FLOOR_M * np.floor(uniforms[..., 1] * number) + 1.5


def sector_gain_db(
    antenna: AntennaArray, environment: Environment, zenith_rad: np.ndarray, azimuth_rad: np.ndarray
) -> np.ndarray:
    """Power gain of a sector's port towards users, vertical polarisation, dB, float64 [..., 3]."""
    turned = azimuth_rad[..., None] - np.deg2rad(SECTOR_AZIMUTHS_DEG)
    zenith = np.broadcast_to(zenith_rad[..., None], turned.shape)
    toward = direction(torch.from_numpy(np.ascontiguousarray(zenith)), torch.from_numpy(turned))
    wavelength = SPEED_OF_LIGHT_MPS / environment.carrier_frequency_hz
    field = antenna.response(toward.reshape(-1, 3), wavelength)[0, :, 0]
    power = field.abs().double().square().clamp(min=1e-30).numpy()
    return 10 * np.log10(power).reshape(turned.shape)
