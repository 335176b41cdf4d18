"""Mutual information of square QAM over white noise: the received bit information rate that MIESM averages.

With equiprobable symbols of Es/N0 gamma the information rate is I(gamma) = 1 - D(gamma) per coded bit, and D falls from
1 to 0. A square QAM symbol is two PAM symbols in independent noise, so one real integral per level gives D:

    D = 1 / (L log L) sum_i E_z[log(1 + sum over j != i of exp(-(d_ij^2 + 2 d_ij s z) / (2 s^2)))],  s^2 = 1 / (2 gamma)

with L levels, their distances d_ij and z normal. All terms are positive, so D keeps its relative precision where I is
nearly 1. What is tabulated is w = log(-log D), which is close to a straight line in dB over the whole range: at very
low SNR D is 1 - c gamma, at very high SNR exp(-c gamma). Between the nodes it is interpolated linearly.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ran.errors import bad_value

_ORDERS = (2, 4, 6, 8, 10)
_STEP_DB = 0.05
_LOWEST_DB = -50.0
#: Where D is smaller than this the asymptote, w of slope log(10) / 10 per dB, goes on.
_SMALLEST_D = 1e-13
#: The integral over z: the trapezoidal rule, which converges exponentially for such integrands.
_Z = np.arange(-10, 10.001, 0.05)
_Z_WEIGHTS = np.exp(-(_Z**2) / 2) * 0.05 / np.sqrt(2 * np.pi)
#: The integral is computed at every so many nodes, and w between them by a cubic spline.
_NODES_PER_INTEGRAL = 10

Floats = NDArray[np.float64]


def deficit(snr_db: float, bits_per_symbol: int) -> float:
    """D = 1 - I per bit by numerical integration; relative error below 1e-6 where D is above 1e-13."""
    levels = _levels(bits_per_symbol)
    sigma = np.sqrt(0.5 * 10 ** (-snr_db / 10))
    total = 0.0
    for i in range(len(levels) // 2):  # the other half mirrors it
        distance = np.delete(levels[i] - levels, i)[:, None]
        exponents = -(distance**2 + 2 * distance * sigma * _Z) / (2 * sigma**2)
        total += float((np.logaddexp.reduce(np.vstack([np.zeros_like(_Z), exponents]), axis=0) * _Z_WEIGHTS).sum())
    return total / (len(levels) / 2) / np.log(len(levels))


def information_rate(snr_db: Floats | float, bits_per_symbol: int) -> Floats:
    """I per coded bit, 0 to 1, at Es/N0 in dB; absolute error below 1e-5."""
    return np.asarray(-np.expm1(log_deficit(np.asarray(snr_db, float), bits_per_symbol)))


def log_deficit(snr_db: Floats, bits_per_symbol: int) -> Floats:
    """log D at Es/N0 in dB."""
    nodes, w = _curve(bits_per_symbol)
    beyond = np.maximum(snr_db - nodes[-1], 0) - np.maximum(nodes[0] - snr_db, 0)
    return np.asarray(-np.exp(np.interp(snr_db, nodes, w) + beyond * np.log(10) / 10))


def snr_of_log_deficit(log_d: Floats, bits_per_symbol: int) -> Floats:
    """Es/N0 in dB at which log D is `log_d`, below 0: the inverse of `log_deficit`."""
    nodes, w = _curve(bits_per_symbol)
    wanted = np.log(-np.minimum(log_d, -1e-300))
    beyond = np.maximum(wanted - w[-1], 0) - np.maximum(w[0] - wanted, 0)
    return np.asarray(np.interp(wanted, w, nodes) + beyond * 10 / np.log(10))


def _levels(bits_per_symbol: int) -> Floats:
    """Levels of one axis of a QAM symbol of unit power."""
    if bits_per_symbol not in _ORDERS:
        raise bad_value("bits_per_symbol", bits_per_symbol, f"{', '.join(map(str, _ORDERS))} (QPSK to 1024QAM)")
    odd = np.arange(1 - 2 ** (bits_per_symbol // 2), 2 ** (bits_per_symbol // 2), 2.0)
    return np.asarray(odd / np.sqrt(2 * np.mean(odd**2)))


@lru_cache(maxsize=len(_ORDERS))
def _curve(bits_per_symbol: int) -> tuple[Floats, Floats]:
    """Es/N0 in dB, ascending, and w there."""
    from scipy.interpolate import CubicSpline

    coarse, w = [], []
    snr_db = _LOWEST_DB
    while (d := deficit(snr_db, bits_per_symbol)) > _SMALLEST_D:
        coarse.append(snr_db)
        w.append(np.log(-np.log(d)))
        snr_db += _NODES_PER_INTEGRAL * _STEP_DB
    nodes = np.arange(coarse[0], coarse[-1] + _STEP_DB / 2, _STEP_DB)
    return nodes, CubicSpline(coarse, w)(nodes)
