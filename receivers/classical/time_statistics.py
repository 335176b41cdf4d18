"""Correlation over time of a slot's channel from its own pilots: Doppler and frequency offset."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from scipy.special import j0
from torch import Tensor

from receivers.interface import SlotObservation

# Doppler frequencies tried, in Hz, and the scale of their exponential prior, which decides with one DM-RS symbol only.
_DOPPLERS_HZ = (0.0, 20.0, 50.0, 100.0, 150.0, 220.0, 300.0, 400.0, 550.0, 750.0, 1000.0)
_DOPPLER_SCALE_HZ = 300.0
_CFO_STEP_HZ = 40.0


@lru_cache(maxsize=32)
def _time_hypotheses(
    times: bytes, symbols: tuple[int, ...], max_cfo_hz: float, device: torch.device
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hypotheses on Doppler and frequency offset.

    Returns log prior [h], eigenvalues [h, t], eigenvectors as quadratic forms [t * t, h * t] complex64, and correlation
    of all symbols with the pilot symbols [h, num_symbols * t] complex64.
    """
    t = np.frombuffer(times)
    steps = int(np.ceil(max_cfo_hz / _CFO_STEP_HZ))
    offsets = np.linspace(-max_cfo_hz, max_cfo_hz, 2 * steps + 1)
    doppler, offset = (a.ravel() for a in np.meshgrid(_DOPPLERS_HZ, offsets, indexing="ij"))
    lag = t[:, None] - t[list(symbols)]
    r = j0(2 * np.pi * doppler[:, None, None] * lag) * np.exp(2j * np.pi * offset[:, None, None] * lag)
    eigenvalues, modes = np.linalg.eigh(r[:, list(symbols)])
    # |v^H u|^2 = sum over a, b of conj(v_a) v_b C_ab with C = u u^H
    forms = np.einsum("haj,hbj->abhj", modes.conj(), modes)
    log_prior = -doppler / _DOPPLER_SCALE_HZ
    if steps:
        log_prior = log_prior - 0.5 * (2 * offset / max_cfo_hz) ** 2

    def tensor(array: np.ndarray, dtype: torch.dtype) -> Tensor:
        return torch.from_numpy(array).to(device=device, dtype=dtype)

    p = len(symbols)
    with torch.inference_mode(False):
        return (
            tensor(log_prior, torch.float32),
            tensor(eigenvalues.clip(0), torch.float32),
            tensor(forms.reshape(p * p, -1), torch.complex64),
            tensor(r.reshape(len(r), -1), torch.complex64),
        )


def time_correlation(
    observation: SlotObservation, covariances: list[Tensor], kappas: list[Tensor], snapshots: int, max_cfo_hz: float
) -> Tensor:
    """Mean correlation over time given the pilots: Jakes spectra with a frequency offset, weighted by their evidence.

    covariances: per comb, sums over `snapshots` of u u^H, u the pilot symbols of an eigenmode,
        [batch, num_modes, t, t] complex64 with expectation snapshots * (kappa R + noise I), noise 1.
    kappas: per comb, powers of the modes relative to the noise, [batch, num_modes].
    Returns [batch, num_symbols, t] complex64; column and row of pilot symbols belong together.
    """
    symbols = observation.layout.symbols
    times = observation.symbol_times_s.cpu().numpy().tobytes()
    log_prior, eigenvalues, forms, r = _time_hypotheses(times, symbols, max_cfo_hz, observation.y.device)
    log_posterior = log_prior
    if len(symbols) > 1:
        for covariance, kappa in zip(covariances, kappas, strict=True):
            # [batch, mode, h, t]
            energy = (covariance.flatten(2) @ forms).real.unflatten(-1, eigenvalues.shape)
            variance = kappa[:, :, None, None] * eigenvalues + 1
            log_posterior = log_posterior - (energy / variance + snapshots * variance.log()).sum((1, 3))
    else:
        log_posterior = log_posterior.expand(len(observation.y), -1)
    weight = torch.softmax(log_posterior, dim=-1)
    return (weight.to(r.dtype) @ r).unflatten(-1, (-1, len(symbols)))
