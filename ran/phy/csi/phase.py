"""Phases of precoders over frequency, which the receiver does not see: aligned, so that few taps describe a
precoder."""

from __future__ import annotations

import numpy as np

_ROUNDS = 4


def aligned(v: np.ndarray) -> np.ndarray:
    """Unit vectors [..., num_units, n] with the phase of each turned to that of the one before."""
    products = (v[..., :-1, :].conj() * v[..., 1:, :]).sum(-1)
    turn = np.cumsum(np.angle(products), -1)
    first = np.zeros((*turn.shape[:-1], 1))
    return np.asarray(v * np.exp(-1j * np.concatenate([first, turn], -1))[..., None])


def taps_of(a: np.ndarray) -> np.ndarray:
    """Coefficients over units [..., num_units, n] as taps: (1/N3) sum over t of a_t exp(-2j pi t f / N3)."""
    return np.fft.fft(a, axis=-2, norm="forward")


def units_of(taps: np.ndarray) -> np.ndarray:
    """The inverse of `taps_of`."""
    return np.fft.ifft(taps, axis=-2, norm="forward")


def compacted(v: np.ndarray, num_taps: int) -> np.ndarray:
    """Vectors [..., num_units, n], each turned by the phase with which the `num_taps` strongest taps describe all best.

    Phases and taps are found in turns, from `aligned`; every round describes the vectors at least as well.
    """
    turned = aligned(v)
    for _ in range(_ROUNDS):
        taps = taps_of(turned)
        power = (np.abs(taps) ** 2).sum(-1)
        least = np.sort(power, -1)[..., -num_taps, None]
        wanted = units_of(np.where((power >= least)[..., None], taps, 0))
        inner = (turned.conj() * wanted).sum(-1, keepdims=True)
        turned = turned * np.exp(1j * np.angle(inner))
    return np.asarray(turned)
