"""Time variation of a Rayleigh-fading tap as an exact Gaussian process."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import j0

#: Variance of the process, relative to 1, that may be left out by cutting the rank.
RANK_TOLERANCE = 1e-7


def fading_basis(times_s: np.ndarray, max_doppler_hz: float) -> np.ndarray:
    """Basis of a fading tap over the given times, float64 [num_times, rank], read-only.

    With g ~ CN(0, I) of length `rank`, `basis @ g` is a sample of the stationary Gaussian process with the
    autocorrelation J0(2 pi max_doppler_hz dt), that is, of isotropic scattering around a terminal (the classical
    Doppler spectrum that TR 38.901 §7.7.2, Rel-18, asks of Rayleigh taps). Rows have unit norm, so the power is 1
    at every time.

    Why not a sum of sinusoids: with few terms its draws are not Gaussian and their time averages keep the wrong
    correlation, with many it costs a sine per term, tap, antenna pair and time. A slot needs the process at 14
    times only, where the covariance matrix is small and, at any usual Doppler, of a rank of 2 to 6; factorised once
    it makes exact draws for the price of `rank` Gaussian numbers per tap.

    Why a Cholesky factor with pivots and not eigenvectors: it leaves no sign and no rotation open, so that the same
    seed gives the same channel whatever linear-algebra library is below.
    """
    return _fading_basis(np.ascontiguousarray(times_s, np.float64).tobytes(), float(max_doppler_hz))


@lru_cache(maxsize=64)
def _fading_basis(times: bytes, max_doppler_hz: float) -> np.ndarray:
    times_s = np.frombuffer(times)
    factor = pivoted_factor(j0(2 * np.pi * max_doppler_hz * (times_s[:, None] - times_s)), RANK_TOLERANCE)
    basis: np.ndarray = factor / np.linalg.norm(factor, axis=1, keepdims=True)
    basis.flags.writeable = False
    return basis


def pivoted_factor(covariance: np.ndarray, tolerance: float) -> np.ndarray:
    """Cholesky factor with pivots of a covariance with ones on its diagonal, float64 [n, rank].

    tolerance: variance, relative to 1, that may be left out by cutting the rank.
    """
    residual = np.ones(len(covariance))
    factor = np.empty((len(covariance), 0))
    while (largest := residual.max()) > tolerance:
        # symmetric matrices tie up to rounding errors, which differ between machines: the first of a tie is the pivot
        pivot = int(np.argmax(residual > largest * (1 - 1e-6)))
        column = (covariance[:, pivot] - factor @ factor[pivot]) / np.sqrt(residual[pivot])
        factor = np.column_stack([factor, column])
        residual = residual - column**2
        residual[pivot] = 0
    return factor
