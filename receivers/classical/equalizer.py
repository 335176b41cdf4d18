"""LMMSE equalisation with unbiased outputs."""

from __future__ import annotations

import torch
from torch import Tensor

from receivers.classical.qam import demap_maxlog
from receivers.interface import SlotObservation

_TINY = 1e-12


def lmmse_equalize(y: Tensor, h: Tensor, noise_var: Tensor) -> tuple[Tensor, Tensor]:
    """Linear MMSE estimate of unit-power symbols, scaled to be unbiased.

    y [batch, num_rx_ant, n] complex64; h [batch, num_rx_ant, num_layers, n] complex64, with the layers' amplitude;
    noise_var [batch, n] or [batch, 1] float32: white noise, estimation error included.
    Returns x_hat complex64 and its noise variance float32, both [batch, num_layers, n]: 1 / post-equalisation SINR.
    """
    num_layers = h.shape[2]
    matched = (h.conj() * y.unsqueeze(2)).sum(1)
    if num_layers == 1:
        gain = (h.real**2 + h.imag**2).sum(1).clamp_min(_TINY)
        return matched / gain, noise_var.unsqueeze(1) / gain
    # inverse of (H^H H + noise_var I): [batch, n, layer, layer]
    stacked = h.permute(0, 3, 1, 2)
    gram = stacked.mH @ stacked
    gram = gram + torch.diag_embed(noise_var.unsqueeze(-1).expand(*gram.shape[:-1]))
    if num_layers == 2:
        inverse = _inverse_2x2(gram)
    else:
        inverse = torch.linalg.inv(gram)
    biased = (inverse @ matched.permute(0, 2, 1).unsqueeze(-1)).squeeze(-1).permute(0, 2, 1)
    diagonal = torch.diagonal(inverse, dim1=-2, dim2=-1).real.permute(0, 2, 1)
    bias = (1 - noise_var.unsqueeze(1) * diagonal).clamp(_TINY, 1)
    return biased / bias, (1 / bias - 1).clamp_min(_TINY)


def _inverse_2x2(a: Tensor) -> Tensor:
    """Inverse of Hermitian positive definite matrices [..., 2, 2] in closed form."""
    p, q, r = a[..., 0, 0].real, a[..., 1, 1].real, a[..., 0, 1]
    determinant = (p * q - (r.real**2 + r.imag**2)).clamp_min(_TINY)
    out = torch.stack([q + 0j, -r, -r.conj(), p + 0j], dim=-1) / determinant.unsqueeze(-1)
    return out.unflatten(-1, (2, 2))


def detect(observation: SlotObservation, h_hat: Tensor, err_var: Tensor | None) -> Tensor:
    """LLRs of all data REs from a channel estimate: LMMSE equalisation, then max-log demapping.

    h_hat [batch, num_rx_ant, num_layers, num_ofdm_symbols, num_subcarriers] complex64.
    err_var [batch, num_layers, num_ofdm_symbols, num_subcarriers]: variance of the estimate, counted as white noise.
    Returns LLRs [batch, num_layers, num_data_re, bits_per_symbol] float32, positive means bit 0.
    """
    data = observation.data_mask.flatten().nonzero().squeeze(-1)
    y = observation.y.flatten(2).index_select(2, data)
    h = h_hat.flatten(3).index_select(3, data) * observation.layer_amplitude
    noise = observation.noise_var.unsqueeze(-1)
    if err_var is not None:
        error = err_var.flatten(2).index_select(2, data).sum(1)
        noise = noise + observation.layer_amplitude**2 * error
    x_hat, x_noise = lmmse_equalize(y, h, noise)
    return demap_maxlog(x_hat, x_noise, observation.bits_per_symbol)
