"""Propagation paths of a draw: what a channel is before it is looked at on a grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from channels.errors import bad_value
from channels.path_grid import many_pairs_to_grid

#: Bytes of a part of the grid, and of what is held to compute it, where the caller does not say.
BUDGET_BYTES = 64 << 20


@dataclass(frozen=True)
class PathAngles:
    """Global directions of paths at both ends, radians, float64 [batch or 1, num_paths] each.

    Arrival at the receiver, departure from the transmitter, both as seen from the array; of a cluster of rays its
    centre. Zenith from the z axis, azimuth from the x axis towards y.
    """

    aoa_rad: Tensor
    zoa_rad: Tensor
    aod_rad: Tensor
    zod_rad: Tensor


@dataclass(frozen=True)
class LargeScale:
    """Large-scale quantities of the draws, float64 [batch or 1] each; None where the model has no such thing.

    path_loss_db: without shadowing and antennas. k_factor_db: line of sight over all other power, -inf without one.
    delay_spread_s and the angle spreads: root mean square, as the model set them.
    """

    path_loss_db: Tensor | None = None
    shadowing_db: Tensor | None = None
    k_factor_db: Tensor | None = None
    delay_spread_s: Tensor | None = None
    asa_rad: Tensor | None = None
    zsa_rad: Tensor | None = None
    asd_rad: Tensor | None = None
    zsd_rad: Tensor | None = None


@dataclass(frozen=True)
class GridPart:
    """A part of the response: which drops, receive antennas and subcarriers, and `grid`, complex64
    [drops, rx_antennas, num_tx_ant, num_times, subcarriers]."""

    drops: slice
    rx_antennas: slice
    subcarriers: slice
    grid: Tensor


@dataclass(frozen=True)
class Paths:
    """Paths between all antenna pairs over time: h(t, f) = sum over paths of gains(t) exp(-2j pi f delay).

    gains [batch, num_rx_ant, num_tx_ant, num_paths, num_times] complex64: array responses, polarisation and Doppler
        included, relative to the carrier.
    delays_s [batch, num_paths] float64: of the centre of one array to that of the other; the same for all antenna
        pairs. Models with the same delays in every draw may return [1, num_paths].
    angles, large_scale: where the model has them.
    """

    gains: Tensor
    delays_s: Tensor
    angles: PathAngles | None = None
    large_scale: LargeScale | None = None

    def to_grid(self, subcarrier_frequencies_hz: Tensor) -> Tensor:
        """Frequency response, complex64 [batch, num_rx_ant, num_tx_ant, num_times, num_subcarriers].

        subcarrier_frequencies_hz float64 [num_subcarriers]: offsets from the carrier.
        """
        phases = path_phases(self.delays_s, subcarrier_frequencies_hz).to(self.gains.dtype)
        batch, num_rx, num_tx, num_paths, num_times = self.gains.shape
        # [batch, num_rx_ant * num_tx_ant * num_times, num_paths]
        rows = self.gains.transpose(-1, -2).reshape(batch, -1, num_paths)
        grid = torch.bmm(rows, phases.expand(batch, -1, -1))
        return grid.view(batch, num_rx, num_tx, num_times, -1)

    def grid_parts(
        self,
        subcarrier_frequencies_hz: Tensor,
        budget_bytes: int = BUDGET_BYTES,
        time_basis: Tensor | None = None,
        held: int = 1,
    ) -> Iterator[GridPart]:
        """The same response in parts, one after the other, none of which needs more than `budget_bytes`.

        So a response that fits into no memory can be worked on: 1024 antennas x 14 symbols x 3276 subcarriers are
        376 MB per transmit antenna. Parts are as many subcarriers as possible of as many receive antennas as fit.

        time_basis float32 [num_symbols, num_times]: the gains are values at few times, and the response at the symbols
        is this matrix times them (`channels.path_grid.time_nodes`).
        held: how many parts the caller holds at once; they share the budget.
        """
        share = budget_bytes // held
        batch, num_rx, num_tx, num_paths, num_modes = self.gains.shape
        num_times = num_modes if time_basis is None else len(time_basis)
        num_subcarriers = len(subcarrier_frequencies_hz)
        # per antenna the grid and its rows of gains; the phases of the paths, which pass through double precision
        per_cell, of_phases = 8 * num_tx * num_times, 48 * num_paths
        fixed = 16 * num_paths * num_tx * max(num_times, num_modes)
        subcarriers = min(num_subcarriers, (share - fixed) // (per_cell + of_phases))
        if subcarriers < 1:
            least = held * (fixed + per_cell + of_phases)
            raise bad_value("budget_bytes", budget_bytes, f"from {least}, what one antenna and subcarrier need")
        left = share - of_phases * subcarriers
        antennas = max(1, min(num_rx, left // (per_cell * subcarriers + fixed)))
        delays = self.delays_s.expand(batch, -1)
        for drop in range(batch):
            for first in range(0, num_subcarriers, subcarriers):
                band = slice(first, min(first + subcarriers, num_subcarriers))
                phases = path_phases(delays[drop], subcarrier_frequencies_hz[band])
                for antenna in range(0, num_rx, antennas):
                    part = slice(antenna, min(antenna + antennas, num_rx))
                    # [1, antennas * num_tx_ant, num_modes, num_paths]
                    modes = self.gains[drop, part].transpose(-1, -2).reshape(1, -1, num_modes, num_paths)
                    grid = many_pairs_to_grid(modes, time_basis, phases)
                    grid = grid.view(1, part.stop - part.start, num_tx, num_times, -1)
                    yield GridPart(slice(drop, drop + 1), part, band, grid)


def path_phases(delays_s: Tensor, frequencies_hz: Tensor) -> Tensor:
    """exp(-2j pi f delay), complex64 [..., num_paths, num_subcarriers]."""
    cycles = delays_s[..., None] * frequencies_hz
    # whole cycles are taken off in double precision
    return torch.polar(torch.ones_like(cycles), -2 * torch.pi * (cycles % 1)).to(torch.complex64)
