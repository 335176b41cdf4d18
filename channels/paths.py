"""Propagation paths of a draw: what a channel is before it is looked at on a grid."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Paths:
    """Paths between all antenna pairs over time: h(t, f) = sum over paths of gains(t) exp(-2j pi f delay).

    gains [batch, num_rx_ant, num_tx_ant, num_paths, num_times] complex64: array responses, polarisation and Doppler
        included, relative to the carrier.
    delays_s [batch, num_paths] float64: of the centre of one array to that of the other; the same for all antenna
        pairs. Models with the same delays in every draw may return [1, num_paths].
    """

    gains: Tensor
    delays_s: Tensor

    def to_grid(self, subcarrier_frequencies_hz: Tensor) -> Tensor:
        """Frequency response, complex64 [batch, num_rx_ant, num_tx_ant, num_times, num_subcarriers].

        subcarrier_frequencies_hz float64 [num_subcarriers]: offsets from the carrier.
        """
        cycles = self.delays_s[..., None] * subcarrier_frequencies_hz
        # whole cycles are taken off in double precision
        phases = torch.polar(torch.ones_like(cycles), -2 * torch.pi * (cycles % 1)).to(self.gains.dtype)
        batch, num_rx, num_tx, num_paths, num_times = self.gains.shape
        # [batch, num_rx_ant * num_tx_ant * num_times, num_paths]
        rows = self.gains.transpose(-1, -2).reshape(batch, -1, num_paths)
        grid = torch.bmm(rows, phases.expand(batch, -1, -1))
        return grid.view(batch, num_rx, num_tx, num_times, -1)
