"""What channels between two antenna arrays share: the arrays' options, and the way from paths to a grid."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from channels.arrays import AntennaArray, antenna_array
from channels.errors import bad_value, non_negative, unknown_name
from channels.interface import Channel, GridModes
from channels.path_grid import delay_phases, many_pairs_over_frequency, many_pairs_to_grid, time_nodes
from channels.paths import BUDGET_BYTES, GridPart, Paths, path_phases
from channels.request import checked_axis
from channels.waves import SPEED_OF_LIGHT_MPS
from channels.wide_band import MAX_CYCLES, band_cycles, band_nodes, longest_delay_s, size_of_error

#: Whether elements have true delays over the band: see `ArrayChannel`.
Wideband = Literal["auto", True, False]
#: Widest band for which the models of TR 38.901 are valid (§7.1, §7.7, Rel-18).
_MAX_BANDWIDTH_HZ = 2e9
#: Largest response that is computed in one piece on a CPU.
_RESPONSE_BYTES = 2 << 30


class ArrayChannel(Channel):
    """A channel between the arrays of a base station and a terminal that moves.

    A model draws gains of its paths at a few times (`_modes`); the rest is here.

    wideband: whether every element has its true delay over the band, so that beams squint; false: phases at the carrier
    for the whole band; "auto": true delays where aperture times bandwidth over the speed of light is above
    `channels.wide_band.MAX_CYCLES`. `paths` have the same delays at all antenna pairs and know no band.
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
        wideband: Wideband = "auto",
    ) -> None:
        if not isinstance(wideband, bool) and wideband != "auto":
            raise unknown_name("wideband", wideband, ("auto", "true", "false"))
        self.wideband = wideband
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
        array_wavelength_m: float | None = None,
    ) -> tuple[Tensor, Any]:
        """Gains at the nodes, complex64 [batch, num_rx_ant * num_tx_ant, num_nodes, num_paths], and what was drawn.

        array_wavelength_m: at which elements are looked at, with everything else, the normalisation included, as at the
        carrier; None: the carrier's.
        """

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

        def at(generators: Sequence[np.random.Generator], array_wavelength_m: float | None) -> Tensor:
            modes, drawn = self._modes(generators, num_rx_ant, num_tx_ant, nodes, device, array_wavelength_m)
            phases = self._phases(self._delays_s(drawn), frequencies, device)
            return many_pairs_to_grid(modes, _on(basis, device), phases)

        band = self._band(num_rx_ant, num_tx_ant, frequencies)
        if band is None:
            grid = at(generators, None)
        else:
            wavelengths, over_band = band
            weights = _on(over_band, device)
            assert weights is not None
            grid = at(_copies(generators), wavelengths[0]) * weights[:, 0]
            for index, wavelength in enumerate(wavelengths[1:], 1):
                last = index == len(wavelengths) - 1
                grid += at(generators if last else _copies(generators), wavelength) * weights[:, index]
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
        times, frequencies = self._axes(process_times_s, subcarrier_frequencies_hz)
        times = times[part]
        nodes, basis = time_nodes(times, self.doppler_hz)
        arguments = (generators, num_rx_ant, num_tx_ant)
        over_time = _on(basis, "cpu")
        wide = self._band(num_rx_ant, num_tx_ant, frequencies) is not None
        if over_time is None or wide or not self._is_sum_of_paths:
            return super().grid_modes(*arguments, process_times_s, part, subcarrier_frequencies_hz)
        modes, drawn = self._modes(*arguments, nodes, "cpu")
        phases = self._phases(self._delays_s(drawn), frequencies, "cpu")
        on_grid = many_pairs_over_frequency(modes, times.size, phases)
        if on_grid is None:
            on_grid, over_time = many_pairs_to_grid(modes, over_time, phases), None
        return GridModes(on_grid.unflatten(1, (num_rx_ant, num_tx_ant)), over_time)

    @property
    def _is_sum_of_paths(self) -> bool:
        """Whether the response is that of this class and not one that a model makes otherwise."""
        made = type(self)
        return (made.response, made.response_within) == (ArrayChannel.response, ArrayChannel.response_within)

    def _phases(self, delays_s: np.ndarray, frequencies_hz: np.ndarray, device: torch.device | str) -> Tensor:
        """Of paths over frequency: kept where every draw has the same."""
        if self.shared_delays:
            return delay_phases(delays_s.tobytes(), frequencies_hz.tobytes(), str(device))
        return path_phases(torch.from_numpy(delays_s).to(device), torch.from_numpy(frequencies_hz).to(device))

    def paths(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        times_s: np.ndarray,
        device: torch.device | str = "cpu",
    ) -> Paths:
        """The clusters of the draws, with angles and large-scale quantities; see the base class.

        The line of sight is part of the first cluster. Angles are of the clusters' centres. `ValueError` with wideband
        on: elements' delays differ from one path to another.
        """
        self._check_no_true_delays("paths")
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
        on_device = torch.from_numpy(frequencies).to(device)

        def at(generators: Sequence[np.random.Generator], wavelength: float | None, held: int) -> Iterator[GridPart]:
            modes, drawn = self._modes(generators, num_rx_ant, num_tx_ant, nodes, device, wavelength)
            gains = modes.transpose(-1, -2).view(len(generators), num_rx_ant, num_tx_ant, -1, nodes.size)
            return self._described(gains, drawn, device).grid_parts(on_device, budget_bytes, _on(basis, device), held)

        band = self._band(num_rx_ant, num_tx_ant, frequencies)
        if band is None:
            yield from at(generators, None, 1)
            return
        wavelengths, over_band = band
        weights = _on(over_band, device)
        assert weights is not None
        # two parts are held at once: the sum, and what is added to it
        drawn = [_copies(generators) for _ in wavelengths[1:]]
        every = [at(g, w, 2) for g, w in zip([*drawn, generators], wavelengths, strict=True)]
        for parts in zip(*every, strict=True):
            first = parts[0]
            total = torch.zeros_like(first.grid)
            for index, part in enumerate(parts):
                total += part.grid * weights[first.subcarriers, index]
            yield replace(first, grid=total)

    def for_band(self, num_rx_ant: int, num_tx_ant: int, half_width_hz: float, as_paths: bool = False) -> ArrayChannel:
        """As in the base class: whether elements have true delays is decided here, once for the whole band."""
        arrays = self.arrays(num_rx_ant, num_tx_ant)
        delay = longest_delay_s(*arrays)
        wide = self.wideband is True or (self.wideband == "auto" and band_cycles(delay, half_width_hz) > MAX_CYCLES)
        if wide and as_paths:
            allowed = f"false, a narrower band, or smaller arrays: {size_of_error(delay, half_width_hz)}"
            raise bad_value("wideband", self.wideband, f"{allowed}; true delays are of responses, not of paths")
        made = copy.copy(self)
        made.wideband = wide
        return made

    def _band(
        self, num_rx_ant: int, num_tx_ant: int, frequencies_hz: np.ndarray
    ) -> tuple[list[float], np.ndarray] | None:
        """Wavelengths at which the arrays are looked at, and the matrix from there to all frequencies; None: the
        carrier's is enough."""
        if self.wideband is False:
            return None
        delay = longest_delay_s(*self.arrays(num_rx_ant, num_tx_ant))
        if self.wideband == "auto" and band_cycles(delay, float(np.abs(frequencies_hz).max())) <= MAX_CYCLES:
            return None
        nodes, matrix = band_nodes(frequencies_hz, delay)
        return [SPEED_OF_LIGHT_MPS / (self.carrier_frequency_hz + offset) for offset in nodes.tolist()], matrix

    def _check_no_true_delays(self, what: str) -> None:
        if self.wideband is True:
            raise bad_value("wideband", True, f"response and grid_parts with it, or false or auto for {what}")

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


def _copies(generators: Sequence[np.random.Generator]) -> list[np.random.Generator]:
    """Generators that will give the same numbers."""
    return [copy.deepcopy(generator) for generator in generators]


def _on(matrix: np.ndarray | None, device: torch.device | str) -> Tensor | None:
    return None if matrix is None else torch.from_numpy(np.ascontiguousarray(matrix, np.float32)).to(device)
