"""What stands in the way: regions around the user (model A), screens (model B) (TR 38.901 §7.6.4, Rel-19)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr

from channels.errors import bad_value, unknown_name
from channels.scenarios.environment import Environment
from channels.scenarios.field import correlated_fields
from channels.scenarios.indoor import IndoorFactory, IndoorOffice
from channels.scenarios.link_drop import LinkDrop

#: Centre and width in azimuth, then in zenith, degrees, as the terminal sees the user's own body (table 7.6.4.1-1).
_SELF_DEG = {"portrait": (260.0, 120.0, 100.0, 80.0), "landscape": (40.0, 160.0, 110.0, 75.0)}
_SELF_DB = 30.0
#: Least and largest width in azimuth and in zenith, degrees, and distance in metres (table 7.6.4.1-2).
_OFFICE, _OUTDOORS = ((15.0, 45.0), (5.0, 15.0), 2.0), ((5.0, 15.0), (5.0, 5.0), 10.0)
#: Correlation distance of centres: users outside, users in buildings and offices (table 7.6.4.1-4).
_CENTRE_DISTANCES_M = (10.0, 5.0)


def edge_term(excess_m: np.ndarray, sign: np.ndarray, wavelength_m: float) -> np.ndarray:
    """Share of a field that one edge holds back, -1/2 to 1/2 (eq. (7.6-23), (7.6-30)).

    excess_m: by how much the way over the edge is longer. sign: 1 where the way is behind the screen as this edge sees
    it, otherwise -1.
    """
    root = np.sqrt(np.pi / wavelength_m * np.maximum(excess_m, 0.0))
    return np.arctan(sign * np.pi / 2 * root) / np.pi


def screen_loss_db(across: np.ndarray, upright: np.ndarray) -> np.ndarray:
    """Loss behind a rectangle, from the sums of its edges' terms (eq. (7.6-22), (7.6-29))."""
    return -20 * np.log10(np.maximum(1 - across * upright, np.finfo(np.float64).eps))


@dataclass(frozen=True)
class RegionsDrawn:
    """centre_deg [batch, num_places, num_blockers]; width_deg, height_deg [batch, num_blockers]."""

    centre_deg: np.ndarray
    width_deg: np.ndarray
    height_deg: np.ndarray


@dataclass(frozen=True)
class Regions:
    """Blockage model A: the user's own body, and blockers at random directions around it.

    self_blocking: "portrait" or "landscape", how the terminal is held, or None for no body. Centres of the others are
    alike over the distances of table 7.6.4.1-4 as the user moves.
    """

    wavelength_m: float
    indoor_office: bool
    self_blocking: str | None
    num_blockers: int

    def draw(self, generators: Sequence[np.random.Generator], places_m: np.ndarray, indoor: np.ndarray) -> RegionsDrawn:
        """Regions at places along ways, [batch, num_places, 2]; a fixed number of random numbers per drop."""
        widths, heights, _ = _OFFICE if self.indoor_office else _OUTDOORS
        near = indoor | self.indoor_office
        centres, sizes = [], []
        for generator, places, close in zip(generators, places_m, near, strict=True):
            sizes.append(generator.random((2, self.num_blockers)))
            distance = np.full(self.num_blockers, _CENTRE_DISTANCES_M[int(close)])
            centres.append(360 * ndtr(correlated_fields(generator, distance, places)).T)
        share = np.stack(sizes)
        width = widths[0] + (widths[1] - widths[0]) * share[:, 0]
        return RegionsDrawn(np.stack(centres), width, heights[0] + (heights[1] - heights[0]) * share[:, 1])

    def losses_db(self, drop: LinkDrop, drawn: RegionsDrawn, place: int) -> tuple[np.ndarray, np.ndarray]:
        """Of paths [batch, num_paths] and of the line of sight [batch]."""
        los_azimuth = (drop.azimuth_rad + np.pi)[:, None]
        los_zenith = np.pi - drop.links.zenith_at_base_rad[:, None]
        azimuth = np.degrees(np.concatenate([drop.clusters.centres_rad["aoa"], los_azimuth], 1))
        zenith = np.degrees(np.concatenate([drop.clusters.centres_rad["zoa"], los_zenith], 1))
        loss = self._own_body_db(azimuth - np.degrees(drop.bearing_rad)[:, None], zenith)
        reach = _OFFICE[2] if self.indoor_office else _OUTDOORS[2]
        for k in range(self.num_blockers):
            off_azimuth = _wrapped(azimuth - drawn.centre_deg[:, place, k, None])
            sizes = drawn.width_deg[:, k, None], drawn.height_deg[:, k, None]
            loss = loss + region_loss_db(off_azimuth, zenith - 90.0, *sizes, reach, self.wavelength_m)
        return loss[:, :-1], loss[:, -1]

    def _own_body_db(self, azimuth_deg: np.ndarray, zenith_deg: np.ndarray) -> np.ndarray:
        if self.self_blocking is None:
            return np.zeros_like(azimuth_deg)
        centre, width, middle, height = _SELF_DEG[self.self_blocking]
        inside = (np.abs(_wrapped(azimuth_deg - centre)) < width / 2) & (np.abs(zenith_deg - middle) < height / 2)
        return np.where(inside, _SELF_DB, 0.0)


def region_loss_db(
    azimuth_deg: np.ndarray,
    zenith_deg: np.ndarray,
    width_deg: np.ndarray,
    height_deg: np.ndarray,
    distance_m: float,
    wavelength_m: float,
) -> np.ndarray:
    """Loss of a way that comes so far from the centre of a region (eq. (7.6-22) to (7.6-27))."""

    def edges(off: np.ndarray, size: np.ndarray) -> np.ndarray:
        total = np.zeros(np.broadcast_shapes(off.shape, size.shape))
        # the edge at the far side of the centre holds back unless the way is beyond it
        for beyond in (off - size / 2, -off - size / 2):
            cosine = np.maximum(np.cos(np.radians(beyond)), np.finfo(np.float64).eps)
            total = total + edge_term(distance_m * (1 / cosine - 1), np.where(beyond > 0, -1.0, 1.0), wavelength_m)
        return total

    loss = screen_loss_db(edges(azimuth_deg, width_deg), edges(zenith_deg, height_deg))
    return np.where((np.abs(azimuth_deg) < width_deg) & (np.abs(zenith_deg) < height_deg), loss, 0.0)


@dataclass(frozen=True)
class Screens:
    """Blockage model B: screens that turn to face every ray.

    screens [num_screens, 5]: centre x, y and height above ground z, width, height, metres; the site is at x = y = 0.
    """

    wavelength_m: float
    screens: np.ndarray

    def losses_db(self, drop: LinkDrop) -> tuple[np.ndarray, np.ndarray]:
        """Of rays [batch, num_paths, 20] and of the line of sight [batch]."""
        links, azimuth = drop.links, drop.azimuth_rad
        flat = links.distance_2d_m
        user = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), links.user_height_m], -1)
        rays = drop.clusters.rays_rad
        of_rays = np.zeros_like(rays["aoa"])
        of_los = np.zeros_like(azimuth)
        los_zenith = np.pi - links.zenith_at_base_rad
        for screen in self.screens:
            offset = screen[:3] - user
            size = (screen[3], screen[4])
            of_rays += screen_db(offset[:, None, None], rays["aoa"], rays["zoa"], *size, None, self.wavelength_m)
            of_los += screen_db(offset, azimuth + np.pi, los_zenith, *size, links.distance_3d_m, self.wavelength_m)
        return of_rays, of_los


def screen_db(
    offset_m: np.ndarray,
    azimuth_rad: np.ndarray,
    zenith_rad: np.ndarray,
    width_m: float,
    height_m: float,
    distance_m: np.ndarray | None,
    wavelength_m: float,
) -> np.ndarray:
    """Loss of ways that arrive from a direction [...] behind one screen (eq. (7.6-29), (7.6-30)).

    offset_m [..., 3]: from the receiver to the screen's centre. distance_m: to the transmitter, for the direct way;
    None for all others, which come from infinity. In top view the way is the horizontal one, and so are its lengths.
    """
    sine, cosine = np.sin(zenith_rad), np.cos(zenith_rad)
    ahead = offset_m[..., 0] * np.cos(azimuth_rad) + offset_m[..., 1] * np.sin(azimuth_rad)
    aside = offset_m[..., 1] * np.cos(azimuth_rad) - offset_m[..., 0] * np.sin(azimuth_rad)
    along = ahead * sine + offset_m[..., 2] * cosine
    above = offset_m[..., 2] * sine - ahead * cosine
    across, in_top_view = _edges(ahead, aside, width_m, None if distance_m is None else distance_m * sine, wavelength_m)
    upright, in_side_view = _edges(along, above, height_m, distance_m, wavelength_m)
    return np.where(in_top_view & in_side_view, screen_loss_db(across, upright), 0.0)


def _edges(
    along: np.ndarray, off: np.ndarray, size: float, whole: np.ndarray | None, wavelength_m: float
) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the terms of two edges in one view, and whether the screen is in front of the receiver there."""
    total = np.zeros_like(along)
    for edge, other in ((off - size / 2, off + size / 2), (off + size / 2, off - size / 2)):
        if whole is None:
            excess = np.hypot(along, edge) - along
        else:
            excess = np.hypot(along, edge) + np.hypot(whole - along, edge) - whole
        behind = np.abs(off) <= size / 2
        # of a screen beside the way the near edge counts against the far one
        total = total + edge_term(excess, np.where(behind | (np.abs(edge) > np.abs(other)), 1.0, -1.0), wavelength_m)
    ahead = along > 0 if whole is None else (along > 0) & (along < whole)
    return total, ahead


def _wrapped(angle_deg: np.ndarray) -> np.ndarray:
    """-180 to below 180 degrees."""
    return (angle_deg + 180) % 360 - 180


def blockage_of(block: dict[str, Any], environment: Environment) -> Regions | Screens:
    """{"model": "A", "self_blocking": "portrait" | "landscape" | None, "num_blockers": 4} or
    {"model": "B", "screens": [[x, y, z, width, height], ...]}; `ValueError` of one line names what is wrong."""
    wavelength = 299_792_458.0 / environment.carrier_frequency_hz
    model = block.get("model")
    known = {"A": ("model", "self_blocking", "num_blockers"), "B": ("model", "screens")}
    if model not in known:
        raise unknown_name("blockage.model", model, known)
    for key in block:
        if key not in known[model]:
            raise unknown_name("blockage", key, known[model])
    if model == "A":
        if isinstance(environment, IndoorFactory):
            raise bad_value(
                "blockage.model", model, "B in factories, for which TR 38.901 table 7.6.4.1-2 has no regions"
            )
        mode, number = block.get("self_blocking", "portrait"), block.get("num_blockers", 4)
        if mode is not None and mode not in _SELF_DEG:
            raise unknown_name("blockage.self_blocking", mode, _SELF_DEG)
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 100:
            raise bad_value("blockage.num_blockers", number, "an integer from 0 to 100")
        return Regions(wavelength, isinstance(environment, IndoorOffice), mode, number)
    try:
        screens = np.asarray(block.get("screens"), np.float64)
    except (TypeError, ValueError):
        screens = np.empty(0)
    if screens.ndim != 2 or screens.shape[1] != 5 or not np.isfinite(screens).all() or (screens[:, 3:] <= 0).any():
        allowed = "a list of [x, y, z, width, height] in metres, sizes above 0"
        raise bad_value("blockage.screens", block.get("screens"), allowed)
    return Screens(wavelength, screens)
