"""Effective SINR: the SINR of white noise that would hurt a code block as much as the SINRs of its symbols do.

    EESM   eff = -beta log mean exp(-sinr / beta)
    MIESM  eff = beta I^-1(mean I(sinr / beta)), I the information rate of the modulation
    (`ran.studies.adaptation.information`)

Both are means of a function of the SINR and its inverse, so equal SINRs give themselves, the order does not count, and
the result lies between the smallest and the largest. beta absorbs what the code makes of unequal symbols; it is fitted
per MCS. Sources: 3GPP R1-030999 (EESM), IEEE 802.16m-08/004r5 §4.3 (both).
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from ran.errors import bad_value, unknown_name
from ran.studies.adaptation.information import log_deficit, snr_of_log_deficit

Mapping = Literal["eesm", "miesm"]
MAPPINGS: tuple[Mapping, ...] = get_args(Mapping)


def effective_sinr_db(
    sinr_db: NDArray[np.floating], mapping: Mapping, bits_per_symbol: int, beta: float
) -> NDArray[np.float64]:
    """Effective SINR in dB over the last axis of `sinr_db` [..., num_symbols]; float64 [...].

    beta: above 0, linear. bits_per_symbol: 2, 4, 6, 8 or 10, which only MIESM looks at.
    """
    if not (np.isfinite(beta) and beta > 0):
        raise bad_value("beta", beta, "a finite number above 0")
    beta_db = 10 * np.log10(beta)
    scaled_db = np.asarray(sinr_db, np.float64) - beta_db
    if mapping == "eesm":
        mean = _log_mean_exp(-(10 ** (scaled_db / 10)))
        return np.asarray(10 * np.log10(-np.minimum(mean, -1e-300)) + beta_db)
    if mapping == "miesm":
        mean = _log_mean_exp(log_deficit(scaled_db, bits_per_symbol))
        return np.asarray(snr_of_log_deficit(mean, bits_per_symbol) + beta_db)
    raise unknown_name("mapping", mapping, MAPPINGS)


def _log_mean_exp(exponents: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(logsumexp(exponents, axis=-1) - np.log(exponents.shape[-1]))
