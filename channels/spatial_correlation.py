"""Correlation between the antennas of uniform linear arrays (TS 38.104 annex G.2.3, Rel-18)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from channels.errors import unknown_name
from channels.fading import pivoted_factor

#: Correlation of the outermost antennas at the base station, alpha, and at the terminal, beta (table G.2.3.1.2-1);
#: compared with py5gphy.
LEVELS = {"low": (0.0, 0.0), "medium": (0.9, 0.3), "high": (0.9, 0.9)}
#: Variance per antenna, relative to 1, that a factor may leave out.
_TOLERANCE = 1e-9


def correlation_matrix(num_antennas: int, outermost: float) -> np.ndarray:
    """Correlation of a uniform linear array, float64 [num_antennas, num_antennas].

    outermost ** (distance / length)^2, as the tables for 1, 2, 4 and 8 antennas of annex G.2.3 are made; 0 gives
    independent antennas. The standard prints the matrices of a link rounded to four digits, and moves some by up to
    1.2e-4 to keep them positive; these are the unrounded ones.
    """
    places = np.arange(num_antennas) / max(num_antennas - 1, 1)
    distance = places[:, None] - places
    # 0 to the power of 0 is 1
    return np.asarray(np.power(outermost, distance**2))


def levels(name: str) -> tuple[float, float]:
    """alpha and beta of a level; `ValueError` for an unknown one."""
    if name not in LEVELS:
        raise unknown_name("correlation", name, LEVELS)
    return LEVELS[name]


@lru_cache(maxsize=32)
def correlation_factor(num_antennas: int, outermost: float) -> np.ndarray:
    """Matrix that correlates independent numbers, float32 [num_antennas, num_antennas], read-only.

    Its product with its transpose is `correlation_matrix`. Triangular but for the order of rows; columns that large
    arrays, which are nearly dependent, do not need are zero.
    """
    found = pivoted_factor(correlation_matrix(num_antennas, outermost), _TOLERANCE)
    factor = np.zeros((num_antennas, num_antennas), np.float32)
    factor[:, : found.shape[1]] = found / np.linalg.norm(found, axis=1, keepdims=True)
    factor.flags.writeable = False
    return factor
