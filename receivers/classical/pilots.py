"""Least-squares channel estimates at the pilots, with the layers of a CDM group told apart."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from receivers.classical.processor import floats, runs_compiled
from receivers.interface import SlotObservation


def pilot_estimates(observation: SlotObservation) -> tuple[Tensor, Tensor]:
    """Despread least-squares estimates, one per pair of neighbouring pilots.

    Averaging a pair removes the other layer of the CDM group where the channel is equal on both pilots.

    Returns
    estimates [batch, num_rx_ant, num_layers, num_pilot_symbols, num_pairs] complex64,
    err_var [num_layers]: their noise variance for a unit noise variance per RE.
    """
    layout = observation.layout
    symbols = list(layout.symbols)
    pilots = observation.pilots[:, symbols]
    # [layer, pilot symbol, pilot]
    p = torch.stack([pilots[i, :, first :: layout.spacing] for i, first in enumerate(layout.first_subcarrier)])
    power = p.real**2 + p.imag**2
    err_var = (1 / power).mean((1, 2)) / 2
    weights = p.conj() / (2 * power)
    if runs_compiled(observation.y, weights):
        return _despread(observation, weights), err_var
    y = observation.y[:, :, symbols]
    estimates = [
        (y[..., first :: layout.spacing] * weights[i]).unflatten(-1, (-1, 2)).sum(-1)
        for i, first in enumerate(layout.first_subcarrier)
    ]
    return torch.stack(estimates, dim=2), err_var


def _despread(observation: SlotObservation, weights: Tensor) -> Tensor:
    from receivers.classical.kernels import despread  # numba takes a while to import

    layout, (batch, num_rx_ant) = observation.layout, observation.y.shape[:2]
    num_layers, num_symbols, num_pilots = weights.shape
    pairs = torch.empty(batch, num_rx_ant, num_layers, num_symbols, num_pilots // 2, dtype=torch.complex64)
    symbols, firsts = np.array(layout.symbols), np.array(layout.first_subcarrier)
    despread(floats(observation.y), floats(weights), symbols, firsts, layout.spacing, floats(pairs))
    return pairs
