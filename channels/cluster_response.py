"""Gains of clusters between two arrays: sums over their rays (TR 38.901 §7.5 step 11, Rel-18)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from channels.arrays import AntennaArray, direction
from channels.cluster_profiles import ClusterProfile
from channels.dual_mobility import DualMobility
from channels.near_field import NearField
from channels.rays import Rays, draw_rays
from channels.waves import SPEED_OF_LIGHT_MPS, turns

#: Bytes of the arrays' responses that are held at once; draws are taken in steps that fit.
_STEP_BYTES = 32 << 20


@dataclass(frozen=True)
class Ends:
    """Base station and terminal. receives_at_base: the uplink. power: by which the response's power is divided.

    array_wavelength_m: at which the arrays' elements are looked at; None: the carrier's.
    """

    base: AntennaArray
    terminal: AntennaArray
    receives_at_base: bool
    wavelength_m: float
    power: float = 1.0
    array_wavelength_m: float | None = None

    @property
    def at_arrays_m(self) -> float:
        """Wavelength of the arrays' phases."""
        return self.wavelength_m if self.array_wavelength_m is None else self.array_wavelength_m


def cluster_modes(
    ends: Ends,
    clusters: ClusterProfile,
    generators: Sequence[np.random.Generator],
    times_s: np.ndarray,
    motion: tuple[float, float, float | None],
    near: NearField | None,
    device: torch.device | str,
    dual: DualMobility | None = None,
) -> Tensor:
    """Gains of every antenna pair, complex64 [batch, num_rx_ant * num_tx_ant, num_times, num_clusters].

    motion: the terminal's speed in m/s, zenith and azimuth of its direction in radians; azimuth None: the draw's own.
    dual: what else moves; not together with `near`.
    """
    spare = 0 if near is None else near.numbers(clusters.num_clusters)
    if dual is not None:
        spare = dual.numbers(clusters.num_clusters, clusters.num_rays)
    elements = ends.base.num_elements + ends.terminal.num_elements
    held = 32 * elements * clusters.num_clusters * clusters.num_rays * (1 if near is None else 6)
    step = max(1, _STEP_BYTES // held)
    times = torch.from_numpy(np.ascontiguousarray(times_s, np.float64)).to(device)
    parts = []
    for first in range(0, max(len(generators), 1), step):
        rays = draw_rays(generators[first : first + step], clusters, spare, device)
        parts.append(_Draw(ends, clusters, rays, times, motion, near, dual=dual).modes())
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def snapshot(
    ends: Ends,
    clusters: ClusterProfile,
    generators: Sequence[np.random.Generator],
    time_s: float,
    motion: tuple[float, float, float | None],
    near: NearField,
    device: torch.device | str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Clusters as the terminal meets them on its way, with bounces that stay where they are.

    Returns the gains as `cluster_modes` does, for one time, with phases, angles and patterns of every element at the
    place that the terminal has reached; delays float64 [batch, num_clusters], changed by the way to the bounce; and
    directions of the clusters' centres at the terminal, float64 [batch, num_clusters, 3].
    """
    times = torch.tensor([time_s], dtype=torch.float64, device=device)
    rays = draw_rays(generators, clusters, near.numbers(clusters.num_clusters), device)
    draw = _Draw(ends, clusters, rays, times, motion, near, on_the_way=True)
    way = draw.velocity[:, None] * time_s
    centre = direction(*(torch.from_numpy(clusters.centres_rad[name]).to(device) for name in ("zoa", "aoa")))
    distances = draw.terminal_m
    los = clusters.los_power > 0
    if los:  # the first path is the line of sight before anything else
        distances = distances.clone()
        distances[:, 0] = near.distance_m
    to_bounce = distances[..., None] * centre - way
    left = torch.linalg.vector_norm(to_bounce, dim=-1)
    delays = torch.from_numpy(clusters.delays_s.copy()).to(device) + (left - distances) / SPEED_OF_LIGHT_MPS
    return draw.modes(), delays, to_bounce / left[..., None]


class _Draw:
    """A batch of draws with the geometry at both ends.

    on_the_way: the terminal's array is looked at from where it is at the one time that is given.
    """

    def __init__(
        self,
        ends: Ends,
        clusters: ClusterProfile,
        rays: Rays,
        times: Tensor,
        motion: tuple[float, float, float | None],
        near: NearField | None,
        on_the_way: bool = False,
        dual: DualMobility | None = None,
    ) -> None:
        self.dual = dual
        self.ends, self.clusters, self.rays, self.times, self.near = ends, clusters, rays, times, near
        self.on_the_way = on_the_way
        speed, zenith, azimuth = motion
        travel = rays.travel_azimuth_rad if azimuth is None else torch.full_like(rays.travel_azimuth_rad, azimuth)
        #: [batch, 3] m/s
        self.velocity = speed * direction(torch.full_like(travel, zenith), travel)
        self.device = times.device
        if near is not None:
            self.base_m, self.terminal_m = near.distances(clusters.delays_s, rays.spare)
            #: Bounces as the terminal sees them at time 0, metres [batch, num_clusters, num_rays, 3].
            self.bounces = rays.at_terminal * self.terminal_m[:, :, None, None]

    def modes(self) -> Tensor:
        """See `cluster_modes`."""
        batch, num_clusters, num_rays = self.rays.at_base.shape[:3]
        at_base, at_terminal = self._responses()
        doppler = self._doppler()  # [batch, num_clusters, num_rays, num_times]
        # coupled to the base station's components: [batch, num_clusters, num_rays, 2, terminal ports]
        far = at_terminal.unflatten(2, (num_clusters, num_rays)).permute(0, 2, 3, 4, 1)
        coupled = self.rays.coupling @ far
        # [batch, num_clusters, num_rays * 2, terminal ports * num_times]
        moving = (coupled[..., None] * doppler[:, :, :, None, None, :]).flatten(-2).flatten(2, 3)
        # [batch, num_clusters, base ports, num_rays * 2]
        own = at_base.unflatten(2, (num_clusters, num_rays)).permute(0, 2, 1, 3, 4).flatten(-2)
        gains = (own @ moving).unflatten(-1, (-1, len(self.times)))
        if self.clusters.los_power:
            gains[:, 0] += self._line_of_sight()
        if self.ends.power != 1.0:
            gains = gains * self.ends.power**-0.5
        # [batch, num_clusters, base, terminal, num_times] -> [batch, receive, transmit, num_times, num_clusters]
        order = (0, 2, 3, 4, 1) if self.ends.receives_at_base else (0, 3, 2, 4, 1)
        return gains.permute(*order).reshape(batch, -1, len(self.times), num_clusters)

    def _responses(self) -> tuple[Tensor, Tensor]:
        """Responses of both arrays' ports, complex64 [batch, num_ports, num_clusters * num_rays, 2]."""
        ends, rays = self.ends, self.rays
        if self.near is None:
            base = ends.base.response(rays.at_base.flatten(1, 2), ends.at_arrays_m)
            return base, ends.terminal.response(rays.at_terminal.flatten(1, 2), ends.at_arrays_m)
        gains = None
        if self.near.visibility is not None:
            numbers = rays.spare[:, 2 * self.clusters.num_clusters :].unflatten(1, (self.clusters.num_clusters, -1))
            gains = self.near.visibility.element_gains(ends.base, ends.wavelength_m, numbers)
            gains = gains.repeat_interleave(self.clusters.num_rays, dim=-1)
        at_base = (rays.at_base * self.base_m[:, :, None, None]).flatten(1, 2)
        at_terminal = self.bounces.flatten(1, 2)
        if self.on_the_way:
            at_terminal = at_terminal - self.velocity[:, None] * self.times[0]
        base = ends.base.response_to_points(at_base, ends.at_arrays_m, gains)
        return base, ends.terminal.response_to_points(at_terminal, ends.at_arrays_m)

    def _doppler(self) -> Tensor:
        """How motion turns every ray, complex64 [batch, num_clusters, num_rays, num_times]."""
        toward = self.rays.at_terminal
        if self.near is None:
            approach = torch.einsum("bnmx,bx->bnm", toward, self.velocity)
            if self.dual is not None:
                approach = approach + self.dual.approach_mps(self.rays.spare, self.rays.at_base)
            metres = approach[..., None] * self.times
        else:
            moved = self.velocity[:, None] * self.times[:, None]  # [batch, num_times, 3]
            distance = self.terminal_m[:, :, None, None]
            # |d r - v t|^2 = d^2 - 2 d r.vt + |vt|^2; the way towards the bounce, without losing digits
            along = torch.einsum("bnmx,btx->bnmt", toward, moved)
            square = moved.square().sum(-1)[:, None, None, :]
            left = (distance.square() - 2 * distance * along + square).sqrt()
            metres = (2 * distance * along - square) / (distance + left)
        return turns(metres / self.ends.wavelength_m)

    def _line_of_sight(self) -> Tensor:
        """Its gains, complex64 [batch, base ports, terminal ports, num_times] (TR 38.901 eq. (7.5-29))."""
        ends, los = self.ends, {k: torch.tensor(v, dtype=torch.float64) for k, v in self.clusters.los_rad.items()}
        at_base = direction(los["zod"], los["aod"]).to(self.device)[None]
        at_terminal = direction(los["zoa"], los["aoa"]).to(self.device)[None]
        amplitude = self.clusters.los_power**0.5 * self.rays.los_start
        signs = torch.tensor([1.0, -1.0], device=self.device)
        if self.near is None:
            base = ends.base.response(at_base, ends.at_arrays_m)[:, 0] * signs
            terminal = ends.terminal.response(at_terminal, ends.at_arrays_m)[:, 0]
            approach = self.velocity @ at_terminal[0]
            if self.dual is not None:
                approach = approach + self.dual.base_velocity_mps(self.rays.spare) @ at_base[0]
            turned = turns(approach[:, None] * self.times / ends.wavelength_m)
            return amplitude[:, None, None, None] * (base @ terminal.T)[None, :, :, None] * turned[:, None, None, :]
        # element to element: the phases of both arrays cannot be told apart
        distance = self.near.distance_m
        base_m = ends.base.global_positions(self.device)
        terminal_m = ends.terminal.global_positions(self.device)
        moved = self.velocity[:, None] * self.times[:, None]  # [batch, num_times, 3]
        between = distance * at_base[0] + terminal_m - base_m[:, None]  # [base, terminal, 3]
        lengths = torch.linalg.vector_norm(between[None, :, :, None] + moved[:, None, None], dim=-1)
        phases = turns((distance - lengths) / ends.wavelength_m)
        if ends.array_wavelength_m is not None:
            # motion turns phases as at the carrier, like that of all rays; the elements' ways are of this frequency
            at_start = torch.linalg.vector_norm(between, dim=-1)[None, :, :, None]
            phases = phases * turns((distance - at_start) * (1 / ends.array_wavelength_m - 1 / ends.wavelength_m))
        polarised = (_element_fields(ends.base, at_base) * signs) @ _element_fields(ends.terminal, at_terminal).T
        gains = amplitude[:, None, None, None] * polarised[None, :, :, None] * phases
        for axis, array in ((1, ends.base), (2, ends.terminal)):
            if array.weights is not None:
                weights = torch.as_tensor(array.weights, dtype=gains.dtype, device=self.device)
                gains = torch.tensordot(weights, gains, ([1], [axis])).movedim(0, axis)
        return gains


def _element_fields(array: AntennaArray, toward: Tensor) -> Tensor:
    """Fields of all elements in one direction [1, 3], complex64 [num_elements, 2]."""
    places = torch.as_tensor(np.unique(array.slants_rad, return_inverse=True)[1].reshape(-1), device=toward.device)
    return array.fields(toward)[0].index_select(0, places).to(torch.complex64)


def mean_pair_power(base: AntennaArray, terminal: AntennaArray, clusters: ClusterProfile, wavelength_m: float) -> float:
    """Mean power of the channel over all antenna pairs and draws, exactly: over all pairings of rays' angles."""
    crossed = torch.tensor([[1.0, 1 / clusters.xpr], [1 / clusters.xpr, 1.0]], dtype=torch.float64)
    total = 0.0
    for n, power in enumerate(clusters.powers):
        at_base = _port_powers(base, clusters, ("zod", "aod"), n, wavelength_m)
        at_terminal = _port_powers(terminal, clusters, ("zoa", "aoa"), n, wavelength_m)
        total += float(power * (at_base @ crossed @ at_terminal))
    if clusters.los_power:
        los = {name: torch.tensor([value], dtype=torch.float64) for name, value in clusters.los_rad.items()}
        signs = torch.tensor([1.0, -1.0])
        own = base.response(direction(los["zod"], los["aod"]), wavelength_m)[:, 0] * signs
        other = terminal.response(direction(los["zoa"], los["aoa"]), wavelength_m)[:, 0]
        total += clusters.los_power * float((own @ other.T).abs().square().mean())
    return total


def _port_powers(
    array: AntennaArray, clusters: ClusterProfile, names: tuple[str, str], cluster: int, wavelength_m: float
) -> Tensor:
    """Power of both field components, mean over ports and pairings of zenith and azimuth, float64 [2]."""
    zenith, azimuth = (torch.from_numpy(clusters.rays_rad[name][cluster]) for name in names)
    zeniths, azimuths = torch.meshgrid(zenith, azimuth, indexing="ij")
    directions = direction(zeniths.flatten(), azimuths.flatten())
    if array.weights is not None:
        return array.response(directions, wavelength_m).abs().double().square().mean((0, 1))
    _, counts = np.unique(array.slants_rad, return_counts=True)
    of_slant = array.fields(directions).square().mean(0)
    return torch.from_numpy(counts / counts.sum()) @ of_slant
