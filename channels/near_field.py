"""Waves from near: distances of clusters, spherical wavefronts and visibility over large arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from channels.arrays import AntennaArray
from channels.errors import bad_value, unknown_name
from channels.waves import SPEED_OF_LIGHT_MPS


@dataclass(frozen=True)
class Visibility:
    """Which part of the base station's array sees a cluster (spatial non-stationarity, TR 38.901 §7.6.14, Rel-19).

    probability: that a cluster is seen by a part of the array only. share: least and largest part of the array's area
    that sees such a cluster; uniform between. slope_db: loss per wavelength beyond the edge of the part.
    floor_db: largest loss.

    The visible part is a rectangle in the plane of the array, of random shape and place. Rel-19 has a visibility
    probability, a visibility region and a factor of attenuation per element (arXiv 2506.17887, by its authors); its
    numbers were in no public source at hand: the parameters here are ours, to be set by who has measurements.
    """

    probability: float = 0.5
    share: tuple[float, float] = (0.3, 0.9)
    slope_db: float = 3.0
    floor_db: float = 30.0

    #: Uniform numbers per cluster: whether, share, shape, place along both sides.
    NUMBERS = 5

    def element_gains(self, array: AntennaArray, wavelength_m: float, uniforms: Tensor) -> Tensor:
        """Amplitude factors, float32 [batch, num_elements, num_clusters].

        uniforms float64 [batch, num_clusters, NUMBERS] in 0 to 1.
        """
        whether, share, shape, place_y, place_z = uniforms.unbind(-1)
        visible = self.share[0] + (self.share[1] - self.share[0]) * share
        # width times height is the share, and neither is more than 1
        width = visible**shape
        height = visible / width
        plane = torch.from_numpy(np.ascontiguousarray(array.positions_m[:, 1:])).to(uniforms.device)
        low, high = plane.amin(0), plane.amax(0)
        beyond = []
        for side, (length, place) in enumerate(((width, place_y), (height, place_z))):
            extent = high[side] - low[side]
            start = low[side] + extent * (1 - length) * place
            end = start + extent * length
            coordinate = plane[:, side, None]  # [num_elements, 1]
            outside = torch.maximum(start[:, None] - coordinate, coordinate - end[:, None]).clamp(min=0)
            beyond.append(outside)
        loss_db = (self.slope_db * torch.hypot(*beyond) / wavelength_m).clamp(max=self.floor_db)
        loss_db = torch.where((whether < self.probability)[:, None], loss_db, torch.zeros_like(loss_db))
        return (10 ** (-loss_db / 20)).to(torch.float32)


@dataclass(frozen=True)
class NearField:
    """Distances that make wavefronts spherical (TR 38.901 §7.6.13, Rel-19).

    distance_m: from the base station to the terminal. A cluster's path is as much longer as its delay says.
    base_share, terminal_share: parameters alpha and beta of Beta distributions: the share of a cluster's path between
        base station and the first bounce, and that of the rest between last bounce and terminal. Rel-19 draws them
        from Beta distributions, too; the values here are ours, not the standard's.
    visibility: None where all of the array sees every cluster.
    """

    distance_m: float
    base_share: tuple[float, float] = (2.0, 2.0)
    terminal_share: tuple[float, float] = (2.0, 2.0)
    visibility: Visibility | None = None

    def numbers(self, num_clusters: int) -> int:
        """Uniform numbers of a drop: two shares per cluster, then what visibility needs."""
        return num_clusters * (2 + (0 if self.visibility is None else Visibility.NUMBERS))

    def distances(self, delays_s: np.ndarray, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        """From the base station to first bounces and from the terminal to last ones, metres [batch, num_clusters].

        uniforms float64 [batch, at least 2 * num_clusters]: the first are taken.
        """
        clusters = len(delays_s)
        numbers = uniforms[:, : 2 * clusters].cpu().numpy().reshape(-1, 2, clusters)
        length = self.distance_m + SPEED_OF_LIGHT_MPS * delays_s
        # it takes a second to import, and only the near field needs it
        from scipy.stats import beta

        at_base = length * beta.ppf(numbers[:, 0], *self.base_share)
        at_terminal = (length - at_base) * beta.ppf(numbers[:, 1], *self.terminal_share)
        least = 1e-3  # a bounce on the array itself has no direction
        return tuple(torch.from_numpy(np.maximum(d, least)).to(uniforms.device) for d in (at_base, at_terminal))  # type: ignore[return-value]


def near_field(block: Mapping[str, Any]) -> NearField:
    """From the block of an experiment file; `ValueError` of one line names the option."""
    options = dict(_known("near_field", block, ("distance_m", "base_share", "terminal_share", "visibility")))
    options["distance_m"] = _number("near_field.distance_m", options.get("distance_m"), 1e-2, 1e7)
    for key in ("base_share", "terminal_share"):
        if key in options:
            options[key] = _pair(f"near_field.{key}", options[key], 1e-2, 1e3)
    if options.get("visibility") is not None:
        what = "near_field.visibility"
        inner = dict(_known(what, options["visibility"], ("probability", "share", "slope_db", "floor_db")))
        for key, most in (("probability", 1.0), ("slope_db", 1e3), ("floor_db", 200.0)):
            if key in inner:
                inner[key] = _number(f"{what}.{key}", inner[key], 0.0, most)
        if "share" in inner:
            inner["share"] = _pair(f"{what}.share", inner["share"], 1e-3, 1.0)
            if inner["share"][0] > inner["share"][1]:
                raise bad_value(f"{what}.share", list(inner["share"]), "the least before the largest")
        options["visibility"] = Visibility(**inner)
    return NearField(**options)


def _known(what: str, block: Any, names: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(block, Mapping):
        raise bad_value(what, block, f"a block of options: {', '.join(names)}")
    for key in block:
        if key not in names:
            raise unknown_name(what, key, names)
    return block


def _number(what: str, value: Any, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise bad_value(what, value, f"{least:g} to {most:g}")
    return float(value)


def _pair(what: str, value: Any, least: float, most: float) -> tuple[float, float]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise bad_value(what, value, "two numbers")
    return _number(what, value[0], least, most), _number(what, value[1], least, most)


def wavefront_correlation(array: AntennaArray, wavelength_m: float, direction: Tensor, distances_m: Tensor) -> Tensor:
    """How alike the spherical and the planar response of an array are, float64 [num_distances], 0 to 1.

    |<spherical, planar>| over both norms, for points in one `direction` (float64 [3], a global unit vector) at
    `distances_m` (float64 [num_distances]). 1 far away; what a receiver loses that focuses on the direction alone.
    """
    planar = array.response(direction[None], wavelength_m)[:, 0].to(torch.complex128)  # [num_ports, 2]
    points = distances_m[:, None] * direction
    spherical = array.response_to_points(points, wavelength_m).to(torch.complex128)  # [num_ports, num_distances, 2]
    product = torch.einsum("pdc,pc->d", spherical, planar.conj()).abs()
    return product / (planar.norm() * torch.linalg.vector_norm(spherical, dim=(0, 2)))


def fraunhofer_distance_m(aperture_m: float, wavelength_m: float) -> float:
    """2 D^2 / wavelength: from there on a wavefront bends by less than pi / 8 over the aperture."""
    return 2 * aperture_m**2 / wavelength_m
