"""The high-speed train of TS 38.104."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from channels.errors import bad_value, unknown_name
from channels.interface import Channel
from channels.request import check_generators, checked_axis


@dataclass(frozen=True)
class _Scenario:
    """Twice the distance at which the train begins, distance of the track, metres, and the speed."""

    span_m: float
    track_m: float
    speed_mps: float


#: Tables G.3-1 and G.3-2 of TS 38.104, Rel-18: open space, and tunnel for multi-antennas. No public copy of the two
#: was found. What agrees: 700 m, 150 m and 500 km/h with TS 38.521-4 table B.3.3-1, 300 m and 2 m with TS 36.141 table
#: B.3-1, the equations with TS 36.141 §B.3.
_SCENARIOS = {
    "1-NR350": _Scenario(700, 150, 350 / 3.6),
    "3-NR350": _Scenario(300, 2, 350 / 3.6),
    "1-NR500": _Scenario(700, 150, 500 / 3.6),
    "3-NR500": _Scenario(300, 2, 500 / 3.6),
}


class Hst(Channel):
    """High-speed train: one path without fading whose Doppler shift follows the train past base stations.

    scenario: "1-NR350", "3-NR350", "1-NR500" or "3-NR500" of TS 38.104 annex G.3, Rel-18.
    max_doppler_hz: maximum Doppler shift, which the annex gives per subcarrier spacing: 1340 Hz at 15 kHz and 2334 Hz
        at 30 kHz for 350 km/h, 1740 Hz and 3334 Hz for 500 km/h. It includes both ways of a terminal that follows the
        base station's carrier: 1740 Hz and 3334 Hz are twice the 870 Hz and 1667 Hz of TS 38.521-4 table B.3.3-1,
        2334 Hz is twice v / c at the same 3.6 GHz, 1340 Hz is that of TS 36.141 table B.3-1.
    start_s: time on the trajectory at which a draw begins; left out, uniformly random over a period.

    The gain is 1 and its phase the integral of the Doppler shift, from a random start. All receive antennas see the
    same. One transmit antenna alone: no receiver could tell several layers apart.
    """

    name = "hst"

    def __init__(
        self,
        scenario: Literal["1-NR350", "3-NR350", "1-NR500", "3-NR500"],
        max_doppler_hz: float,
        start_s: float | None = None,
    ) -> None:
        if scenario not in _SCENARIOS:
            raise unknown_name("scenario", scenario, _SCENARIOS)
        for what, value in (("max_doppler_hz", max_doppler_hz), ("start_s", start_s)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise bad_value(what, value, "a finite number from 0")
        self.scenario = scenario
        self.max_doppler_hz = max_doppler_hz
        self.start_s = start_s
        self._track = _SCENARIOS[scenario]

    @property
    def period_s(self) -> float:
        """Time from base station to base station and back to the same shift: 2 Ds / v."""
        return 2 * self._track.span_m / self._track.speed_mps

    def doppler_hz(self, times_s: np.ndarray) -> np.ndarray:
        """Doppler shift on the trajectory, float64, shape of `times_s` (TS 38.104 eq. G.3-1 to G.3-4)."""
        place, sign = self._along(times_s)
        return np.asarray(sign * self.max_doppler_hz * place / np.hypot(self._track.track_m, place))

    def cycles(self, times_s: np.ndarray) -> np.ndarray:
        """Integral of the Doppler shift from time 0, in cycles, float64, shape of `times_s`.

        The shift is the derivative of the distance to the base station, and a period brings it back to 0.
        """
        place, sign = self._along(times_s)
        distance = np.hypot(self._track.track_m, place)
        start = math.hypot(self._track.track_m, self._track.span_m / 2)
        return np.asarray(sign * self.max_doppler_hz / self._track.speed_mps * (start - distance))

    def _along(self, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Way left to the nearest station along the track, metres, and the sign of its shift.

        The first half of a period passes one station; the second runs backwards through the same shifts.
        """
        span = self._track.span_m
        travelled = np.mod(np.asarray(times_s, np.float64) * self._track.speed_mps, 2 * span)
        first = travelled <= span
        place = np.where(first, span / 2 - travelled, 1.5 * span - travelled)
        return place, np.where(first, 1.0, -1.0)

    def response(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        symbol_times_s: np.ndarray,
        subcarrier_frequencies_hz: np.ndarray,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Gains of modulus 1, complex64 [batch, num_rx_ant, 1, num_ofdm_symbols, num_subcarriers].

        Random numbers of a drop, uniform from 0 to 1: the start phase, then the start on the trajectory.
        """
        self.check(num_rx_ant, num_tx_ant)
        check_generators(generators)
        times = checked_axis("symbol_times_s", symbol_times_s)
        num_subcarriers = checked_axis("subcarrier_frequencies_hz", subcarrier_frequencies_hz).size
        numbers = np.stack([generator.random(2) for generator in generators])
        starts = numbers[:, 1:] * self.period_s if self.start_s is None else np.full((len(numbers), 1), self.start_s)
        cycles = self.cycles(starts + times) - self.cycles(starts) + numbers[:, :1]
        gains = torch.from_numpy(np.exp(2j * np.pi * cycles).astype(np.complex64)).to(device)
        return gains[:, None, None, :, None].expand(-1, num_rx_ant, 1, -1, num_subcarriers).contiguous()

    def check(self, num_rx_ant: int, num_tx_ant: int) -> None:
        super().check(num_rx_ant, num_tx_ant)
        if num_tx_ant != 1:
            raise bad_value(
                "num_tx_ant", num_tx_ant, "1 with channel 'hst', where all layers would arrive alike at every antenna"
            )
