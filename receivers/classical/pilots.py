"""Least-squares channel estimates at the pilots, with the layers of a CDM group told apart."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from receivers.classical.processor import floats, runs_compiled
from receivers.interface import SlotObservation


def pilot_estimates(observation: SlotObservation) -> tuple[Tensor, Tensor]:
    """Despread least-squares estimates, one per pair of pilots; with double-symbol DM-RS per pair in both symbols.

    Averaging them removes the other layers of the CDM group where the channel is equal on all those pilots.

    Returns
    estimates [batch, num_rx_ant, num_layers, num_symbol_groups, num_pairs] complex64,
    err_var [num_layers]: their noise variance for a unit noise variance per RE.
    """
    layout = observation.layout
    symbols = list(layout.symbols)
    pilots = observation.pilots[:, symbols]
    adjacent, num_subcarriers = layout.num_adjacent_symbols, pilots.shape[-1]
    subcarriers = [_as_slice(layout.subcarriers(layer, num_subcarriers)) for layer in range(len(pilots))]
    # [layer, pilot symbol, pilot]
    p = torch.stack([row[:, k] for row, k in zip(pilots, subcarriers, strict=True)])
    power = p.real**2 + p.imag**2
    err_var = (1 / power).mean((1, 2)) / (2 * adjacent)
    weights = p.conj() / (2 * power)
    if layout.is_comb and adjacent == 1 and runs_compiled(observation.y, weights):
        return _despread(observation, weights), err_var
    y = observation.y[:, :, symbols]
    estimates = [(y[..., k] * weights[i]).unflatten(-1, (-1, 2)).sum(-1) for i, k in enumerate(subcarriers)]
    # [batch, rx, layer, pilot symbol, pair], then the mean over the symbols of a group
    return torch.stack(estimates, dim=2).unflatten(-2, (-1, adjacent)).mean(-2), err_var


def _as_slice(indices: tuple[int, ...]) -> slice | list[int]:
    """The same indices as a slice where they are evenly spaced: a view instead of a copy."""
    step = indices[1] - indices[0]
    evenly = slice(indices[0], indices[-1] + 1, step)
    return evenly if indices == tuple(range(indices[0], indices[-1] + 1, step)) else list(indices)


def _despread(observation: SlotObservation, weights: Tensor) -> Tensor:
    from receivers.classical.kernels import despread  # numba takes a while to import

    layout, (batch, num_rx_ant) = observation.layout, observation.y.shape[:2]
    num_layers, num_symbols, num_pilots = weights.shape
    pairs = torch.empty(batch, num_rx_ant, num_layers, num_symbols, num_pilots // 2, dtype=torch.complex64)
    symbols, firsts = np.array(layout.symbols), np.array(layout.first_subcarrier)
    despread(floats(observation.y), floats(weights), symbols, firsts, layout.spacing, floats(pairs))
    return pairs
