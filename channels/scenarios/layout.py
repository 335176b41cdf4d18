"""Layouts of sites with three sectors each: hexagonal on a torus that has no edge, and an office's ceiling."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from channels.errors import bad_value

#: Directions of the sectors, degrees (TR 38.901 table 7.8-1).
SECTOR_AZIMUTHS_DEG = (30.0, 150.0, 270.0)
#: Steps along the two axes of the lattice to the nearest copy of a cluster of so many sites.
_PERIODS = {1: (1, 0), 7: (2, 1), 19: (3, 2)}
#: Direction of a nearest neighbour, degrees: a sector of three hexagonal cells per site faces the next site.
_LATTICE_DEG = 30.0


@dataclass(frozen=True)
class HexagonalLayout:
    """Sites on a triangular lattice. num_sites: 1, 7 or 19. wrap: the cluster repeats itself in all directions."""

    num_sites: int
    inter_site_distance_m: float
    wrap: bool = True

    def __post_init__(self) -> None:
        if self.num_sites not in _PERIODS:
            raise bad_value("num_sites", self.num_sites, "1, 7 or 19")
        if not (np.isfinite(self.inter_site_distance_m) and self.inter_site_distance_m > 0):
            raise bad_value("inter_site_distance_m", self.inter_site_distance_m, "a finite number above 0")

    @property
    def num_sectors(self) -> int:
        return 3 * self.num_sites

    @cached_property
    def _axes(self) -> np.ndarray:
        """The lattice's six directions, metres, float64 [6, 2]."""
        angle = np.deg2rad(_LATTICE_DEG + 60 * np.arange(6))
        return self.inter_site_distance_m * np.stack([np.cos(angle), np.sin(angle)], -1)

    @cached_property
    def sites_m(self) -> np.ndarray:
        """Places of the sites, the middle one first, float64 [num_sites, 2]."""
        places, rings = [np.zeros(2)], {1: 0, 7: 1, 19: 2}[self.num_sites]
        for ring in range(1, rings + 1):
            for side in range(6):
                for step in range(ring):
                    places.append(ring * self._axes[side] + step * self._axes[(side + 2) % 6])
        return np.stack(places)

    @cached_property
    def shifts_m(self) -> np.ndarray:
        """Where the cluster and its six neighbouring copies are, float64 [7, 2], or [1, 2] without wrap-around."""
        if not self.wrap:
            return np.zeros((1, 2))
        along, across = _PERIODS[self.num_sites]
        copies = [along * self._axes[side] + across * self._axes[(side + 1) % 6] for side in range(6)]
        return np.stack([np.zeros(2), *copies])

    def from_sites_m(self, users_m: np.ndarray) -> np.ndarray:
        """From the nearest copy of every site to every user, float64 [num_users, num_sites, 2].

        users_m [num_users, 2]: within the cells of the cluster.
        """
        way = users_m[:, None] - self.sites_m
        copies = way[:, :, None] - self.shifts_m
        nearest = np.argmin((copies**2).sum(-1), -1)
        return np.take_along_axis(copies, nearest[..., None, None], 2)[:, :, 0]

    def users_m(self, uniforms: np.ndarray, min_distance_m: np.ndarray | float = 0.0) -> np.ndarray:
        """Users uniformly over all cells, metres, float64 [num_users, 2].

        uniforms [num_users, 4]: the site, then those of `place`.
        """
        site = np.minimum((uniforms[:, 0] * self.num_sites).astype(np.int64), self.num_sites - 1)
        return self.sites_m[site] + self.place(uniforms[:, 1:], min_distance_m)

    def place(self, uniforms: np.ndarray, min_distance_m: np.ndarray | float = 0.0) -> np.ndarray:
        """Users uniformly over the hexagon around a site, relative to it, metres, float64 [num_users, 2].

        uniforms [num_users, 3]. Nearer than min_distance_m nobody stands: the cell is without a disk around the site.
        """
        wedge = np.floor(uniforms[:, 0] * 6)
        # share of the sixth, 0 to 1: the angle is drawn by the area between disk and edge
        inner = np.broadcast_to(np.asarray(min_distance_m, np.float64), wedge.shape)
        half = self.inter_site_distance_m / 2
        if (inner >= half).any():
            raise bad_value("min_distance_m", float(inner.max()), f"less than half the site distance, {half:g}")
        angle = _angle_in_sixth(uniforms[:, 1], inner / half)
        reach = half / np.cos(angle)
        distance = np.sqrt(inner**2 + uniforms[:, 2] * (reach**2 - inner**2))
        azimuth = angle + np.deg2rad(_LATTICE_DEG) + wedge * np.pi / 3
        return distance[:, None] * np.stack([np.cos(azimuth), np.sin(azimuth)], -1)


@dataclass(frozen=True)
class IndoorLayout:
    """Twelve sites at the ceiling of an office of 120 x 50 m, in two rows, 20 m apart (TR 38.901 table 7.2-2).

    The outermost are 10 m from the short walls and 15 m from the long ones. There is no wrap-around.
    """

    inter_site_distance_m: float = 20.0
    columns: int = 6
    room_m: tuple[float, float] = (120.0, 50.0)

    @property
    def num_sites(self) -> int:
        return 2 * self.columns

    @property
    def num_sectors(self) -> int:
        return 3 * self.num_sites

    @cached_property
    def sites_m(self) -> np.ndarray:
        """Places of the sites from the middle of the room, float64 [num_sites, 2]."""
        x = (np.arange(self.columns) - (self.columns - 1) / 2) * self.inter_site_distance_m
        y = np.array([-0.5, 0.5]) * self.inter_site_distance_m
        return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)

    def from_sites_m(self, users_m: np.ndarray) -> np.ndarray:
        """From every site to every user, float64 [num_users, num_sites, 2]."""
        return users_m[:, None] - self.sites_m

    def users_m(self, uniforms: np.ndarray, min_distance_m: np.ndarray | float = 0.0) -> np.ndarray:
        """Users uniformly over the room, float64 [num_users, 2]. uniforms [num_users, at least 2]; there is no least
        distance."""
        return (uniforms[:, :2] - 0.5) * np.array(self.room_m)


#: What a network is dropped into.
Layout = HexagonalLayout | IndoorLayout


def _angle_in_sixth(uniform: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Azimuth from the middle of a hexagon's edge, -pi/6 to pi/6, uniform by area beyond a disk of radius `inner`.

    The area up to an angle grows as tan(angle) - inner^2 angle, which Newton's method turns round.
    """
    edge = np.pi / 6
    whole = np.tan(edge) - inner**2 * edge
    wanted = (2 * uniform - 1) * whole
    angle = (2 * uniform - 1) * edge
    for _ in range(6):
        angle = angle - (np.tan(angle) - inner**2 * angle - wanted) / (1 / np.cos(angle) ** 2 - inner**2)
    return np.clip(angle, -edge, edge)
