"""The channel that only lets the noise in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from channels.errors import bad_value
from channels.interface import Channel
from channels.request import check_generators, checked_axis


class Awgn(Channel):
    """Gain 1 between the transmitter and every receive antenna: only noise disturbs.

    One transmit antenna alone: with gain 1 on every pair, no receiver could tell several layers apart.
    """

    name = "awgn"

    def check(self, num_rx_ant: int, num_tx_ant: int) -> None:
        super().check(num_rx_ant, num_tx_ant)
        if num_tx_ant != 1:
            raise bad_value(
                "num_tx_ant", num_tx_ant, "1 with channel 'awgn', where all layers would arrive alike at every antenna"
            )

    def response(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        symbol_times_s: np.ndarray,
        subcarrier_frequencies_hz: np.ndarray,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Ones, complex64 [batch, num_rx_ant, 1, num_ofdm_symbols, num_subcarriers]; draws no random number."""
        self.check(num_rx_ant, num_tx_ant)
        check_generators(generators)
        num_symbols = checked_axis("symbol_times_s", symbol_times_s).size
        num_subcarriers = checked_axis("subcarrier_frequencies_hz", subcarrier_frequencies_hz).size
        shape = (len(generators), num_rx_ant, num_tx_ant, num_symbols, num_subcarriers)
        return torch.ones(shape, dtype=torch.complex64, device=device)
