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


def doppler_and_cfo_hz(max_cfo_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Greatest Doppler frequency and frequency offset of every hypothesis of `time_posterior`, float64 [h]."""
    steps = int(np.ceil(max_cfo_hz / _CFO_STEP_HZ))
    offsets = np.linspace(-max_cfo_hz, max_cfo_hz, 2 * steps + 1)
    doppler, offset = np.meshgrid(_DOPPLERS_HZ, offsets, indexing="ij")
    return doppler.ravel(), offset.ravel()


@lru_cache(maxsize=32)
def _time_hypotheses(
    times: bytes, groups: tuple[tuple[int, ...], ...], max_cfo_hz: float, device: torch.device
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hypotheses on Doppler and frequency offset.

    groups: symbols whose mean is one of the t observations.
    Returns log prior [h], eigenvalues [h, t], eigenvectors as quadratic forms [t * t, h * t] complex64, and correlation
    of all symbols with the observations [h, num_symbols * t] complex64.
    """
    t = np.frombuffer(times)
    doppler, offset = doppler_and_cfo_hz(max_cfo_hz)
    lag = t[:, None] - t[[symbol for group in groups for symbol in group]]
    r = j0(2 * np.pi * doppler[:, None, None] * lag) * np.exp(2j * np.pi * offset[:, None, None] * lag)
    r = r.reshape(*r.shape[:2], len(groups), -1).mean(3)
    eigenvalues, modes = np.linalg.eigh(_mean_rows(r, groups))
    # |v^H u|^2 = sum over a, b of conj(v_a) v_b C_ab with C = u u^H
    forms = np.einsum("haj,hbj->abhj", modes.conj(), modes)
    log_prior = -doppler / _DOPPLER_SCALE_HZ
    if max_cfo_hz > 0:
        log_prior = log_prior - 0.5 * (2 * offset / max_cfo_hz) ** 2

    def tensor(array: np.ndarray, dtype: torch.dtype) -> Tensor:
        return torch.from_numpy(array).to(device=device, dtype=dtype)

    p = len(groups)
    with torch.inference_mode(False):
        return (
            tensor(log_prior, torch.float32),
            tensor(eigenvalues.clip(0), torch.float32),
            tensor(forms.reshape(p * p, -1), torch.complex64),
            tensor(r.reshape(len(r), -1), torch.complex64),
        )


def _mean_rows(r: np.ndarray, groups: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """Rows of [..., num_symbols, t] at groups of symbols, mean over each group, [..., len(groups), t]."""
    return np.stack([r[..., list(group), :].mean(-2) for group in groups], axis=-2)


def time_posterior(
    observation: SlotObservation,
    groups: tuple[tuple[int, ...], ...],
    covariances: list[Tensor],
    kappas: list[Tensor],
    snapshots: int,
    max_cfo_hz: float,
) -> Tensor:
    """Probabilities of the hypotheses on Doppler and frequency offset given the pilots, float32 [batch, h].

    groups: the pilot symbols that make up each of the t observations of an eigenmode.
    covariances: per set of layers, sums over `snapshots` of u u^H, u the observations of an eigenmode,
        [batch, num_modes, t, t] complex64 with expectation snapshots * (kappa R + noise I), noise 1.
    kappas: per set, powers of the modes relative to the noise, [batch, num_modes].
    """
    times = observation.symbol_times_s.double().cpu().numpy().tobytes()
    log_prior, eigenvalues, forms, _ = _time_hypotheses(times, groups, max_cfo_hz, observation.y.device)
    log_posterior = log_prior
    if len(groups) > 1:
        for covariance, kappa in zip(covariances, kappas, strict=True):
            # [batch, mode, h, t]
            energy = (covariance.flatten(2) @ forms).real.unflatten(-1, eigenvalues.shape)
            variance = kappa[:, :, None, None] * eigenvalues + 1
            log_posterior = log_posterior - (energy / variance + snapshots * variance.log()).sum((1, 3))
    else:
        log_posterior = log_posterior.expand(len(observation.y), -1)
    return torch.softmax(log_posterior, dim=-1)


def mean_correlation(
    observation: SlotObservation, groups: tuple[tuple[int, ...], ...], posterior: Tensor, max_cfo_hz: float
) -> Tensor:
    """Correlation over time between all symbols and means over groups of symbols: Jakes spectra with a frequency
    offset, weighted by `time_posterior`. Returns [batch, num_symbols, len(groups)] complex64."""
    times = observation.symbol_times_s.double().cpu().numpy().tobytes()
    r = _time_hypotheses(times, groups, max_cfo_hz, observation.y.device)[3]
    return (posterior.to(r.dtype) @ r).unflatten(-1, (-1, len(groups)))
