"""Block error rate against SNR in dB as a normal distribution function: two numbers per curve, fitted to counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
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
    x, n, k = (np.asarray(values, float) for values in (snr_db, blocks, block_errors))
    if not (0 < k.sum() < n.sum()):
        raise bad_value("block errors of a waterfall", f"{int(k.sum())} of {int(n.sum())}", "some, and not all")
    start = float(np.interp(0.5, (k / n)[::-1], x[::-1]))

    def loss(parameters: np.ndarray) -> float:
        z = (parameters[0] - x) / np.exp(parameters[1])
        return float(-(k * log_ndtr(z) + (n - k) * log_ndtr(-z)).sum())

    found = minimize(loss, [start, np.log(0.3)], method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-4})
    return Waterfall(float(found.x[0]), float(np.exp(found.x[1])))
