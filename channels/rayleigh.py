"""Flat block fading."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from channels.interface import Channel
from channels.request import checked_axis, normals


class RayleighBlock(Channel):
    """Rayleigh block fading: one CN(0, 1) gain per antenna pair, constant over the slot and the band."""

    name = "rayleigh-block"

    def response(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        symbol_times_s: np.ndarray,
        subcarrier_frequencies_hz: np.ndarray,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Independent gains, complex64 [batch, num_rx_ant, num_tx_ant, num_ofdm_symbols, num_subcarriers]."""
        self.check(num_rx_ant, num_tx_ant)
        num_symbols = checked_axis("symbol_times_s", symbol_times_s).size
        num_subcarriers = checked_axis("subcarrier_frequencies_hz", subcarrier_frequencies_hz).size
        numbers = normals(generators, num_rx_ant * num_tx_ant * 2) * np.float32(np.sqrt(0.5))
        gains = torch.from_numpy(numbers.view(np.complex64)).to(device)
        gains = gains.view(len(generators), num_rx_ant, num_tx_ant, 1, 1)
        return gains.expand(-1, -1, -1, num_symbols, num_subcarriers).contiguous()
