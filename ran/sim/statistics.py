"""Confidence intervals of a block error rate whose independent unit is the drop, not the block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Two-sided 95 %.
Z_95 = 1.959963984540054

#: Drops with both outcomes in the sample that it takes to trust the measured correlation as much as the worst case.
_PRIOR_DROPS = 4.0


@dataclass(frozen=True)
class Interval:
    """Interval of a block error rate for every prefix of a sequence of drops; arrays of one length."""

    low: np.ndarray
    high: np.ndarray


def bler_interval(block_errors: np.ndarray, blocks_per_drop: int, z: float = Z_95) -> tuple[float, float]:
    """Interval of the BLER after all drops of `block_errors` [drops]; (0, 1) without any drop."""
    if len(block_errors) == 0:
        return 0.0, 1.0
    last = prefix_intervals(block_errors, blocks_per_drop, z, from_drop=len(block_errors) - 1)
    return float(last.low[-1]), float(last.high[-1])


def prefix_intervals(block_errors: np.ndarray, blocks_per_drop: int, z: float = Z_95, from_drop: int = 0) -> Interval:
    """Interval after every drop from `from_drop` on: arrays [drops - from_drop].

    Wilson's score interval (E. B. Wilson, JASA 22, 1927) with an effective number of blocks. The blocks of a drop
    share a channel, so n drops of m blocks carry less information than n m independent blocks: n m / d with the
    design effect d = Var(errors per drop) / (m p (1 - p)), between 1 (independent) and m (the drop fails as one).
    d is measured, but pulled towards m while few drops show it: with no errors at all, or errors only, a drop counts
    as one observation. With one block per drop d is 1 and the interval is exactly Wilson's.
    """
    errors = np.asarray(block_errors, np.float64)
    m = blocks_per_drop
    drops = np.arange(1, len(errors) + 1, dtype=np.float64)[from_drop:]
    total = np.cumsum(errors)[from_drop:]
    p = total / (drops * m)
    effective = drops * m / _design_effect(errors, m, drops, total, p, from_drop)
    centre = p + z**2 / (2 * effective)
    half = z * np.sqrt(p * (1 - p) / effective + z**2 / (4 * effective**2))
    scale = 1 + z**2 / effective
    # Exactly 0 and 1 at the ends, where rounding would leave 1e-17.
    low = np.where(total == 0, 0.0, (centre - half) / scale)
    high = np.where(total == drops * m, 1.0, (centre + half) / scale)
    return Interval(np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0))


def wilson_interval(share: float, trials: float, z: float = Z_95) -> tuple[float, float]:
    """Wilson's score interval of a share among so many independent trials; (0, 1) without any."""
    if trials <= 0:
        return 0.0, 1.0
    centre = share + z**2 / (2 * trials)
    half = z * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    low = 0.0 if share == 0 else (centre - half) / scale
    high = 1.0 if share == 1 else (centre + half) / scale
    return float(np.clip(low, 0, 1)), float(np.clip(high, 0, 1))


def _design_effect(
    errors: np.ndarray, m: int, drops: np.ndarray, total: np.ndarray, p: np.ndarray, from_drop: int
) -> np.ndarray:
    if m == 1:
        return np.ones_like(drops)
    # At least two drops, so that the unbiased variance exists.
    variance = (np.cumsum(errors**2)[from_drop:] - total**2 / drops) / np.maximum(drops - 1, 1)
    binomial = m * p * (1 - p)
    measured = np.clip(variance / np.where(binomial > 0, binomial, 1), 1, m)
    informative = np.minimum(np.cumsum(errors > 0), np.cumsum(errors < m))[from_drop:]
    return (informative * measured + _PRIOR_DROPS * m) / (informative + _PRIOR_DROPS)
