"""A channel model of one's own: two paths of equal power, the second one later by a delay."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from channels import Channel


class TwoPaths(Channel):
    """Two independent Rayleigh paths, constant over the slot."""

    name = "two-paths"

    def __init__(self, delay_ns: float = 200.0) -> None:
        if not 0 <= delay_ns <= 10_000:
            raise ValueError(f"delay_ns: got {delay_ns}; allowed: 0 to 10000")
        self.delay_ns = delay_ns

    def response(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        symbol_times_s: np.ndarray,
        subcarrier_frequencies_hz: np.ndarray,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """complex64 [batch, num_rx_ant, num_tx_ant, num_ofdm_symbols, num_subcarriers]."""
        shape = (num_rx_ant, num_tx_ant, 2, 2)  # the last axis: real and imaginary part, of variance 1/4 each
        gains = np.stack([g.standard_normal(shape).view(np.complex128)[..., 0] / 2 for g in generators])
        delays_s = np.array([0.0, self.delay_ns * 1e-9])
        h = gains @ np.exp(-2j * np.pi * delays_s[:, None] * subcarrier_frequencies_hz)
        h = np.repeat(h[..., None, :], len(symbol_times_s), axis=-2)
        return torch.from_numpy(h.astype(np.complex64)).to(device)
