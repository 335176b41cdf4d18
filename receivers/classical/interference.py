"""Noise-and-interference covariance over the antennas, and its whitening (MMSE-IRC)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from receivers.interface import SlotObservation


def residual_covariance(
    observation: SlotObservation, h_hat: Tensor, noise_var: Tensor, subband_size: int
) -> tuple[Tensor, int]:
    """Covariance of what the channel estimate leaves unexplained in the DM-RS symbols, per subband.

    h_hat [batch, num_rx_ant, num_layers, num_ofdm_symbols, num_subcarriers] complex64.
    noise_var [batch]: mean noise power, to which the residuals are scaled: a fit takes away part of the noise.
    subband_size: subcarriers of a subband; the last one may be narrower.
    Returns the covariance [batch, num_subbands, num_rx_ant, num_rx_ant] complex64 and the least number of REs in one.
    """
    symbols = list(observation.layout.symbols)
    pilots = observation.pilots[:, symbols]
    residual = observation.y[:, :, symbols] - (h_hat[:, :, :, symbols] * pilots).sum(2)
    known = ~observation.data_mask[symbols]
    residual = residual * known
    num_subcarriers = known.shape[1]
    padding = -num_subcarriers % subband_size
    # [batch, rx, symbol, subband, subcarrier of it] -> [batch, subband, rx, RE]
    parts = torch.nn.functional.pad(residual, (0, padding)).unflatten(-1, (-1, subband_size))
    parts = parts.permute(0, 3, 1, 2, 4).flatten(3)
    count = torch.nn.functional.pad(known.sum(0), (0, padding)).unflatten(-1, (-1, subband_size)).sum(-1)
    covariance = parts @ parts.mH / count[:, None, None].clamp_min(1)
    mean_power = torch.diagonal(covariance, dim1=2, dim2=3).real.mean(2) @ (count / count.sum())
    scale = noise_var / mean_power.clamp_min(torch.finfo(torch.float32).tiny)
    return covariance * scale[:, None, None, None], int(count.min())


def shrink(covariance: Tensor, num_samples: int) -> Tensor:
    """Shrink sample covariances [..., p, p] towards white noise of the same power.

    The weight is that of the oracle approximating shrinkage (Y. Chen et al., IEEE Trans. Signal Process. 58(10), 2010):
    near 1 where the samples cannot tell the covariance from white noise.
    """
    p = covariance.shape[-1]
    trace = torch.diagonal(covariance, dim1=-2, dim2=-1).real.sum(-1)
    square = (covariance.real**2 + covariance.imag**2).sum((-2, -1))
    spread = (square - trace**2 / p).clamp_min(1e-12 * trace**2)
    rho = (((1 - 2 / p) * square + trace**2) / ((num_samples + 1 - 2 / p) * spread)).clamp(0, 1)[..., None, None]
    white = (trace / p)[..., None, None] * torch.eye(p, device=covariance.device)
    return (1 - rho) * covariance + rho * white


def whiten(
    observation: SlotObservation, h_hat: Tensor, err_var: Tensor, noise_var: Tensor, subband_size: int
) -> tuple[SlotObservation, Tensor, Tensor]:
    """Turn antennas such that noise and interference have unit power on each, independently.

    Returns the observation with whitened `y` and `noise_var` 1, the whitened channel estimate, and its error variance.
    The error, white over the antennas before, is counted with its mean power after.
    """
    covariance, count = residual_covariance(observation, h_hat, noise_var, subband_size)
    factor = torch.linalg.cholesky(shrink(covariance, count))
    eye = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device)
    w = torch.linalg.solve_triangular(factor, eye, upper=False)
    num_rx_ant, num_symbols = observation.y.shape[1:3]
    y, h = torch.empty_like(observation.y), torch.empty_like(h_hat)
    error = torch.empty_like(err_var)
    gain = (w.real**2 + w.imag**2).sum((2, 3)) / num_rx_ant
    for subband in range(w.shape[1]):
        part = slice(subband * subband_size, (subband + 1) * subband_size)
        turn = w[:, subband]
        y[..., part] = (turn @ observation.y[..., part].flatten(2)).unflatten(2, (num_symbols, -1))
        h[..., part] = (turn @ h_hat[..., part].flatten(2)).unflatten(2, (*h_hat.shape[2:4], -1))
        error[..., part] = err_var[..., part] * gain[:, subband, None, None, None]
    return replace(observation, y=y, noise_var=torch.ones_like(noise_var)), h, error
