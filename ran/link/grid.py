"""The transmitted and the received grid: compiled on a CPU, torch elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from channels.interface import GridModes
from ran.link.memory import SlotMemory
from ran.link.noise import complex_normals
from ran.phy.modulation import constellation
from ran.phy.shared_grid import SharedGrid
from ran.phy.user_grids import UserGrids

#: Channel responses of the drops and the subcarriers given, each of some of the layers, one after the other.
Response = Callable[[slice, slice], list[GridModes]]

_NOTHING, _NO_TIMES = np.empty((0, 0, 0, 0, 0), np.float32), np.empty((0, 0), np.float32)


def transmitted_grid(grid: SharedGrid, coded_bits: Tensor) -> Tensor:
    """Modulated data and pilots, complex64 [batch, num_layers, 14, num_subcarriers]; see `SharedGrid.to_grid`."""
    if isinstance(grid, UserGrids):
        of_users = zip(grid.grids, grid.split_layers(coded_bits), strict=True)
        return grid.placed([transmitted_grid(own, bits) for own, bits in of_users])
    if coded_bits.device.type != "cpu" or grid.transform_precoding:
        return grid.to_grid(coded_bits)
    from ran.link.kernels import map_to_grid  # numba takes a while to import

    mask = grid.data_mask.numpy()
    parts, first = [], 0
    for codeword, bits in zip(grid.codewords, grid.split_layers(coded_bits), strict=True):
        batch, num_layers = bits.shape[:2]
        own = grid.constellation if grid.constellation is not None else constellation(codeword.bits_per_symbol)
        points = (grid.layer_amplitude * own).astype(np.complex64)
        part = torch.empty(batch, num_layers, *grid.data_mask.shape, dtype=torch.complex64)
        pilots = grid.pilots[first : first + num_layers].contiguous().numpy().view(np.uint64)
        of_re = bits.contiguous().numpy()
        if of_re.shape[3] in (2, 4, 6, 8):
            of_re = of_re.view(np.uint16)
        map_to_grid(of_re, points.view(np.uint64), mask, pilots, part.numpy().view(np.uint64))
        parts.append(part)
        first += num_layers
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def received_grid(
    x: Tensor,
    response: Response,
    noise_keys: NDArray[np.uint32],
    noise_var: float,
    memory: SlotMemory,
    with_channel: bool,
) -> tuple[Tensor, Tensor | None]:
    """Transmitted grid through the channel, plus noise.

    x [batch, num_layers, 14, num_subcarriers] complex64; noise_keys uint32 [batch, 4]; noise_var linear per RE.
    Returns y [batch, num_rx_ant, 14, num_subcarriers] complex64 and, where asked for, the channel h [batch, num_rx_ant,
    num_layers, 14, num_subcarriers]: without it no more than a few drops' channel is ever stored, or a part of one's,
    and where it comes as modes over time, not even that.
    """
    batch, num_layers, num_symbols, num_subcarriers = x.shape
    amplitude = noise_var**0.5
    if x.device.type != "cpu":
        # a GPU has no use for rows: the channel is whole there
        (whole,) = response(slice(0, batch), slice(0, num_subcarriers))
        h = whole.modes
        noise = complex_normals(noise_keys, memory.num_rx_ant * num_symbols * num_subcarriers, x.device)
        y = (h * x[:, None]).sum(2)
        return y + amplitude * noise.view(y.shape), h if with_channel else None
    from ran.link.kernels import receive  # numba takes a while to import

    y = torch.empty(batch, memory.num_rx_ant, num_symbols, num_subcarriers, dtype=torch.complex64)
    h_whole = None
    if with_channel:
        h_whole = torch.empty(batch, memory.num_rx_ant, num_layers, num_symbols, num_subcarriers, dtype=torch.complex64)
    for first_drop in range(0, batch, memory.step_drops):
        drops = slice(first_drop, min(first_drop + memory.step_drops, batch))
        for first in range(0, num_subcarriers, memory.step_subcarriers):
            subcarriers = slice(first, min(first + memory.step_subcarriers, num_subcarriers))
            kept = _NOTHING if h_whole is None else _floats(h_whole[drops])
            first_layer = 0
            for part in response(drops, subcarriers):
                receive(
                    _floats(part.modes),
                    _NO_TIMES if part.over_time is None else part.over_time.contiguous().numpy(),
                    _floats(x[drops]),
                    first_layer,
                    noise_keys[drops],
                    first,
                    np.float32(amplitude),
                    _floats(y[drops]),
                    kept,
                )
                first_layer += part.modes.shape[2]
    return y, h_whole


def _floats(values: Tensor) -> NDArray[np.float32]:
    """Complex numbers as pairs of float32 along the last axis: a view."""
    array: NDArray[np.float32] = values.contiguous().numpy().view(np.float32)
    return array
