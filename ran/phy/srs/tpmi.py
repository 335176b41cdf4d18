"""The choice of a PUSCH precoding matrix from the channel of the SRS ports."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ran.errors import bad_value
from ran.phy.codebook import num_tpmi, precoding_matrix


def best_tpmi(h: Tensor, noise_var: Tensor, num_layers: int, transform_precoding: bool = False) -> Tensor:
    """TPMI of most mutual information, the mean over the places of log2 det(I + W^H H^H H W / noise_var).

    Returns int64 [batch].

    h: complex [batch, num_rx_ant, num_ports, num_places], true or estimated. noise_var: per resource element and
    antenna, [batch] or [batch, num_rx_ant]. num_layers: 1 to num_ports.
    One matrix for the whole band, as a PUSCH has. `InputError` where noise_var is not above 0, or the codebook has no
    such matrices (TS 38.211 §6.3.1.5, Rel-18).
    """
    num_ports = h.shape[2]
    matrices = [
        precoding_matrix(num_layers, num_ports, tpmi, transform_precoding)
        for tpmi in range(_num_matrices(num_layers, num_ports))
    ]
    codebook = torch.from_numpy(np.stack(matrices)).to(h.device)
    variance = noise_var if noise_var.ndim == 2 else noise_var[:, None]
    if not bool((variance > 0).all()):
        raise bad_value("noise_var", float(variance.min()), "above 0")
    # whitened: antennas of unit noise
    white = h.to(torch.complex128) / variance.double().sqrt()[:, :, None, None]
    # [batch, places, 1, num_rx_ant, num_ports] @ [tpmi, num_ports, num_layers]
    received = white.permute(0, 3, 1, 2)[:, :, None] @ codebook
    gram = received.mH @ received + torch.eye(num_layers, device=h.device)
    return torch.linalg.slogdet(gram).logabsdet.mean(1).argmax(-1)


def _num_matrices(num_layers: int, num_ports: int) -> int:
    if num_ports not in (1, 2, 4) or not 1 <= num_layers <= num_ports:
        raise bad_value(
            "num_layers, num_ports",
            (num_layers, num_ports),
            "1, 2 or 4 ports and 1 to num_ports layers (TS 38.211 §6.3.1.5)",
        )
    return num_tpmi(num_layers, num_ports)
