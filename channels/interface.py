"""What every channel model provides: draws that depend on one generator each, and their response on a grid."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from channels.errors import bad_value
from channels.link_state import PathGains
from channels.paths import BUDGET_BYTES, GridPart, Paths
from channels.request import checked_axis


@dataclass(frozen=True)
class GridModes:
    """A response as few functions over frequency: h(t, k) = sum over modes m of over_time(t, m) modes(m, k).

    modes [batch, num_rx_ant, num_tx_ant, num_modes, num_subcarriers] complex64.
    over_time [num_times, num_modes] float32; None: the modes are the times themselves.
    """

    modes: Tensor
    over_time: Tensor | None = None


class Channel(ABC):
    """A random linear channel from transmit layers to receive antennas.

    Constructor arguments with type hints are the model's options in an experiment file. Raise `ValueError`
    with one line (what, value given, what is allowed) for options that make no sense.
    """

    name: ClassVar[str]

    @property
    def has_absolute_gains(self) -> bool:
        """Whether gains hold path loss: then Es/N0 follows from a link budget, not from a number that is given."""
        return False

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user of these options should know of the results, a sentence each."""
        return ()

    def path_gains(self, generators: Sequence[np.random.Generator], num_rx_ant: int, num_tx_ant: int) -> PathGains:
        """Large-scale state of the draws that `response` gives for generators of the same state.

        `ValueError` for a model without absolute gains.
        """
        raise bad_value("path_gains", self.name, "a channel with absolute gains (pathloss: true, or normalise: none)")

    @abstractmethod
    def response(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        symbol_times_s: np.ndarray,
        subcarrier_frequencies_hz: np.ndarray,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Frequency response of independent draws, one per generator.

        generators: one generator per drop; a drop depends on its own generator and on nothing else.
        symbol_times_s [num_ofdm_symbols]: when the response is taken, seconds.
        subcarrier_frequencies_hz [num_subcarriers]: offsets from the carrier.

        Returns complex64 [batch, num_rx_ant, num_tx_ant, num_ofdm_symbols, num_subcarriers] with unit mean power
        per antenna pair, contiguous.
        """

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
        """`response` at the times `part` of `process_times_s`, of a draw that extends over all of these.

        So generators of the same state give the same draw whichever part of it is looked at.
        """
        whole = self.response(generators, num_rx_ant, num_tx_ant, process_times_s, subcarrier_frequencies_hz, device)
        return whole[..., part, :].contiguous()

    def grid_modes(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        process_times_s: np.ndarray,
        part: slice,
        subcarrier_frequencies_hz: np.ndarray,
    ) -> GridModes:
        """`response_within` on a CPU before its last product, the one over time, for those who look at one row of the
        grid after the other and need not hold all of it.

        The product is a sum of fused multiply-adds in the order of the modes, which is also how `response` takes it.
        """
        arguments = (generators, num_rx_ant, num_tx_ant, process_times_s, part, subcarrier_frequencies_hz)
        return GridModes(self.response_within(*arguments))

    def paths(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        times_s: np.ndarray,
        device: torch.device | str = "cpu",
    ) -> Paths:
        """The draws as paths, one draw per generator; `response` of generators of the same state is their sum.

        times_s [num_times]: when the gains are taken, seconds. Without an override the model is flat over frequency:
        one path without delay.
        """
        flat = self.response(generators, num_rx_ant, num_tx_ant, times_s, np.zeros(1), device)
        return Paths(flat.transpose(-1, -2).contiguous(), torch.zeros(1, 1, dtype=torch.float64, device=device))

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
        """`response` in parts that need no more than `budget_bytes` each, beside the paths; see `Paths.grid_parts`."""
        paths = self.paths(generators, num_rx_ant, num_tx_ant, symbol_times_s, device)
        frequencies = torch.from_numpy(checked_axis("subcarrier_frequencies_hz", subcarrier_frequencies_hz))
        yield from paths.grid_parts(frequencies.to(device), budget_bytes)

    def for_band(self, num_rx_ant: int, num_tx_ant: int, half_width_hz: float, as_paths: bool = False) -> Channel:
        """This channel, made for a band that reaches `half_width_hz` to either side of the carrier.

        So parts of the band that are asked for one by one belong to one model. as_paths: whether its `paths` will be
        taken, not its response; `ValueError` of one line where these cannot be true over the band. Without an override
        the channel itself.
        """
        return self

    def check(self, num_rx_ant: int, num_tx_ant: int) -> None:
        """Raise `ValueError` when the model cannot serve so many antennas; called once before a run."""
        for what, given in (("num_rx_ant", num_rx_ant), ("num_tx_ant", num_tx_ant)):
            if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < 1:
                raise bad_value(what, given, "an integer from 1")
