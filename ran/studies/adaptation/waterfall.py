"""Block error rate against SNR in dB as a normal distribution function: two numbers per curve, fitted to counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_ndtr, ndtr

from ran.errors import bad_value


@dataclass(frozen=True)
class Waterfall:
    """BLER(snr) = Q((snr_db - middle_db) / width_db): half of the blocks fail at `middle_db`.

    The error rate of a long code falls so in the SNR in dB, as far as the central limit theorem reaches
    (Y. Polyanskiy, H. V. Poor, S. Verdu, IEEE Trans. Inf. Theory 56, 2010); an error floor is not in it.
    """

    middle_db: float
    width_db: float

    def bler(self, snr_db: np.ndarray | float) -> np.ndarray:
        """Block error rate, float64, shape of `snr_db`."""
        return np.asarray(ndtr((self.middle_db - np.asarray(snr_db)) / self.width_db))


def fit(snr_db: Sequence[float], blocks: Sequence[int], block_errors: Sequence[int]) -> Waterfall:
    """The waterfall of greatest likelihood for counts per SNR [points]; `InputError` where they show no fall."""
    x, n, k = _checked(snr_db, blocks, block_errors)

    def loss(parameters: np.ndarray) -> float:
        return _loss(x, n, k, parameters[0], float(np.exp(parameters[1])))

    start = [_half(x, n, k), np.log(0.3)]
    found = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-4})
    return Waterfall(float(found.x[0]), float(np.exp(found.x[1])))


def fit_middle(snr_db: Sequence[float], blocks: Sequence[int], block_errors: Sequence[int], width_db: float) -> float:
    """`middle_db` of the waterfall of a known width; as `fit`."""
    x, n, k = _checked(snr_db, blocks, block_errors)
    ends = (float(x.min()) - 2, float(x.max()) + 2)
    found = minimize_scalar(lambda middle: _loss(x, n, k, middle, width_db), bounds=ends, method="bounded")
    return float(found.x)


def _checked(*counts: Sequence[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, n, k = (np.asarray(values, float) for values in counts)
    if not (0 < k.sum() < n.sum()):
        raise bad_value("block errors of a waterfall", f"{int(k.sum())} of {int(n.sum())}", "some, and not all")
    return x, n, k


def _loss(x: np.ndarray, n: np.ndarray, k: np.ndarray, middle_db: float, width_db: float) -> float:
    """Negative log likelihood."""
    z = (middle_db - x) / width_db
    return float(-(k * log_ndtr(z) + (n - k) * log_ndtr(-z)).sum())


def _half(x: np.ndarray, n: np.ndarray, k: np.ndarray) -> float:
    order = np.argsort(x)
    return float(np.interp(0.5, np.minimum.accumulate((k / n)[order])[::-1], x[order][::-1]))
