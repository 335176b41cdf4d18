"""From clusters of drops to gains of antenna pairs: sums over rays (TR 38.901 §7.5 steps 10 and 11, Rel-19)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from channels.arrays import AntennaArray, direction
from channels.dual_mobility import DualMobility
from channels.scenarios.clusters import ClusterDraw
from channels.scenarios.link_drop import LinkDrop
from channels.waves import turns


@dataclass(frozen=True)
class Ends:
    """Arrays of base station and terminal. The terminal's is turned to every drop's own bearing.

    array_wavelength_m: at which the arrays' elements are looked at; None: the carrier's.
    """

    base: AntennaArray
    terminal: AntennaArray
    receives_at_base: bool
    wavelength_m: float
    speed_mps: float
    normalise: bool
    array_wavelength_m: float | None = None

    @property
    def at_arrays_m(self) -> float:
        """Wavelength of the arrays' phases."""
        return self.wavelength_m if self.array_wavelength_m is None else self.array_wavelength_m


def path_gains(
    ends: Ends,
    drop: LinkDrop,
    times_s: np.ndarray,
    device: torch.device | str,
    others: tuple[DualMobility, Tensor] | None = None,
) -> Tensor:
    """Gains of all antenna pairs, complex64 [batch, num_rx_ant * num_tx_ant, num_times, num_paths].

    normalise: every drop has unit mean power over antenna pairs and start phases; without it gains hold path loss,
    shadowing, walls and the antennas' own gains.
    others: what moves beside the terminal, with its random numbers.
    """
    clusters = drop.clusters
    batch, num_paths, num_rays = clusters.xpr.shape

    def on(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(device)

    bearing = drop.bearing_rad[:, None, None]
    at_base = direction(on(clusters.rays_rad["zod"]), on(clusters.rays_rad["aod"])).flatten(1, 2)
    at_terminal = direction(on(clusters.rays_rad["zoa"]), on(clusters.rays_rad["aoa"] - bearing)).flatten(1, 2)
    fields = ends.base.fields(at_base), ends.terminal.fields(at_terminal)
    terminal = ends.terminal.response(at_terminal, ends.at_arrays_m, fields[1])
    strength = _strength(clusters)
    start = on(clusters.start_turns).to(torch.float32) * (2 * math.pi)
    coupling = torch.polar(on(strength).to(torch.float32), start).unflatten(-1, (2, 2))
    # the direction of travel counts from the terminal's bearing, as its rays do; both are uniformly random
    times = on(np.asarray(times_s, np.float64))
    travel = on(drop.travel_azimuth_rad)
    velocity = ends.speed_mps * direction(torch.full_like(travel, math.pi / 2), travel)

    def turned(toward: Tensor, more_mps: Tensor | None = None) -> Tensor:
        approach = torch.einsum("b...x,bx->b...", toward, velocity)
        if more_mps is not None:
            approach = approach + more_mps
        return turns(approach[..., None] * times / ends.wavelength_m)

    of_rays = of_los = None

    # [batch, num_paths, num_rays, 2, terminal ports]
    far = coupling @ terminal.unflatten(2, (num_paths, num_rays)).permute(0, 2, 3, 4, 1)
    los_base, los_terminal, los_from_base, los_toward = _line_of_sight(ends, drop, device)
    if others is not None:
        dual, numbers = others
        of_rays = dual.approach_mps(numbers, at_base.unflatten(1, (num_paths, num_rays)))
        of_los = (dual.base_velocity_mps(numbers) * los_from_base).sum(-1)
    doppler = turned(at_terminal.unflatten(1, (num_paths, num_rays)), of_rays)
    moving = (far[..., None] * doppler[:, :, :, None, None, :]).flatten(-2)
    gains = _received(ends.base, at_base, fields[0], ends.at_arrays_m, moving)
    gains = gains.unflatten(-1, (-1, len(times)))  # [batch, num_paths, base, terminal, num_times]
    los = _straight(los_base, los_terminal)
    gains[:, 0] += los[..., None] * turned(los_toward, of_los)[:, None, None]
    if ends.array_wavelength_m is not None:
        # a drop's power is that at the carrier
        los = _straight(*_line_of_sight(replace(ends, array_wavelength_m=None), drop, device)[:2])
    factor = _factor(ends, drop, (at_base, at_terminal), fields, strength, los)
    gains = gains * factor.view(-1, 1, 1, 1, 1)
    order = (0, 2, 3, 4, 1) if ends.receives_at_base else (0, 3, 2, 4, 1)
    return gains.permute(*order).reshape(batch, -1, len(times), num_paths)


def _straight(base: Tensor, terminal: Tensor) -> Tensor:
    """Gains of the line of sight between all ports, from the fields of both ends, complex64 [batch, base, terminal]."""
    return base[:, :, None] * terminal[:, None] @ torch.ones(2, device=base.device).to(torch.complex64)


def mean_pair_power(ends: Ends, drop: LinkDrop) -> np.ndarray:
    """Mean power over antenna pairs and start phases at unit path gain, float64 [batch]: by it and by `gain_db` a
    drop's gains without `normalise` have their power."""
    clusters, device = drop.clusters, torch.device("cpu")
    angles = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in clusters.rays_rad.items()}
    bearing = torch.from_numpy(drop.bearing_rad)[:, None, None]
    toward = (
        direction(angles["zod"], angles["aod"]).flatten(1, 2),
        direction(angles["zoa"], angles["aoa"] - bearing).flatten(1, 2),
    )
    fields = ends.base.fields(toward[0]), ends.terminal.fields(toward[1])
    strength = _strength(clusters)
    los_base, los_terminal, _, _ = _line_of_sight(ends, drop, device)
    los = _straight(los_base, los_terminal)
    factor = _factor(replace(ends, normalise=True), drop, toward, fields, strength, los)
    return np.asarray(factor.double().numpy() ** -2)


def _strength(clusters: ClusterDraw) -> np.ndarray:
    """Amplitudes of every ray: zenith to zenith, zenith to azimuth and so on, [..., num_rays, 4].

    What crosses over is weaker.
    """
    amplitude = np.sqrt(clusters.power_of_ray)[..., None] * clusters.in_part
    if clusters.ray_factors is not None:
        amplitude = amplitude * clusters.ray_factors
    crossed = amplitude / np.sqrt(clusters.xpr)
    return np.stack([amplitude, crossed, crossed, amplitude], -1)


def _line_of_sight(ends: Ends, drop: LinkDrop, device: torch.device | str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Fields of both arrays towards one another, complex64 [batch, ports, 2], and the directions from base station and
    terminal, float64 [batch, 3].

    The base station's holds amplitude, start phase and the signs of eq. (7.5-29).
    """
    zenith, azimuth = drop.links.zenith_at_base_rad, drop.azimuth_rad

    def toward(zenith: np.ndarray, azimuth: np.ndarray) -> Tensor:
        return direction(torch.from_numpy(zenith), torch.from_numpy(azimuth)).to(device)

    at_base, at_terminal = toward(zenith, azimuth), toward(np.pi - zenith, azimuth + np.pi - drop.bearing_rad)
    signs = torch.tensor([1.0, -1.0], device=device)
    cycles = torch.from_numpy(-drop.links.distance_3d_m / ends.wavelength_m).to(device)
    amplitude = torch.from_numpy(np.sqrt(drop.clusters.los_power)).to(device, torch.float32) * turns(cycles)
    base = ends.base.response(at_base[:, None], ends.at_arrays_m)[:, :, 0] * signs * amplitude[:, None, None]
    return base, ends.terminal.response(at_terminal[:, None], ends.at_arrays_m)[:, :, 0], at_base, at_terminal


def _received(array: AntennaArray, toward: Tensor, of_rays: Tensor, wavelength_m: float, waves: Tensor) -> Tensor:
    """Sums over rays at the array's ports, complex64 [batch, num_paths, num_ports, num_waves].

    toward float64 [batch, num_paths * num_rays, 3]; of_rays: the array's fields there. waves complex64
    [batch, num_paths, num_rays, 2, num_waves]: both field components. An element's field depends on its slant alone, so
    that the phases of a large array meet few fields and need no components.
    """
    batch, num_paths, num_rays, _, num_waves = waves.shape
    fields = of_rays.to(waves.dtype).unflatten(1, (num_paths, num_rays))  # [..., num_slants, 2]
    of_slant = (fields @ waves).flatten(-2)
    # [batch, num_paths, num_elements, num_rays]
    steering = array.steering(toward, wavelength_m).unflatten(2, (num_paths, num_rays)).permute(0, 2, 1, 3)
    all_slants = (steering @ of_slant).unflatten(-1, (-1, num_waves))
    places = torch.as_tensor(np.unique(array.slants_rad, return_inverse=True)[1].reshape(-1), device=toward.device)
    index = places.view(-1, 1, 1).expand(batch, num_paths, -1, 1, num_waves)
    elements = all_slants.gather(-2, index)[..., 0, :]
    if array.weights is None:
        return elements
    return torch.as_tensor(array.weights, dtype=elements.dtype, device=toward.device) @ elements


def _port_powers(array: AntennaArray, toward: Tensor, fields: Tensor, wavelength_m: float) -> Tensor:
    """Power of both field components, mean over ports, float32 [batch, num_rays, 2]."""
    if array.weights is not None:
        return array.response(toward, wavelength_m, fields).abs().square().mean(1)
    counts = torch.as_tensor(np.unique(array.slants_rad, return_counts=True)[1] / array.num_elements)
    return (fields.square() * counts.to(toward.device)[:, None]).sum(-2).to(torch.float32)


def _factor(
    ends: Ends,
    drop: LinkDrop,
    toward: tuple[Tensor, Tensor],
    fields: tuple[Tensor, Tensor],
    strength: np.ndarray,
    los: Tensor,
) -> Tensor:
    """By what a drop's gains are multiplied, float32 [batch]. toward, fields: at base station and terminal."""
    device = los.device
    if not ends.normalise:
        return torch.from_numpy(10 ** (drop.state.gain_db / 20)).to(device, torch.float32)
    # mean over start phases: powers of rays add up
    own, other = (
        _port_powers(array, to, field, ends.wavelength_m).unflatten(1, strength.shape[1:3])
        for array, to, field in zip((ends.base, ends.terminal), toward, fields, strict=True)
    )
    power = torch.from_numpy(strength**2).to(device, torch.float32).unflatten(-1, (2, 2))
    of_rays = own[..., :, None] * power * other[..., None, :]
    # double precision, and drop by drop: a sum over a batch is not rounded alike for every size of it
    total = torch.stack([rays.double().sum() for rays in of_rays])
    total = total + torch.stack([pairs.abs().double().square().mean() for pairs in los])
    return total.clamp(min=torch.finfo(torch.float32).tiny).rsqrt().to(torch.float32)
