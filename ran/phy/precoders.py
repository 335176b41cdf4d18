"""Precoding matrices from what a transmitter knows of the channel, and their use on the grid.

A precoder is complex64 [batch, num_prgs, num_tx_ant, num_layers]: one matrix per precoding resource block group (PRG,
TS 38.214 §5.1.2.3), of squared norm num_layers, so that layers that share unit power leave the antennas with unit
power.
Layers are ordered by strength where a precoder knows it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def scaled(w: Tensor) -> Tensor:
    """Matrices [..., num_tx_ant, num_layers] with squared norm num_layers."""
    return w * (w.shape[-1] ** 0.5 / torch.linalg.matrix_norm(w, keepdim=True))


def svd_precoder(h: Tensor, num_layers: int) -> Tensor:
    """Right singular vectors of the strongest singular values.

    h [batch, num_prgs, num_rx_ant, num_tx_ant] complex64, num_layers at most the smaller number of antennas.
    """
    _, _, right = torch.linalg.svd(h, full_matrices=False)
    return right[..., :num_layers, :].mH.resolve_conj().contiguous()


def eigen_precoder(h: Tensor, num_layers: int) -> Tensor:
    """Eigenvectors of the transmit covariance of the whole band, the strongest first: one PRG.

    h [batch, num_rx_ant, num_tx_ant, num_samples] complex64: the channel at some subcarriers.
    """
    # [batch, num_rx_ant * num_samples, num_tx_ant]
    rows = h.transpose(2, 3).flatten(1, 2)
    _, vectors = torch.linalg.eigh(rows.mH @ rows / rows.shape[1])
    return vectors.flip(-1)[..., :num_layers].unsqueeze(1).contiguous()


def best_of_codebook(h: Tensor, groups: Sequence[int], codebook: Tensor, noise_var: float) -> Tensor:
    """The matrices that maximise the mutual information of one drop, log2 det(I + W^H H^H H W / noise_var).

    i_1 is chosen for the whole band, i_2 for every PRG by itself (TS 38.214 §5.2.2.2.1).

    h [num_samples, num_rx_ant, num_tx_ant] complex64: the channel at some subcarriers; groups [num_samples]: PRG of
    each, ascending from 0 without a gap. codebook [num_i1, num_i2, num_tx_ant, num_layers] complex64, squared norms 1.
    Returns complex64 [num_prgs, num_tx_ant, num_layers].
    """
    num_i1, num_i2, num_tx_ant, num_layers = codebook.shape
    columns = codebook.permute(2, 0, 1, 3).reshape(num_tx_ant, -1)
    received = (h @ columns).unflatten(-1, (num_i1 * num_i2, num_layers)).permute(0, 2, 1, 3)
    # [sample, matrix, layer, layer]
    gram = received.mH @ received / noise_var + torch.eye(num_layers, device=h.device)
    factor = torch.linalg.cholesky(gram)
    information = 2 * torch.diagonal(factor, dim1=-2, dim2=-1).real.log2().sum(-1)
    place = torch.tensor(list(groups), device=h.device)
    per_group = information.new_zeros(int(place[-1]) + 1, num_i1 * num_i2).index_add(0, place, information)
    best, i2 = per_group.unflatten(1, (num_i1, num_i2)).max(-1)
    i1 = int(best.sum(0).argmax())
    return scaled(codebook[i1, i2[:, i1]])


def random_unitary(generator: np.random.Generator, num_prgs: int, num_tx_ant: int, num_layers: int) -> np.ndarray:
    """Orthonormal columns, uniformly distributed (Haar), complex64 [num_prgs, num_tx_ant, num_layers]."""
    parts = generator.standard_normal((2, num_prgs, num_tx_ant, num_layers))
    q, r = np.linalg.qr(parts[0] + 1j * parts[1])
    diagonal = np.diagonal(r, axis1=-2, axis2=-1)
    columns: np.ndarray = q * (diagonal / np.abs(diagonal))[:, None, :]
    return columns.astype(np.complex64)


def layer_channel(h: Tensor, precoder: Tensor, bundle: int, first: int = 0) -> Tensor:
    """The channel that the layers see: the precoder is part of it.

    h [batch, num_rx_ant, num_tx_ant, num_symbols, num_subcarriers] complex64, from subcarrier `first` of the band on.
    precoder [batch or 1, num_prgs, num_tx_ant, num_layers] complex64; bundle: subcarriers of a PRG.
    Returns complex64 [batch, num_rx_ant, num_layers, num_symbols, num_subcarriers].
    """
    batch, num_rx_ant, _, num_symbols, num_subcarriers = h.shape
    out = h.new_empty(batch, num_rx_ant, precoder.shape[-1], num_symbols, num_subcarriers)
    for group, part in _bundles(num_subcarriers, bundle, first):
        # [batch, 1, num_layers, num_tx_ant] on [batch, num_rx_ant, num_tx_ant, symbols * subcarriers]
        turned = precoder[:, group].mT.unsqueeze(1) @ h[..., part].flatten(3)
        out[..., part] = turned.unflatten(-1, (num_symbols, -1))
    return out


def antenna_grid(x: Tensor, precoder: Tensor, bundle: int) -> Tensor:
    """Layers to antennas: x [batch, num_layers, num_symbols, num_subcarriers] -> [batch, num_tx_ant, ...] complex64."""
    batch, _, num_symbols, num_subcarriers = x.shape
    out = x.new_empty(batch, precoder.shape[-2], num_symbols, num_subcarriers)
    for group, part in _bundles(num_subcarriers, bundle, 0):
        out[..., part] = (precoder[:, group] @ x[..., part].flatten(2)).unflatten(-1, (num_symbols, -1))
    return out


def _bundles(num_subcarriers: int, bundle: int, first: int) -> list[tuple[int, slice]]:
    """PRG and place of every run of subcarriers that share a precoder, in a part of the band that starts at `first`."""
    last = first + num_subcarriers
    groups = range(first // bundle, -(-last // bundle))
    return [(g, slice(max(g * bundle, first) - first, min((g + 1) * bundle, last) - first)) for g in groups]
