"""Means of independent values, and paired differences of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from ran.stats.estimate import LEVEL, Estimate
from ran.stats.normal import two_sided_t, two_sided_z


def student_mean(values: NDArray, level: float = LEVEL) -> Estimate:
    """Mean of independent values [units], its interval by Student's t (Student, Biometrika 6, 1908).

    Exact for normal values; for others as the number of units grows. One unit leaves both ends open.
    """
    if len(values) < 2:
        return _of_few(values, level)
    mean = float(np.mean(values))
    half = float(two_sided_t(level, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return Estimate(mean, mean - half, mean + half, level, num_units=len(values))


def normal_mean(values: NDArray, level: float = LEVEL) -> Estimate:
    """Mean of independent values [units], its interval by the central limit theorem.

    For many units (A. W. van der Vaart, Asymptotic Statistics, 1998, section 2.1): with fewer than about 30 it holds
    the truth too seldom, and `student_mean` is the one to take. One unit leaves both ends open.
    """
    if len(values) < 2:
        return _of_few(values, level)
    mean = float(values.mean())
    half = two_sided_z(level) * float(values.std(ddof=1)) / np.sqrt(len(values))
    return Estimate(mean, float(mean - half), float(mean + half), level, num_units=len(values))


def student_half_widths(parts: Sequence[NDArray], level: float = LEVEL) -> NDArray[np.float64]:
    """Half of the interval of `student_mean` over the first 1, 2, ... parts, float64 [parts].

    parts: independent values [n] each, which come one part after the other. Infinite where there is one value.
    """
    counts = np.cumsum([len(part) for part in parts])
    first = np.cumsum([part.sum(dtype=float) for part in parts])
    second = np.cumsum([(part.astype(float) ** 2).sum() for part in parts])
    freedom = np.maximum(counts - 1, 1)
    variance = np.maximum(second - first**2 / counts, 0) / freedom
    widths = stdtrit(freedom, (1 + level) / 2) * np.sqrt(variance / counts)
    return np.asarray(np.where(counts > 1, widths, np.inf))


def paired_difference(first: NDArray, second: NDArray, mean: Callable[[NDArray], Estimate] = student_mean) -> Estimate:
    """Mean of the first less that of the second, both [units] over the same units in the same order.

    What the units share cancels out (Student, Biometrika 6, 1908). ValueError where they are not as many.
    """
    if len(first) != len(second):
        raise ValueError(f"pairs: got {len(first)} and {len(second)} values; allowed: as many of both")
    return mean(first - second)


def common_units(first: NDArray, second: NDArray) -> tuple[NDArray, NDArray]:
    """Values of the units that both have, where units come in one order and one may have more of them."""
    count = min(len(first), len(second))
    return first[:count], second[:count]


def _of_few(values: NDArray, level: float) -> Estimate:
    if len(values) == 0:
        return Estimate.missing("there is no value to average")
    reason = "one independent value does not show how much values differ"
    return Estimate(float(values[0]), -np.inf, np.inf, level, reason=reason, num_units=1)
