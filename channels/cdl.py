"""Clustered delay lines of TR 38.901 between two antenna arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from channels.array_channel import ArrayChannel, Wideband
from channels.arrays import angles as angles_of
from channels.arrays import direction as direction_of
from channels.cluster_profiles import ClusterProfile, cluster_profile
from channels.cluster_response import Ends, cluster_modes, mean_pair_power, snapshot
from channels.dual_mobility import dual_mobility as dual_mobility_of
from channels.errors import bad_value, non_negative
from channels.near_field import NearField
from channels.near_field import near_field as near_field_of
from channels.paths import LargeScale, PathAngles, Paths

#: Where the model is valid (TR 38.901 §7.7, Rel-18).
_FREQUENCIES_HZ = (0.5e9, 100e9)


class Cdl(ArrayChannel):
    """Clustered delay line: CDL-A to CDL-E of TR 38.901 between two antenna arrays, far or near.

    profile: "A" to "E" (tables 7.7.1-1 to 7.7.1-5, Rel-19). delay_spread_ns: RMS delay spread, scales the delays.
    carrier_frequency_hz: 0.5 to 100 GHz.
    direction: "uplink" from the terminal to the base station, or "downlink". The tables' departures are at the base
        station either way.
    rx_array, tx_array: blocks of `channels.arrays.antenna_array`; left out, a uniform linear array of vertical
        omnidirectional elements at half a wavelength, as many as are asked for. Arrays without orientation_deg face
        along x at the base station and against x at the terminal.
    speed_mps, travel_azimuth_deg, travel_zenith_deg: the terminal's motion; the azimuth is uniformly random per draw
        unless it is given.
    angle_spreads_deg: wanted "asd", "asa", "zsd", "zsa"; mean_angles_deg: wanted "aod", "aoa", "zod", "zoa"
        (§7.7.5.1). k_factor_db: wanted K factor of "D" and "E" (§7.7.6).
    normalise: unit mean power over all antenna pairs; False keeps the coefficients of §7.5 with the elements' gains.
    near_field: block with distance_m and more (`channels.near_field`): spherical wavefronts at both arrays, in §7.6.13
        and §7.6.14 of Rel-19; visibility takes power away. Left out: plane waves.
    dual_mobility: block with base_speed_mps, scatterer_speed_mps and more (`channels.dual_mobility`, §7.6.10): the base
        station and scatterers move too; not together with near_field.
    wideband: true delays of every element over the band, true, false or "auto" (`channels.array_channel.ArrayChannel`).

    Every ray has a uniformly random start phase, the line of sight as well. The response is constant within an
    OFDM symbol.
    """

    name = "cdl"
    shared_delays = True

    def __init__(
        self,
        profile: str,
        delay_spread_ns: float,
        carrier_frequency_hz: float,
        direction: Literal["uplink", "downlink"] = "uplink",
        rx_array: dict[str, Any] | None = None,
        tx_array: dict[str, Any] | None = None,
        speed_mps: float = 0.0,
        travel_azimuth_deg: float | None = None,
        travel_zenith_deg: float = 90.0,
        angle_spreads_deg: dict[str, float] | None = None,
        mean_angles_deg: dict[str, float] | None = None,
        k_factor_db: float | None = None,
        normalise: bool = True,
        near_field: dict[str, Any] | None = None,
        dual_mobility: dict[str, Any] | None = None,
        wideband: Wideband = "auto",
    ) -> None:
        low, high = _FREQUENCIES_HZ
        if isinstance(carrier_frequency_hz, bool) or not low <= carrier_frequency_hz <= high:
            raise bad_value("carrier_frequency_hz", carrier_frequency_hz, "0.5e9 to 100e9 (TR 38.901 §7.7)")
        super().__init__(carrier_frequency_hz, direction, rx_array, tx_array, speed_mps, wideband)
        self.profile = profile
        self.delay_spread_ns = delay_spread_ns
        self.travel_azimuth_deg = travel_azimuth_deg
        self.travel_zenith_deg = travel_zenith_deg
        self.angle_spreads_deg = angle_spreads_deg
        self.mean_angles_deg = mean_angles_deg
        self.k_factor_db = k_factor_db
        self.normalise = normalise
        self.near_field = near_field
        for what, given in (("travel_azimuth_deg", travel_azimuth_deg), ("travel_zenith_deg", travel_zenith_deg)):
            if given is not None and not math.isfinite(given):
                raise bad_value(what, given, "a finite number of degrees")
        spread_s = non_negative("delay_spread_ns", delay_spread_ns) * 1e-9
        self.clusters: ClusterProfile = cluster_profile(
            profile, spread_s, angle_spreads_deg, mean_angles_deg, k_factor_db
        )
        self._near = None if near_field is None else _near_field(near_field, self.clusters)
        self.dual_mobility = dual_mobility
        self._dual = None if dual_mobility is None else dual_mobility_of(dual_mobility)
        if self._dual is not None:
            if near_field is not None:
                raise bad_value("dual_mobility", dual_mobility, "without near_field, in which the base station stands")
            self.doppler_hz += self._dual.max_speed_mps / self.wavelength_m
        self._powers: dict[tuple[int, int], float] = {}

    def track(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        time_s: float,
        device: torch.device | str = "cpu",
    ) -> Paths:
        """The draws as they are after the terminal has moved for `time_s` (mobility with fixed bounces; needs
        `near_field`): gains [..., 1], with delays and directions at the terminal that have drifted.

        Generators of the same state give the same surroundings, so a trajectory is looked at by calling again with
        fresh ones. Bounces stay where they are and clusters live on: good for some tens of metres, as in the smooth
        update of TR 38.901 §7.6.3.2 (procedure A), whose birth and death of clusters over longer ways is not here.
        """
        self._check_no_true_delays("track")
        if self._near is None:
            raise bad_value("near_field", None, "a block with distance_m, without which bounces have no place")
        ends = self._ends(num_rx_ant, num_tx_ant)
        modes, delays, at_terminal = snapshot(
            ends, self.clusters, generators, time_s, self._velocity, self._near, device
        )
        gains = modes.transpose(-1, -2).reshape(len(generators), num_rx_ant, num_tx_ant, -1, 1)
        paths = self._described(gains, None, device)
        zenith, azimuth = angles_of(at_terminal)
        moved = {"zod_rad": zenith, "aod_rad": azimuth}
        if self.direction == "downlink":
            moved = {"zoa_rad": zenith, "aoa_rad": azimuth}
        return replace(paths, delays_s=delays, angles=replace(self._angles(device), **moved))

    def _modes(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        nodes_s: np.ndarray,
        device: torch.device | str,
        array_wavelength_m: float | None = None,
    ) -> tuple[Tensor, None]:
        """Random numbers of a drop: those of `channels.rays.draw_rays`, then those of the near field."""
        ends = replace(self._ends(num_rx_ant, num_tx_ant), array_wavelength_m=array_wavelength_m)
        modes = cluster_modes(ends, self.clusters, generators, nodes_s, self._velocity, self._near, device, self._dual)
        return modes, None

    def _delays_s(self, drawn: None) -> np.ndarray:
        return self.clusters.delays_s[None]

    def _ends(self, num_rx_ant: int, num_tx_ant: int) -> Ends:
        base, terminal = self._base_and_terminal(num_rx_ant, num_tx_ant)
        power = self._power(num_rx_ant, num_tx_ant) if self.normalise else 1.0
        return Ends(base, terminal, self.direction == "uplink", self.wavelength_m, power)

    @property
    def _velocity(self) -> tuple[float, float, float | None]:
        """Speed, zenith and, unless it is random, azimuth of the terminal's motion."""
        azimuth = None if self.travel_azimuth_deg is None else math.radians(self.travel_azimuth_deg)
        return self.speed_mps, math.radians(self.travel_zenith_deg), azimuth

    def _power(self, num_rx_ant: int, num_tx_ant: int) -> float:
        """Mean power of an antenna pair; arrays of like elements differ in number alone."""
        # a default array's power does not depend on its size
        sizes = [n if f"{w}_array" in self._given else 1 for w, n in (("rx", num_rx_ant), ("tx", num_tx_ant))]
        key = (sizes[0], sizes[1])
        if key not in self._powers:
            base, terminal = self._base_and_terminal(*key)
            self._powers[key] = mean_pair_power(base, terminal, self.clusters, self.wavelength_m)
        return self._powers[key]

    def _angles(self, device: torch.device | str) -> PathAngles:
        """Centres of the clusters, [1, num_clusters] each."""
        arrival, departure = self._ends_of_tables
        names = (f"ao{arrival}", f"zo{arrival}", f"ao{departure}", f"zo{departure}")
        centres = [torch.from_numpy(self.clusters.centres_rad[name].copy()).to(device)[None] for name in names]
        return PathAngles(*centres)

    def _described(self, gains: Tensor, drawn: None, device: torch.device | str) -> Paths:
        clusters = self.clusters
        arrival, departure = self._ends_of_tables

        def one(value: float) -> Tensor:
            return torch.tensor([value], dtype=torch.float64, device=device)

        def spread(name: str) -> Tensor:
            return one(clusters.angle_statistics(name)[1])

        k_factor_db = 10 * math.log10(clusters.k_factor) if clusters.los_power else -math.inf
        large_scale = LargeScale(
            k_factor_db=one(k_factor_db),
            delay_spread_s=one(clusters.rms_delay_spread_s),
            asa_rad=spread(f"ao{arrival}"),
            zsa_rad=spread(f"zo{arrival}"),
            asd_rad=spread(f"ao{departure}"),
            zsd_rad=spread(f"zo{departure}"),
        )
        delays = torch.from_numpy(clusters.delays_s.copy()).to(device)[None]
        return Paths(gains, delays, self._angles(device), large_scale)


def _near_field(block: dict[str, Any], clusters: ClusterProfile) -> NearField:
    """Checked against the line of sight, whose directions at both ends must then be one line."""
    near = near_field_of(block)
    los = {name: torch.tensor(value, dtype=torch.float64) for name, value in clusters.los_rad.items()}
    opposite = direction_of(los["zod"], los["aod"]) + direction_of(los["zoa"], los["aoa"])
    if clusters.los_power and float(opposite.norm()) > 1e-6:
        raise bad_value(
            "near_field", "angles that turn the line of sight", "mean angles and spreads at which both its ends agree"
        )
    return near
