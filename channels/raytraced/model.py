"""The channel of a site: rays that a ray tracer found, between two antenna arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from channels.array_channel import ArrayChannel, Wideband
from channels.arrays import AntennaArray
from channels.errors import bad_value, non_negative, unknown_name
from channels.link_state import PathGains
from channels.paths import LargeScale, PathAngles, Paths
from channels.raytraced.ray_cache import cached_rays
from channels.raytraced.ray_file import read_rays
from channels.raytraced.ray_set import RaySet
from channels.raytraced.ray_table import BatchRays, RayTable
from channels.raytraced.trace_options import trace_options
from channels.request import check_generators
from channels.waves import turns

#: Uniform numbers of a drop: position, direction of travel, and two for the place around the position.
_NUMBERS = 4
#: Bytes of the arrays' responses that are held at once; draws are taken in steps that fit.
_STEP_BYTES = 32 << 20
_NORMALISATIONS = ("position", "set", "none")


class RayTraced(ArrayChannel):
    """Site-specific: rays between a base station and users of a scene, from a file or a ray tracer.

    rays: a set of rays that ships with the package ("munich-street"), or a file that `ran data rays` wrote; or
    trace: block of `channels.raytraced.TraceOptions`: traced once, then kept in the cache directory.
    direction: "uplink" from the user to the base station, or "downlink".
    rx_array, tx_array: blocks of `channels.arrays.antenna_array`, oriented in the scene's coordinates; left out, a
        uniform linear array of vertical omnidirectional elements at half a wavelength, as many as are asked for,
        facing along x at the base station and against x at the user.
    speed_mps: of the user. travel_azimuth_deg: where to; left out, along the trajectory where positions have one, or
        else uniformly random per draw.
    around_m: a draw's user is uniformly in a horizontal disc of this radius around its position, where the same rays
        reach it: their phases differ, not their powers. For radii far below the distances to walls.
    normalise: "position" for unit mean power per antenna pair at every position, as power control does; "set" for that
        on average over all positions with rays, so that far users are weak; "none" for absolute gains.
    absolute_delays: keep the delay of the first ray; by default a base station has told the user to send earlier.
    spherical: spherical wavefronts over both arrays, from the rays' lengths (of a line of sight between two large
        arrays at either end by itself).
    wideband: true delays of every element over the band, true, false or "auto" (`channels.array_channel.ArrayChannel`).

    A draw picks one of the positions with rays, all alike. Positions in outage are left out of the draw, which is what
    drawing again until there is a ray comes to; `rays.num_outages` counts them. Unit mean power is that of the sum of
    the rays' powers: rays that interfere, interfere around it. The response is constant within an OFDM symbol.
    """

    name = "ray-traced"

    def __init__(
        self,
        rays: str | None = None,
        trace: dict[str, Any] | None = None,
        direction: Literal["uplink", "downlink"] = "uplink",
        rx_array: dict[str, Any] | None = None,
        tx_array: dict[str, Any] | None = None,
        speed_mps: float = 0.0,
        travel_azimuth_deg: float | None = None,
        around_m: float = 0.0,
        normalise: Literal["position", "set", "none"] = "position",
        absolute_delays: bool = False,
        spherical: bool = False,
        wideband: Wideband = "auto",
    ) -> None:
        if (rays is None) == (trace is None):
            given = "neither" if rays is None else "both"
            raise bad_value("rays, trace", given, "one of the two: a set of rays, or what to trace")
        if normalise not in _NORMALISATIONS:
            raise unknown_name("normalise", normalise, _NORMALISATIONS)
        if travel_azimuth_deg is not None and not math.isfinite(travel_azimuth_deg):
            raise bad_value("travel_azimuth_deg", travel_azimuth_deg, "a finite number of degrees")
        self.travel_azimuth_deg = travel_azimuth_deg
        self.around_m = non_negative("around_m", around_m)
        self.normalise = normalise
        self.absolute_delays = absolute_delays
        self.spherical = spherical
        self.rays: RaySet = cached_rays(trace_options(trace or {})) if rays is None else read_rays(rays)
        if not len(self.rays.served):
            raise bad_value("rays", f"{self.rays.num_positions} positions, none of which a ray reaches", "at least one")
        radii = (self.rays.base_radius_m, self.rays.user_radius_m)
        if spherical and min(float(radius.min()) for radius in radii) <= 0:
            raise bad_value("spherical", True, "false: these rays have wavefronts of radius 0, without a centre")
        super().__init__(self.rays.carrier_frequency_hz, direction, rx_array, tx_array, speed_mps, wideband)
        self._table = RayTable.of(self.rays)
        self._set_powers: dict[tuple[int, int], float] = {}

    def fingerprint(self) -> str:
        """SHA-256 of the rays: what an experiment depends on beside the options."""
        return self.rays.content_sha256

    @property
    def has_absolute_gains(self) -> bool:
        """Without normalisation."""
        return self.normalise == "none"

    def path_gains(self, generators: Sequence[np.random.Generator], num_rx_ant: int, num_tx_ant: int) -> PathGains:
        """As in the base class. LOS where a ray without an interaction is there."""
        if not self.has_absolute_gains:
            return super().path_gains(generators, num_rx_ant, num_tx_ant)
        base, user = self._base_and_terminal(num_rx_ant, num_tx_ant)
        positions = self._positions(_drawn(generators))
        rays = self._table.of_positions(positions, "cpu")
        step = max(1, _STEP_BYTES // (64 * (base.num_elements + user.num_elements) * rays.num_rays))
        powers = [
            _pair_powers(self._static_gains(base, user, rays.select(slice(first, first + step))))
            for first in range(0, len(positions), step)
        ]
        away = self.rays.positions_m[positions].astype(np.float64) - self.rays.base_position_m
        first_ray, last_ray = self.rays.first[positions], self.rays.first[positions + 1]
        straight = [
            bool((self.rays.interactions[a:b] == 0).all(-1).any()) for a, b in zip(first_ray, last_ray, strict=True)
        ]
        return PathGains(
            10 * np.log10(torch.cat(powers).double().numpy()),
            np.hypot(away[:, 0], away[:, 1]),
            np.where(straight, 0, 1).astype(np.int8),
        )

    def sites(self, generators: Sequence[np.random.Generator]) -> np.ndarray:
        """Places of the draws, int64 [len(generators)]: the number of the first position in the set at that place."""
        return self._place_numbers[self._positions(_drawn(generators))]

    @property
    def served_sites(self) -> np.ndarray:
        """Numbers of all places that draws may have, int64, ascending."""
        return np.unique(self._place_numbers[self.rays.served])

    @cached_property
    def _place_numbers(self) -> np.ndarray:
        """Of every position the first one at the same coordinates: trajectories cross, lists name a point twice."""
        _, first, place = np.unique(self.rays.positions_m, axis=0, return_index=True, return_inverse=True)
        return first[place.reshape(-1)].astype(np.int64)

    def places_m(self, generators: Sequence[np.random.Generator], times_s: np.ndarray) -> np.ndarray:
        """Where the users of the draws are at the times, in the scene's coordinates, float64 [batch, num_times, 3]."""
        numbers = _drawn(generators)
        positions = self._positions(numbers)
        start = self.rays.positions_m[positions].astype(np.float64)
        return start[:, None] + self._displacements(numbers, positions, np.asarray(times_s, np.float64))

    def _positions(self, numbers: np.ndarray) -> np.ndarray:
        served = self.rays.served
        return np.asarray(served[(numbers[:, 0] * len(served)).astype(np.int64)])

    def _modes(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        nodes_s: np.ndarray,
        device: torch.device | str,
        array_wavelength_m: float | None = None,
    ) -> tuple[Tensor, _Drawn]:
        """As in the base class. Random numbers of a drop, uniform from 0 to 1, in order: position, azimuth of travel,
        square of the radius and azimuth of the place around the position."""
        base, user = self._base_and_terminal(num_rx_ant, num_tx_ant)
        numbers = _drawn(generators)
        positions = self._positions(numbers)
        # [batch, num_times, 3] metres from the position
        moved = self._displacements(numbers, positions, nodes_s)
        rays = self._table.of_positions(positions, device)
        step = max(1, _STEP_BYTES // (64 * (base.num_elements + user.num_elements) * rays.num_rays))
        parts = []
        for first in range(0, len(positions), step):
            part = slice(first, first + step)
            static = at_carrier = self._static_gains(base, user, rays.select(part))
            if array_wavelength_m is not None:
                static = self._static_gains(base, user, rays.select(part), array_wavelength_m)
            if self.normalise == "position":
                static = static * _pair_powers(at_carrier).rsqrt()[:, None, None, None]
            turned = self._turned(rays.select(part), torch.from_numpy(moved[part]).to(device))
            parts.append(static[..., None] * turned[:, None, None])
        gains = parts[0] if len(parts) == 1 else torch.cat(parts)
        if self.normalise == "set":
            gains = gains * self._set_power(base, user) ** -0.5
        if self.direction == "downlink":
            gains = gains.transpose(1, 2)
        # [batch, receive, transmit, num_rays, num_times] -> [batch, pairs, num_times, num_rays]
        return gains.flatten(1, 2).transpose(-1, -2).contiguous(), _Drawn(rays, positions)

    def _delays_s(self, drawn: _Drawn) -> np.ndarray:
        rays = drawn.rays
        delays = rays.delays_s if self.absolute_delays else rays.delays_s - rays.delays_s[:, :1]
        return torch.where(rays.there, delays, torch.zeros_like(delays)).cpu().numpy()

    def _displacements(self, numbers: np.ndarray, positions: np.ndarray, times_s: np.ndarray) -> np.ndarray:
        headings = self.rays.headings_rad[positions].astype(np.float64)
        azimuth = np.where(np.isnan(headings), 2 * np.pi * numbers[:, 1], headings)
        if self.travel_azimuth_deg is not None:
            azimuth = np.full_like(azimuth, math.radians(self.travel_azimuth_deg))
        radius, around = self.around_m * np.sqrt(numbers[:, 2]), 2 * np.pi * numbers[:, 3]
        way = self.speed_mps * times_s
        x = (radius * np.cos(around))[:, None] + np.cos(azimuth)[:, None] * way
        y = (radius * np.sin(around))[:, None] + np.sin(azimuth)[:, None] * way
        return np.stack([x, y, np.zeros_like(x)], -1)

    def _static_gains(
        self, base: AntennaArray, user: AntennaArray, rays: BatchRays, array_wavelength_m: float | None = None
    ) -> Tensor:
        """At the positions themselves, complex64 [batch, base ports, user ports, num_rays].

        array_wavelength_m: of the arrays' phases; None: the carrier's.
        """
        wavelength_m = self.wavelength_m if array_wavelength_m is None else array_wavelength_m
        if self.spherical:
            at_base = base.response_to_points(rays.at_base * rays.base_radius_m[..., None], wavelength_m)
            at_user = user.response_to_points(rays.at_user * rays.user_radius_m[..., None], wavelength_m)
        else:
            at_base = base.response(rays.at_base, wavelength_m)
            at_user = user.response(rays.at_user, wavelength_m)
        # [batch, num_rays, 2, user ports]
        coupled = rays.transfer @ at_user.permute(0, 2, 3, 1)
        # [batch, num_rays, base ports, user ports]
        gains = at_base.permute(0, 2, 1, 3) @ coupled
        return gains.permute(0, 2, 3, 1)

    def _turned(self, rays: BatchRays, moved: Tensor) -> Tensor:
        """exp(j phase) of every ray by the user's displacements [batch, num_times, 3]: [batch, num_rays, num_times]."""
        along = torch.einsum("brx,btx->brt", rays.at_user, moved)
        if self.spherical:
            # |d r - m|^2 = d^2 - 2 d r.m + |m|^2; the way towards the centre of the wavefront, without losing digits
            distance = rays.user_radius_m[..., None]
            square = moved.square().sum(-1)[:, None, :]
            left = (distance.square() - 2 * distance * along + square).sqrt()
            along = (2 * distance * along - square) / (distance + left)
        return turns(along / self.wavelength_m)

    def _set_power(self, base: AntennaArray, user: AntennaArray) -> float:
        """Mean power of an antenna pair over all positions with rays."""
        key = (base.num_ports, user.num_ports)
        if key not in self._set_powers:
            total = 0.0
            for position in self.rays.served:
                rays = self._table.of_positions(np.array([position]), "cpu")
                total += float(_pair_powers(self._static_gains(base, user, rays)))
            self._set_powers[key] = total / len(self.rays.served)
        return self._set_powers[key]

    def _described(self, gains: Tensor, drawn: _Drawn, device: torch.device | str) -> Paths:
        """With angles, path loss and delay spread. Positions with fewer rays than others have paths of gain 0 and delay
        0 at the end."""
        rays = drawn.rays
        delays = torch.from_numpy(self._delays_s(drawn)).to(device)
        arrival, departure = rays.base_angles, rays.user_angles
        if self.direction == "downlink":
            arrival, departure = departure, arrival
        angles = PathAngles(arrival[1], arrival[0], departure[1], departure[0])
        powers = rays.transfer.abs().double().square().sum((-1, -2))
        powers = powers / powers.sum(-1, keepdim=True)
        mean = (powers * delays).sum(-1, keepdim=True)
        spread = (powers * (delays - mean).square()).sum(-1).sqrt()
        loss = torch.from_numpy(-10 * np.log10(self.rays.path_gains[drawn.positions])).to(device)
        return Paths(gains, delays, angles, LargeScale(path_loss_db=loss, delay_spread_s=spread))


@dataclass(frozen=True)
class _Drawn:
    """What a batch drew: the rays of its positions, and the numbers of these, int64 [batch]."""

    rays: BatchRays
    positions: np.ndarray


def _drawn(generators: Sequence[np.random.Generator]) -> np.ndarray:
    """Uniform numbers from 0 to 1, float64 [batch, 4]."""
    check_generators(generators)
    return np.stack([generator.random(_NUMBERS) for generator in generators])


def _pair_powers(gains: Tensor) -> Tensor:
    """Power of an antenna pair, the sum over rays, mean over pairs, float32 [batch]; gains [batch, ., ., num_rays]."""
    return gains.abs().double().square().sum(-1).mean((1, 2)).to(torch.float32)
