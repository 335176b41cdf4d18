"""Least-squares channel estimates at the pilots, with the layers of a CDM group told apart."""

from __future__ import annotations

import torch
from torch import Tensor

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
    y = observation.y[:, :, symbols]
    pilots = observation.pilots[:, symbols]
    estimates, err_var = [], []
    for layer, first in enumerate(layout.first_subcarrier):
        p = pilots[layer, :, first :: layout.spacing]
        power = p.real**2 + p.imag**2
        ls = y[..., first :: layout.spacing] * (p.conj() / power)
        estimates.append(ls.unflatten(-1, (-1, 2)).mean(-1))
        err_var.append((1 / power).mean() / 2)
    return torch.stack(estimates, dim=2), torch.stack(err_var)
