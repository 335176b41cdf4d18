"""Tapped delay lines of TR 38.901 and TS 38.104."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from scipy.special import j0
from torch import Tensor

from channels.errors import bad_value, non_negative, unknown_name
from channels.fading import fading_basis
from channels.interface import Channel, GridModes
from channels.path_grid import delay_phases, modes_over_frequency, modes_to_grid
from channels.paths import Paths
from channels.profiles import is_scalable, power_delay_profile
from channels.request import checked_axis, normals
from channels.spatial_correlation import correlation_factor, levels
from channels.waves import SPEED_OF_LIGHT_MPS

#: Doppler shift of the line of sight relative to the maximum (TR 38.901 §7.7.2, Rel-18).
LOS_DOPPLER_RATIO = 0.7


class Tdl(Channel):
    """Tapped delay line: TDL-A to TDL-E of TR 38.901 with any delay spread, or TDLA30, TDLB100, TDLC300 of TS 38.104.

    profile: "A" to "E" (TR 38.901 tables 7.7.2-1 to 7.7.2-5, Rel-18), or "TDLA30", "TDLB100", "TDLC300"
        (TS 38.104 annex G.2.1.1, Rel-18).
    delay_spread_ns: RMS delay spread that scales "A" to "E", which need it; the other profiles have their own.
    max_doppler_hz: maximum Doppler shift; or give speed_mps and carrier_frequency_hz, whose product over the speed of
        light it is.
    los_phases: start phases of the line of sight in "D" and "E", uniformly random, "independent" for every antenna
        pair or "common" to all. The tables describe one antenna pair and leave the array open. "independent" lets
        the line of sight of several layers or users come from different directions; with "common" they arrive
        alike at every antenna.

    correlation: of uniform linear arrays, "low", "medium" or "high" (TS 38.104 annex G.2.3). The line of sight of "D"
        and "E" is left as `los_phases` says.
    direction: which end is the base station, and so has the larger correlation of "medium": the receiver of the
        "uplink" or the transmitter of the "downlink". Nothing else depends on it.

    Taps fade independently, antenna pairs as well at low correlation. The response is constant within an OFDM symbol:
    no intercarrier interference, no intersymbol interference beyond the cyclic prefix.
    """

    name = "tdl"

    def __init__(
        self,
        profile: str,
        delay_spread_ns: float | None = None,
        max_doppler_hz: float | None = None,
        speed_mps: float | None = None,
        carrier_frequency_hz: float | None = None,
        los_phases: Literal["independent", "common"] = "independent",
        correlation: Literal["low", "medium", "high"] = "low",
        direction: Literal["uplink", "downlink"] = "uplink",
    ) -> None:
        scalable = is_scalable(profile)
        if scalable and delay_spread_ns is None:
            raise bad_value("delay_spread_ns", None, f"a finite number from 0, which profile {profile!r} needs")
        if not scalable and delay_spread_ns is not None:
            raise bad_value("delay_spread_ns", delay_spread_ns, f"none, profile {profile!r} has fixed delays")
        if los_phases not in ("independent", "common"):
            raise unknown_name("los_phases", los_phases, ("independent", "common"))
        if direction not in ("uplink", "downlink"):
            raise unknown_name("direction", direction, ("uplink", "downlink"))
        self._outermost = levels(correlation)
        self.profile = profile
        self.delay_spread_ns = delay_spread_ns
        self.max_doppler_hz = max_doppler_hz
        self.speed_mps = speed_mps
        self.carrier_frequency_hz = carrier_frequency_hz
        self.los_phases = los_phases
        self.correlation = correlation
        self.direction = direction
        self.doppler_hz = _doppler_hz(max_doppler_hz, speed_mps, carrier_frequency_hz)
        spread_s = None if delay_spread_ns is None else non_negative("delay_spread_ns", delay_spread_ns) * 1e-9
        self.power_delay_profile = power_delay_profile(profile, spread_s)

    def response(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        symbol_times_s: np.ndarray,
        subcarrier_frequencies_hz: np.ndarray,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Independent draws, complex64 [batch, num_rx_ant, num_tx_ant, num_ofdm_symbols, num_subcarriers].

        h(t, f) = sum over taps of a_tap(t) exp(-2j pi f delay_tap).
        """
        return self.response_within(
            generators, num_rx_ant, num_tx_ant, symbol_times_s, slice(None), subcarrier_frequencies_hz, device
        )

    def response_within(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        process_times_s: np.ndarray,
        part: slice,
        subcarrier_frequencies_hz: np.ndarray,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """As in the base class, without computing the other parts."""
        self.check(num_rx_ant, num_tx_ant)
        times = checked_axis("symbol_times_s", process_times_s)
        frequencies = checked_axis("subcarrier_frequencies_hz", subcarrier_frequencies_hz)
        basis = self._time_basis(times)[part]
        phases = delay_phases(self.power_delay_profile.delays_s.tobytes(), frequencies.tobytes(), str(device))
        modes = torch.from_numpy(self._modes(generators, num_rx_ant, num_tx_ant, basis.shape[1])).to(device)
        grid = modes_to_grid(modes, torch.from_numpy(basis).to(device), phases)
        return grid.view(len(generators), num_rx_ant, num_tx_ant, len(basis), frequencies.size)

    def grid_modes(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        process_times_s: np.ndarray,
        part: slice,
        subcarrier_frequencies_hz: np.ndarray,
    ) -> GridModes:
        """As in the base class."""
        arguments = (generators, num_rx_ant, num_tx_ant, process_times_s, part, subcarrier_frequencies_hz)
        if (type(self).response, type(self).response_within) != (Tdl.response, Tdl.response_within):
            return super().grid_modes(*arguments)  # a model that makes something else of the taps
        self.check(num_rx_ant, num_tx_ant)
        frequencies = checked_axis("subcarrier_frequencies_hz", subcarrier_frequencies_hz)
        basis = self._time_basis(checked_axis("symbol_times_s", process_times_s))[part]
        phases = delay_phases(self.power_delay_profile.delays_s.tobytes(), frequencies.tobytes(), "cpu")
        modes = torch.from_numpy(self._modes(generators, num_rx_ant, num_tx_ant, basis.shape[1]))
        on_grid = modes_over_frequency(modes, len(basis), phases)
        over_time: Tensor | None = torch.from_numpy(basis)
        if on_grid is None:
            on_grid, over_time = modes_to_grid(modes, torch.from_numpy(basis), phases), None
        return GridModes(on_grid.unflatten(1, (num_rx_ant, num_tx_ant)), over_time)

    def paths(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        times_s: np.ndarray,
        device: torch.device | str = "cpu",
    ) -> Paths:
        """The taps of the draws; see the base class."""
        self.check(num_rx_ant, num_tx_ant)
        basis = self._time_basis(checked_axis("times_s", times_s))
        modes = torch.from_numpy(self._modes(generators, num_rx_ant, num_tx_ant, basis.shape[1])).to(device)
        # [batch, num_rx_ant * num_tx_ant, num_taps, num_times]
        gains = modes.transpose(-1, -2) @ torch.from_numpy(basis.T.copy()).to(device, modes.dtype)
        delays = torch.from_numpy(self.power_delay_profile.delays_s.copy()).to(device)
        return Paths(gains.view(len(generators), num_rx_ant, num_tx_ant, -1, len(basis)), delays[None])

    def time_correlation(self, lag_s: np.ndarray | float) -> np.ndarray:
        """E[h(t + lag) conj(h(t))] of an antenna pair, complex128, shape of `lag_s`."""
        radians = 2 * np.pi * self.doppler_hz * np.asarray(lag_s)
        los_power = self.power_delay_profile.los_power
        return np.asarray((1 - los_power) * j0(radians) + los_power * np.exp(1j * LOS_DOPPLER_RATIO * radians))

    def _time_basis(self, times: np.ndarray) -> np.ndarray:
        """How modes vary over time, float32 [num_times, num_modes].

        The rotating line of sight is two more modes, a cosine and a sine: so it needs no product of its own.
        """
        basis = fading_basis(times, self.doppler_hz)
        if self.power_delay_profile.los_power:
            radians = 2 * np.pi * LOS_DOPPLER_RATIO * self.doppler_hz * times
            basis = np.column_stack([basis, np.cos(radians), np.sin(radians)])
        return basis.astype(np.float32)

    def _correlated(self, scattered: np.ndarray, num_rx_ant: int, num_tx_ant: int) -> np.ndarray:
        """Independent gains [batch, num_rx_ant * num_tx_ant, ...] correlated over the antennas of both ends."""
        if self.correlation == "low":
            return scattered
        alpha, beta = self._outermost
        at_rx, at_tx = (alpha, beta) if self.direction == "uplink" else (beta, alpha)
        of_pair = scattered.reshape(len(scattered), num_rx_ant, num_tx_ant, -1)
        factors = correlation_factor(num_rx_ant, at_rx), correlation_factor(num_tx_ant, at_tx)
        # one small matrix per end, and the same operations for every drop
        mixed = np.stack([np.einsum("rp,tq,pqn->rtn", *factors, drop, optimize=True) for drop in of_pair])
        return mixed.reshape(scattered.shape).astype(np.complex64)

    def _modes(
        self, generators: Sequence[np.random.Generator], num_rx_ant: int, num_tx_ant: int, num_modes: int
    ) -> np.ndarray:
        """Random gains of every mode and tap, complex64 [batch, num_pairs, num_modes, num_taps].

        Random numbers of a drop, in order: real and imaginary part per antenna pair, mode and tap; then, with a line of
        sight, a complex number per antenna pair that gives its start phase.
        """
        profile, num_pairs = self.power_delay_profile, num_rx_ant * num_tx_ant
        amplitudes = np.sqrt(profile.powers / 2).astype(np.float32)
        batch, taps = len(generators), profile.num_taps
        if not profile.los_power:
            numbers = normals(generators, num_pairs * num_modes * taps * 2).view(np.complex64)
            gains = numbers.reshape(batch, num_pairs, num_modes, taps) * amplitudes
            return self._correlated(gains, num_rx_ant, num_tx_ant)
        fading = num_modes - 2
        numbers = normals(generators, num_pairs * (fading * taps + 1) * 2).view(np.complex64)
        modes = np.zeros((batch, num_pairs, num_modes, taps), np.complex64)
        scattered, start = numbers[:, :-num_pairs], numbers[:, -num_pairs:]
        gains = scattered.reshape(batch, num_pairs, fading, taps) * amplitudes
        modes[:, :, :fading] = self._correlated(gains, num_rx_ant, num_tx_ant)
        if self.los_phases == "common":
            start = start[:, :1]
        line_of_sight = start / np.abs(start) * np.float32(np.sqrt(profile.los_power))
        modes[:, :, fading, 0] = line_of_sight
        modes[:, :, fading + 1, 0] = 1j * line_of_sight
        return modes


def _doppler_hz(max_doppler_hz: float | None, speed_mps: float | None, carrier_frequency_hz: float | None) -> float:
    """Maximum Doppler shift from whichever of its two descriptions is given."""
    by_speed = (speed_mps, carrier_frequency_hz)
    if max_doppler_hz is not None:
        if by_speed != (None, None):
            raise bad_value(
                "max_doppler_hz", max_doppler_hz, "either it, or speed_mps and carrier_frequency_hz, not both"
            )
        return non_negative("max_doppler_hz", max_doppler_hz)
    if by_speed == (None, None):
        raise bad_value("max_doppler_hz", None, "a finite number from 0, or speed_mps and carrier_frequency_hz instead")
    if speed_mps is None:
        raise bad_value("speed_mps", None, "a finite number from 0, with carrier_frequency_hz")
    if carrier_frequency_hz is None:
        raise bad_value("carrier_frequency_hz", None, "a finite number from 0, with speed_mps")
    speed, carrier = non_negative("speed_mps", speed_mps), non_negative("carrier_frequency_hz", carrier_frequency_hz)
    return speed * carrier / SPEED_OF_LIGHT_MPS
