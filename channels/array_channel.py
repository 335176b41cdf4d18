"""What channels between two antenna arrays share: the arrays' options, and the way from paths to a grid."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from channels.arrays import AntennaArray, antenna_array
from channels.errors import bad_value, non_negative, unknown_name
from channels.interface import Channel
from channels.path_grid import delay_phases, many_pairs_to_grid, time_nodes
from channels.paths import BUDGET_BYTES, GridPart, Paths, path_phases
from channels.request import checked_axis
from channels.waves import SPEED_OF_LIGHT_MPS

#: Widest band for which the models of TR 38.901 are valid (§7.1, §7.7, Rel-18).
_MAX_BANDWIDTH_HZ = 2e9
#: Largest response that is computed in one piece on a CPU.
_RESPONSE_BYTES = 2 << 30


class ArrayChannel(Channel):
    """A channel between the arrays of a base station and a terminal that moves.

    A model draws gains of its paths at a few times (`_modes`); the rest is here.
    """

    #: Whether all drops have the same delays, whose phases are then kept.
    shared_delays: ClassVar[bool] = False

    def __init__(
        self,
        carrier_frequency_hz: float,
        direction: str,
        rx_array: dict[str, Any] | None,
        tx_array: dict[str, Any] | None,
        speed_mps: float,
    ) -> None:
        if direction not in ("uplink", "downlink"):
            raise unknown_name("direction", direction, ("uplink", "downlink"))
        self.carrier_frequency_hz = carrier_frequency_hz
        self.direction = direction
        self.rx_array = rx_array
        self.tx_array = tx_array
        self.speed_mps = speed_mps
        self.wavelength_m = SPEED_OF_LIGHT_MPS / carrier_frequency_hz
        self.doppler_hz = non_negative("speed_mps", speed_mps) / self.wavelength_m
        self._given = {what: self._array(what, block) for what, block in self._blocks() if block is not None}

    @abstractmethod
    def _modes(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        nodes_s: np.ndarray,
        device: torch.device | str,
    ) -> tuple[Tensor, Any]:
        """Gains at the nodes, complex64 [batch, num_rx_ant * num_tx_ant, num_nodes, num_paths], and what was drawn."""

    @abstractmethod
    def _delays_s(self, drawn: Any) -> np.ndarray:
        """Delays of the paths, float64 [batch, num_paths], or [1, num_paths] when all drops have the same."""

    @abstractmethod
    def _described(self, gains: Tensor, drawn: Any, device: torch.device | str) -> Paths:
        """The paths with what is known of them. gains: as in `Paths`."""

    def check(self, num_rx_ant: int, num_tx_ant: int) -> None:
        """As in the base class; an array that is given has as many ports as it has."""
        super().check(num_rx_ant, num_tx_ant)
        for what, asked in (("rx", num_rx_ant), ("tx", num_tx_ant)):
            array = self._given.get(f"{what}_array")
            if array is not None and array.num_ports != asked:
                raise bad_value(f"num_{what}_ant", asked, f"{array.num_ports}, the ports of {what}_array")

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

        `ValueError` for a response of more than 2 GiB on a CPU: `grid_parts` gives it piece by piece.
        """
        times, frequencies = self._axes(symbol_times_s, subcarrier_frequencies_hz)
        size = 8 * len(generators) * num_rx_ant * num_tx_ant * times.size * frequencies.size
        if size > _RESPONSE_BYTES and torch.device(device).type == "cpu":
            raise bad_value(
                "response",
                f"{len(generators)} draws x {num_rx_ant} x {num_tx_ant} antennas x {times.size} symbols x "
                f"{frequencies.size} subcarriers, {size / 2**30:.1f} GiB",
                f"{_RESPONSE_BYTES / 2**30:g} GiB at once; take grid_parts, or fewer draws or subcarriers",
            )
        nodes, basis = time_nodes(times, self.doppler_hz)
        modes, drawn = self._modes(generators, num_rx_ant, num_tx_ant, nodes, device)
        delays = self._delays_s(drawn)
        if self.shared_delays:
            phases = delay_phases(delays.tobytes(), frequencies.tobytes(), str(device))
        else:
            phases = path_phases(torch.from_numpy(delays).to(device), torch.from_numpy(frequencies).to(device))
        grid = many_pairs_to_grid(modes, _on(basis, device), phases)
        return grid.view(len(generators), num_rx_ant, num_tx_ant, times.size, frequencies.size)

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
        """As in the base class: rays turn on by themselves, so other times need not be looked at."""
        times = checked_axis("symbol_times_s", process_times_s)[part]
        return self.response(generators, num_rx_ant, num_tx_ant, times, subcarrier_frequencies_hz, device)

    def paths(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        times_s: np.ndarray,
        device: torch.device | str = "cpu",
    ) -> Paths:
        """The clusters of the draws, with angles and large-scale quantities; see the base class.

        The line of sight is part of the first cluster. Angles are of the clusters' centres.
        """
        times, _ = self._axes(times_s, np.zeros(1))
        nodes, basis = time_nodes(times, self.doppler_hz)
        modes, drawn = self._modes(generators, num_rx_ant, num_tx_ant, nodes, device)
        gains = modes.transpose(-1, -2)
        over_time = _on(basis, device)
        if over_time is not None:
            gains = gains @ over_time.T.to(modes.dtype)
        gains = gains.reshape(len(generators), num_rx_ant, num_tx_ant, -1, times.size)
        return self._described(gains, drawn, device)

    def grid_parts(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        symbol_times_s: np.ndarray,
        subcarrier_frequencies_hz: np.ndarray,
        device: torch.device | str = "cpu",
        budget_bytes: int = BUDGET_BYTES,
    ) -> Iterator[GridPart]:
        """As in the base class, from the values at few times."""
        times, frequencies = self._axes(symbol_times_s, subcarrier_frequencies_hz)
        nodes, basis = time_nodes(times, self.doppler_hz)
        modes, drawn = self._modes(generators, num_rx_ant, num_tx_ant, nodes, device)
        gains = modes.transpose(-1, -2).view(len(generators), num_rx_ant, num_tx_ant, -1, nodes.size)
        paths = self._described(gains, drawn, device)
        yield from paths.grid_parts(torch.from_numpy(frequencies).to(device), budget_bytes, _on(basis, device))

    def arrays(self, num_rx_ant: int, num_tx_ant: int) -> tuple[AntennaArray, AntennaArray]:
        """The receiver's and the transmitter's array."""
        self.check(num_rx_ant, num_tx_ant)
        found = []
        for (what, _), number in zip(self._blocks(), (num_rx_ant, num_tx_ant), strict=True):
            key = what if what in self._given else f"{what} of {number}"
            if key not in self._given:
                self._given[key] = self._array(what, {"num_elements": number})
            found.append(self._given[key])
        return found[0], found[1]

    def _base_and_terminal(self, num_rx_ant: int, num_tx_ant: int) -> tuple[AntennaArray, AntennaArray]:
        rx, tx = self.arrays(num_rx_ant, num_tx_ant)
        return (rx, tx) if self.direction == "uplink" else (tx, rx)

    def _blocks(self) -> tuple[tuple[str, dict[str, Any] | None], ...]:
        return ("rx_array", self.rx_array), ("tx_array", self.tx_array)

    def _array(self, what: str, block: dict[str, Any]) -> AntennaArray:
        base = (what == "rx_array") == (self.direction == "uplink")
        return antenna_array(block, self.wavelength_m, what, (0.0, 0.0, 0.0) if base else (180.0, 0.0, 0.0))

    def _axes(self, times_s: np.ndarray, frequencies_hz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        times = checked_axis("symbol_times_s", times_s)
        frequencies = checked_axis("subcarrier_frequencies_hz", frequencies_hz)
        if (width := float(np.ptp(frequencies))) > _MAX_BANDWIDTH_HZ:
            raise bad_value("subcarrier_frequencies_hz", width, "2e9 from first to last (TR 38.901 §7.7)")
        return times, frequencies

    @property
    def _ends_of_tables(self) -> tuple[str, str]:
        """Last letters of the tables' angles at the receiver and at the transmitter: departure is at the base."""
        return ("d", "a") if self.direction == "uplink" else ("a", "d")


def _on(matrix: np.ndarray | None, device: torch.device | str) -> Tensor | None:
    return None if matrix is None else torch.from_numpy(np.ascontiguousarray(matrix, np.float32)).to(device)
