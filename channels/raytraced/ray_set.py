"""Rays between a base station and users at given positions, as a ray tracer found them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import IntFlag
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from channels.waves import SPEED_OF_LIGHT_MPS


class Interaction(IntFlag):
    """What a ray meets at a vertex; no interaction: there is no such vertex."""

    NONE = 0
    REFLECTION = 1
    SCATTERING = 2
    REFRACTION = 4
    DIFFRACTION = 8


@dataclass(frozen=True)
class RaySet:
    """Rays of all positions, one position after the other; those of position p are `first[p]` to `first[p + 1]`.

    base_position_m float64 [3]; positions_m float32 [num_positions, 3]: in the coordinates of the scene.
    headings_rad float32 [num_positions]: azimuth in which a user moves along a trajectory; NaN where there is none.
    first int32 [num_positions + 1]: 0 first, non-decreasing. A position without rays is in outage.
    delays_s float32 [num_rays]: absolute, length over the speed of light. Ascending within a position.
    transfer complex64 [num_rays, 2, 2]: from field components at the user to those at the base station (the other way
        its transpose), amplitudes with free-space loss, phases at the carrier included. Components along growing
        zenith and growing azimuth, in global coordinates, of the direction from either end towards the ray.
    base_zenith_rad, base_azimuth_rad, user_zenith_rad, user_azimuth_rad float32 [num_rays]: those directions.
    base_radius_m, user_radius_m float32 [num_rays]: how far from either end the centre of the wavefront is: the whole
        length for rays that are only reflected or refracted, else the way to the first edge or rough surface.
    interactions uint8 [num_rays, max_depth] of `Interaction`, from the base station on; vertices_m float32
        [num_rays, max_depth, 3]: where, NaN for none.
    carrier_frequency_hz: of the phases, and of the materials. details: where the rays come from, plain values.
    """

    carrier_frequency_hz: float
    base_position_m: NDArray[np.float64]
    positions_m: NDArray[np.float32]
    headings_rad: NDArray[np.float32]
    first: NDArray[np.int32]
    delays_s: NDArray[np.float32]
    transfer: NDArray[np.complex64]
    base_zenith_rad: NDArray[np.float32]
    base_azimuth_rad: NDArray[np.float32]
    user_zenith_rad: NDArray[np.float32]
    user_azimuth_rad: NDArray[np.float32]
    base_radius_m: NDArray[np.float32]
    user_radius_m: NDArray[np.float32]
    interactions: NDArray[np.uint8]
    vertices_m: NDArray[np.float32]
    details: Mapping[str, Any]

    @property
    def num_positions(self) -> int:
        return len(self.positions_m)

    @property
    def num_rays(self) -> NDArray[np.int64]:
        """Rays of every position."""
        return np.diff(self.first).astype(np.int64)

    @cached_property
    def served(self) -> NDArray[np.int64]:
        """Positions with at least one ray, ascending."""
        return np.flatnonzero(self.num_rays)

    @property
    def num_outages(self) -> int:
        """Positions that no ray reaches."""
        return self.num_positions - len(self.served)

    @property
    def wavelength_m(self) -> float:
        return SPEED_OF_LIGHT_MPS / self.carrier_frequency_hz

    def of_position(self, position: int) -> slice:
        """Place of a position's rays."""
        return slice(int(self.first[position]), int(self.first[position + 1]))

    def lines_m(self, position: int) -> list[NDArray[np.float64]]:
        """Every ray of a position as a line from the base station over its vertices to the user, [n, 3] each."""
        ends = self.base_position_m[None], self.positions_m[position][None].astype(np.float64)
        part = self.of_position(position)
        met = zip(self.vertices_m[part].astype(np.float64), self.interactions[part] > 0, strict=True)
        return [np.concatenate([ends[0], vertices[there], ends[1]]) for vertices, there in met]

    @cached_property
    def path_gains(self) -> NDArray[np.float64]:
        """Sum of the powers of every position's rays, without antennas, mean over polarisations, [num_positions]."""
        of_ray = np.square(np.abs(self.transfer.astype(np.complex128))).sum((1, 2)) / 2
        positions = np.repeat(np.arange(self.num_positions), self.num_rays)
        return np.bincount(positions, of_ray, self.num_positions).astype(np.float64)

    @cached_property
    def is_line_of_sight(self) -> NDArray[np.bool_]:
        """Whether the straight line is free, [num_positions]."""
        straight = (self.interactions == 0).all(axis=1)
        return np.array([straight[self.of_position(p)].any() for p in range(self.num_positions)], bool)

    @cached_property
    def content_sha256(self) -> str:
        """Of the carrier and all arrays: what a channel depends on."""
        digest = hashlib.sha256(json.dumps(float(self.carrier_frequency_hz)).encode())
        for name in ARRAYS:
            digest.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        return digest.hexdigest()


#: Names of the arrays.
ARRAYS = tuple(field.name for field in fields(RaySet) if field.name not in ("carrier_frequency_hz", "details"))
