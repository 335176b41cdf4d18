"""LMMSE equalisation with unbiased outputs."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from receivers.classical.compiled_detection import lmmse_of_estimate
from receivers.classical.estimate import ChannelEstimate
from receivers.classical.expectation_propagation import demap
from receivers.classical.points import demap_points
from receivers.classical.processor import is_recorded, runs_compiled
from receivers.classical.unrolled import LEAST_LOADING, LEAST_SINR, MAX_LAYERS
from receivers.interface import SlotObservation
from receivers.transform_precoding import despread

#: Bytes of a channel estimate on the grid that are handled at once where no gradient is asked for.
STEP_BYTES = 2**26


def lmmse_equalize(y: Tensor, h: Tensor, noise_var: Tensor) -> tuple[Tensor, Tensor]:
    """Linear MMSE estimate of unit-power symbols, scaled to be unbiased.

    y [batch, num_rx_ant, n] complex64; h [batch, num_rx_ant, num_layers, n] complex64, with the layers' amplitude;
    noise_var [batch, n] or [batch, 1] float32: white noise, estimation error included.
    Returns x_hat complex64 and its noise variance float32, both [batch, num_layers, n]: 1 / post-equalisation SINR.

    No result depends on the level: y and h times a, noise_var times a^2 give the same. With several layers the noise
    counts as at least `LEAST_LOADING` of a layer's own gain: a Gram matrix in single precision holds no more than that.
    """
    num_layers = h.shape[2]
    matched = (h.conj() * y.unsqueeze(2)).sum(1)
    if num_layers == 1:
        noise = noise_var.unsqueeze(1)
        gain = torch.maximum((h.real**2 + h.imag**2).sum(1), LEAST_SINR * noise)
        return matched / gain, noise / gain
    if num_layers == 2:
        return _two_layers(matched, h, noise_var)
    # inverse of H^H H + the noise on its diagonal: [batch, n, layer, layer]
    stacked = h.permute(0, 3, 1, 2)
    gram = stacked.mH @ stacked
    own = torch.diagonal(gram, dim1=-2, dim2=-1).real
    loading = torch.maximum(noise_var.unsqueeze(-1).expand(own.shape), LEAST_LOADING * own)
    gram = gram + torch.diag_embed(loading)
    inverse = torch.linalg.inv(gram)
    biased = (inverse @ matched.permute(0, 2, 1).unsqueeze(-1)).squeeze(-1).permute(0, 2, 1)
    diagonal = torch.diagonal(inverse, dim1=-2, dim2=-1).real.permute(0, 2, 1)
    bias = (1 - loading.permute(0, 2, 1) * diagonal).clamp(LEAST_SINR, 1)
    return biased / bias, (1 / bias - 1).clamp_min(LEAST_LOADING)


def _two_layers(matched: Tensor, h: Tensor, noise_var: Tensor) -> tuple[Tensor, Tensor]:
    """`lmmse_equalize` of two layers in closed form, RE by RE. matched [batch, 2, n]: H^H y."""
    gain = (h.real**2 + h.imag**2).sum(1)
    loading = torch.maximum(noise_var.unsqueeze(1), LEAST_LOADING * gain)
    loaded = gain + loading
    # relative to their sum: a determinant is of the fourth power in amplitude
    level = loaded.sum(1)
    p, q = loaded[:, 0] / level, loaded[:, 1] / level
    r = (h[:, :, 0].conj() * h[:, :, 1]).sum(1) / level
    matched = matched / level.unsqueeze(1)
    determinant = torch.maximum(p * q - (r.real**2 + r.imag**2), LEAST_LOADING * p * q)
    first, second = matched[:, 0] * q - matched[:, 1] * r, matched[:, 1] * p - matched[:, 0] * r.conj()
    biased = torch.stack([first, second], dim=1) / determinant.unsqueeze(1)
    diagonal = torch.stack([q, p], dim=1) / determinant.unsqueeze(1)
    bias = (1 - loading / level.unsqueeze(1) * diagonal).clamp(LEAST_SINR, 1)
    return biased / bias, (1 / bias - 1).clamp_min(LEAST_LOADING)


def detect(observation: SlotObservation, h_hat: Tensor, err_var: Tensor | None) -> Tensor:
    """LLRs of all data REs from a channel estimate: LMMSE equalisation, then max-log demapping;
    between them the inverse DFT of DFT-s-OFDM.

    h_hat [batch, num_rx_ant, num_layers, num_ofdm_symbols, num_subcarriers] complex64.
    err_var [batch, num_layers, num_ofdm_symbols, num_subcarriers]: variance of the estimate, counted as white noise.
    Returns LLRs [batch, num_layers, num_data_re, bits_per_symbol] float32, positive means bit 0.
    """
    return detect_estimate(observation, ChannelEstimate(h_hat, error_modes=err_var))


def detect_estimate(
    observation: SlotObservation, estimate: ChannelEstimate, rule: Literal["maxlog", "exact"] = "maxlog"
) -> Tensor:
    """`detect` from an estimate that need not be written out on the grid; `rule` is that of the demapper."""
    inputs = (observation.y, observation.noise_var, estimate.modes, estimate.error_modes)
    compiled = observation.num_layers <= MAX_LAYERS and not observation.transform_precoding and rule == "maxlog"
    compiled = compiled and observation.constellation is None
    if compiled and runs_compiled(*inputs):
        return lmmse_of_estimate(observation, estimate)
    num_symbols = observation.data_mask.shape[0]
    step = num_symbols
    if not torch.is_grad_enabled() and not is_recorded():
        bytes_per_symbol = 8 * estimate.modes[..., 0, :].numel()
        step = max(1, min(num_symbols, STEP_BYTES // bytes_per_symbol))
    if step >= num_symbols:
        return _detect_symbols(observation, estimate, slice(None), rule)
    cuts = [slice(i, i + step) for i in range(0, num_symbols, step)]
    return torch.cat([_detect_symbols(observation.of_symbols(cut), estimate, cut, rule) for cut in cuts], dim=2)


def _detect_symbols(
    observation: SlotObservation, estimate: ChannelEstimate, symbols: slice, rule: Literal["maxlog", "exact"]
) -> Tensor:
    """LLRs of the data REs of some OFDM symbols, which the observation holds alone."""
    y = observation.at_data(observation.y)
    h = observation.at_data(estimate.channel(symbols)) * observation.layer_amplitude
    noise = observation.noise_var.unsqueeze(-1)
    err_var = estimate.error(symbols)
    if err_var is not None:
        error = observation.at_data(err_var).sum(1)
        noise = noise + observation.layer_amplitude**2 * error
    x_hat, x_noise = lmmse_equalize(y, h, noise)
    if observation.transform_precoding:
        x_hat, x_noise = despread(x_hat, x_noise, observation.data_mask.shape[1])
    if observation.constellation is not None:
        return demap_points(x_hat, x_noise, observation.constellation, None, rule)
    return _demap_layers(x_hat, x_noise, observation.modulations, rule)


def _demap_layers(
    x_hat: Tensor,
    noise_var: Tensor,
    modulations: tuple[tuple[int, tuple[int, ...]], ...],
    rule: Literal["maxlog", "exact"],
) -> Tensor:
    """LLRs of layers whose modulations may differ, float32 [batch, num_layers, n, most bits], 0 beyond a layer's own.

    x_hat, noise_var [batch, num_layers, n]; modulations: of `SlotObservation`.
    """
    if len(modulations) == 1:
        return demap(x_hat, noise_var, modulations[0][0], None, rule)
    most = max(bits for bits, _ in modulations)
    out: list[Tensor | None] = [None] * x_hat.shape[1]
    for bits, layers in modulations:
        chosen = list(layers)
        llr = demap(x_hat[:, chosen], noise_var[:, chosen], bits, None, rule)
        for place, layer in enumerate(layers):
            out[layer] = torch.nn.functional.pad(llr[:, place], (0, most - bits))
    return torch.stack([llr for llr in out if llr is not None], dim=1)
