"""One user per drop: where it is, its large-scale state and its clusters, all from the drop's own generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from channels.request import check_generators
from channels.scenarios.clusters import ClusterDraw, draw_clusters, numbers_needed
from channels.scenarios.environment import LOS, NLOS, O2I, Environment, Penetration
from channels.scenarios.indoor import IndoorFactory, IndoorOffice
from channels.scenarios.large_scale import LinkNumbers, LinkState, link_states
from channels.scenarios.layout import HexagonalLayout
from channels.scenarios.links import Links
from channels.scenarios.network import floor_height_m
from channels.scenarios.parameters import Parameters
from channels.waves import SPEED_OF_LIGHT_MPS

#: Uniform numbers of a drop before those of its clusters: indoors, depth (2), place (3), floor (2), line of sight, path
#: loss (2), building, azimuth of travel, bearing of the terminal.
_PLACING = 14
#: Normal numbers before those of its clusters: large-scale parameters (7), walls.
_SHADOWING = 8
#: A sector's share of the directions around a site.
_SECTOR_RAD = 2 * np.pi / 3


@dataclass(frozen=True)
class Cell:
    """Where users are dropped. One of inter_site_distance_m and distance_m is None, both are in a room.

    inter_site_distance_m: uniformly over a sector, a third of the hexagon around the site.
    distance_m: least and largest horizontal distance, uniformly over that part of a sector of 120 degrees.
    indoor_ratio: share of users in buildings. condition: the one that all users have; None: as it comes.
    """

    inter_site_distance_m: float | None
    distance_m: tuple[float, float] | None
    indoor_ratio: float
    condition: int | None
    penetration: Penetration | None


@dataclass(frozen=True)
class LinkDrop:
    """Users of a batch of drops, arrays [batch]. The site is the origin and its sector faces along x."""

    links: Links
    azimuth_rad: np.ndarray
    state: LinkState
    clusters: ClusterDraw
    travel_azimuth_rad: np.ndarray
    bearing_rad: np.ndarray

    @property
    def way_m(self) -> np.ndarray:
        """Lengths of the paths from array to array, [batch, num_paths] (as in TR 38.901 eq. (7.6-9), k = 0)."""
        excess = self.clusters.delays_s + self.clusters.least_delay_s[:, None]
        return self.links.distance_3d_m[:, None] + SPEED_OF_LIGHT_MPS * excess


@dataclass(frozen=True)
class Placing:
    """Users of a batch of drops before anything is known of their links, and the random numbers for these.

    uniforms, normals: those of `channels.scenarios.clusters.draw_clusters`.
    """

    links: Links
    azimuth_rad: np.ndarray
    numbers: LinkNumbers
    travel_azimuth_rad: np.ndarray
    bearing_rad: np.ndarray
    uniforms: np.ndarray
    normals: np.ndarray


def place_users(
    environment: Environment, parameters: Parameters, cell: Cell, generators: Sequence[np.random.Generator]
) -> Placing:
    """One draw per generator: a call for uniform numbers, then a call for normal ones."""
    check_generators(generators)
    num_uniform, num_normal = numbers_needed(int(parameters.num_clusters.max()))
    uniforms = np.empty((len(generators), _PLACING + num_uniform))
    normals = np.empty((len(generators), _SHADOWING + num_normal))
    for uniform, normal, generator in zip(uniforms, normals, generators, strict=True):
        generator.random(out=uniform)
        generator.standard_normal(out=normal)
    links, azimuth = _placed(environment, cell, uniforms[:, :8])
    numbers = LinkNumbers(
        los=uniforms[:, 8],
        path_loss=uniforms[:, 9:11],
        normals=normals[:, :7],
        building=uniforms[:, 11],
        wall=normals[:, 7],
    )
    travel, bearing = 2 * np.pi * uniforms[:, 12], 2 * np.pi * uniforms[:, 13]
    return Placing(links, azimuth, numbers, travel, bearing, uniforms[:, _PLACING:], normals[:, _SHADOWING:])


def drop_links(
    environment: Environment, parameters: Parameters, cell: Cell, generators: Sequence[np.random.Generator]
) -> LinkDrop:
    """Users, large-scale state and clusters; random numbers of a drop as in `place_users`."""
    user = place_users(environment, parameters, cell, generators)
    state = link_states(environment, parameters, user.links, user.numbers, cell.penetration, cell.condition)
    zenith = user.links.zenith_at_base_rad
    clusters = draw_clusters(state, parameters, user.azimuth_rad, zenith, user.uniforms, user.normals)
    return LinkDrop(user.links, user.azimuth_rad, state, clusters, user.travel_azimuth_rad, user.bearing_rad)


def _placed(environment: Environment, cell: Cell, uniforms: np.ndarray) -> tuple[Links, np.ndarray]:
    ratio = {None: cell.indoor_ratio, LOS: 0.0, NLOS: 0.0, O2I: 1.0}[cell.condition]
    indoor = uniforms[:, 0] < ratio
    inside = np.where(indoor, environment.indoor_depth_m * uniforms[:, 1:3].min(-1), 0.0)
    if isinstance(environment, (IndoorOffice, IndoorFactory)) and cell.distance_m is None:
        place = (uniforms[:, 3:5] - 0.5) * np.array(environment.room_m)
        distance, azimuth = np.hypot(place[:, 0], place[:, 1]), np.arctan2(place[:, 1], place[:, 0])
        distance = np.maximum(distance, environment.min_distance_m)
    elif cell.distance_m is not None:
        low, high = cell.distance_m
        distance = np.sqrt(low**2 + uniforms[:, 3] * (high**2 - low**2))
        azimuth = (uniforms[:, 4] - 0.5) * _SECTOR_RAD
        inside = np.minimum(inside, distance - environment.min_distance_m)
    else:
        layout = HexagonalLayout(1, cell.inter_site_distance_m or 0.0, wrap=False)
        place = layout.place(uniforms[:, 3:6], environment.min_distance_m + inside)
        distance, azimuth = np.hypot(place[:, 0], place[:, 1]), np.arctan2(place[:, 1], place[:, 0])
        # the hexagon looks alike from all three sectors
        azimuth = (azimuth - np.pi / 6 + _SECTOR_RAD / 2) % _SECTOR_RAD - _SECTOR_RAD / 2
    height = np.where(indoor, floor_height_m(uniforms[:, 6:8], environment.floors), environment.user_height_m)
    return Links(distance, inside, np.full_like(distance, environment.base_height_m), height, indoor), azimuth
