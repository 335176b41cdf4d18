"""Gains of beams instead of antennas: the sums of `channels.scenarios.response`, for many beams at once.

A panel of hundreds of elements and its codebook meet a drop's rays once, for all receive ports, polarisations and
faces of the user; rays that hold next to no power are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from channels.arrays import AntennaArray, direction
from channels.scenarios.link_drop import LinkDrop
from channels.waves import turns

#: Rays below this share of a drop's power are left out.
_LEAST_SHARE = 1e-8


@dataclass(frozen=True, eq=False)
class BeamEnds:
    """A panel with its beams, and the user's faces.

    base: elements, all of one slant before all of the next. weights complex64 [num_places, num_beams]: of one slant.
    faces: the user's arrays, whose ports are receive beams; turned to every drop's own bearing.
    """

    base: AntennaArray
    weights: Tensor
    faces: Sequence[AntennaArray]
    wavelength_m: float

    @property
    def num_slants(self) -> int:
        return len(np.unique(self.base.slants_rad))

    def places(self) -> AntennaArray:
        """The base station's elements of one slant."""
        count = self.base.num_elements // self.num_slants
        return AntennaArray(
            self.base.positions_m[:count], self.base.slants_rad[:count], self.base.pattern, self.base.orientation_rad
        )


def beam_gains(ends: BeamEnds, drop: LinkDrop) -> Iterator[tuple[Tensor, Tensor]]:
    """Per drop: gains complex64 [num_rx_ports, num_slants, num_beams, num_paths], and delays float64 [num_paths].

    Absolute: with path loss, shadowing, walls and the antennas' gains. Downlink; the order of the receive ports is face
    by face. Gains of `response.path_gains` times the weights, but for the rays left out.
    """
    places = ends.places()
    # the order in which elements come, not the ascending one of the array's own list of slants
    count = places.num_elements
    slants = [float(ends.base.slants_rad[i * count]) for i in range(ends.num_slants)]
    order = torch.tensor([int(np.searchsorted(np.unique(ends.base.slants_rad), slant)) for slant in slants])
    for row in range(len(drop.azimuth_rad)):
        yield _of_drop(ends, places, order, drop, row)


def _of_drop(ends: BeamEnds, places: AntennaArray, order: Tensor, drop: LinkDrop, row: int) -> tuple[Tensor, Tensor]:
    clusters, bearing = drop.clusters, drop.bearing_rad[row]
    power = clusters.power_of_ray[row][:, None] * clusters.in_part[row]
    if clusters.ray_factors is not None:
        power = power * clusters.ray_factors[row] ** 2
    total = power.sum() + clusters.los_power[row]
    path, ray = np.nonzero(power > _LEAST_SHARE * total)
    amplitude = np.sqrt(power[path, ray])
    crossed = amplitude / np.sqrt(clusters.xpr[row, path, ray])
    strength = torch.from_numpy(np.stack([amplitude, crossed, crossed, amplitude], -1)).to(torch.float32)
    start = torch.from_numpy(clusters.start_turns[row, path, ray]).to(torch.float32) * (2 * math.pi)
    # [num_rays, base component, terminal component]
    coupling = torch.polar(strength, start).unflatten(-1, (2, 2))
    angles = {name: values[row, path, ray] for name, values in clusters.rays_rad.items()}
    angles, coupling, path = _with_line_of_sight(ends, drop, row, angles, coupling, path)
    at_base = direction(torch.from_numpy(angles["zod"]), torch.from_numpy(angles["aod"]))
    at_terminal = direction(torch.from_numpy(angles["zoa"]), torch.from_numpy(angles["aoa"] - bearing))
    beams = ends.weights.T @ places.steering(at_base, ends.wavelength_m)
    fields = ends.base.fields(at_base).to(torch.complex64)[:, order]  # [num_rays, num_slants, 2]
    far = torch.cat([face.response(at_terminal, ends.wavelength_m) for face in ends.faces])
    # [num_rays, num_rx_ports, num_slants]
    pairs = far.transpose(0, 1) @ (fields @ coupling).transpose(1, 2)
    num_rx, num_slants = pairs.shape[1:]
    used, first = np.unique(path, return_index=True)
    ends_of = [*first[1:], len(path)]
    gains = torch.stack(
        [
            pairs[a:b].flatten(1).T @ beams[:, a:b].T
            for a, b in zip(first.tolist(), [int(e) for e in ends_of], strict=True)
        ],
        -1,
    )
    gain = 10 ** (float(drop.state.gain_db[row]) / 20)
    delays = torch.from_numpy(np.ascontiguousarray(drop.clusters.delays_s[row, used]))
    return gain * gains.view(num_rx, num_slants, -1, len(used)), delays


def _with_line_of_sight(
    ends: BeamEnds, drop: LinkDrop, row: int, angles: dict[str, np.ndarray], coupling: Tensor, path: np.ndarray
) -> tuple[dict[str, np.ndarray], Tensor, np.ndarray]:
    """One more ray in front, of the first path, that keeps its polarisation (TR 38.901 eq. (7.5-29))."""
    los = float(drop.clusters.los_power[row])
    if los <= 0 and len(path):
        return angles, coupling, path
    zenith, azimuth = drop.links.zenith_at_base_rad[row], drop.azimuth_rad[row]
    straight = {"zod": zenith, "aod": azimuth, "zoa": np.pi - zenith, "aoa": azimuth + np.pi}
    phase = turns(torch.tensor([-drop.links.distance_3d_m[row] / ends.wavelength_m], dtype=torch.float64))
    matrix = math.sqrt(max(los, 0.0)) * phase[:, None, None] * torch.diag(torch.tensor([1.0, -1.0]))
    joined = {name: np.concatenate([[straight[name]], values]) for name, values in angles.items()}
    return joined, torch.cat([matrix.to(torch.complex64), coupling]), np.concatenate([[0], path])
