"""Bayesian bootstrap of shares that several curves have over the same groups, and intervals of replicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ran.stats.estimate import LEVEL

#: Weights that are held at once [replicates x groups]; bounds the memory to some tens of MB.
_MAX_WEIGHTS = 4_000_000


@dataclass(frozen=True)
class Counted:
    """What came true in the first groups of all: counts [groups] out of `group_size` each."""

    counts: NDArray
    group_size: float


def bootstrap_shares(
    points: Sequence[Counted], num_replicates: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Replicates of the shares [num_replicates, points], strictly between 0 and 1.

    Bayesian bootstrap (D. B. Rubin, Annals of Statistics 9(1), 1981): every replicate gives each group one weight of a
    Gamma(1) distribution, the same for all points, so what they share cancels out of differences between them. Half a
    group that came true and half a group that did not are added to every point (Jeffreys prior; with groups of one the
    replicates of a share are exactly Beta(count + 1/2, groups - count + 1/2)), so that a point at which nothing came
    true is uncertain too.

    Groups in which nothing came true differ only in the points that they belong to, and a sum of n Gamma(1) weights is
    one Gamma(n) weight: so the work grows with the groups in which something did and not with all groups.
    """
    if not points:
        return np.zeros((num_replicates, 0))
    groups = np.array([len(p.counts) for p in points])
    sizes = np.array([p.group_size for p in points])
    found = np.unique(np.concatenate([np.flatnonzero(p.counts) for p in points]))
    ends = np.unique(groups)
    range_of_found = np.searchsorted(ends, found, side="right")
    clean = np.diff(ends, prepend=0) - np.bincount(range_of_found, minlength=len(ends))
    member = np.concatenate((found[:, None] < groups, ends[:, None] <= groups)).astype(float)
    counts = np.zeros_like(member)
    for column, point in enumerate(points):
        in_point = found[found < len(point.counts)]
        counts[: len(in_point), column] = point.counts[in_point]
    trials = member * sizes
    shape = np.concatenate((np.ones(len(found)), clean)).astype(float)

    chunk = max(1, _MAX_WEIGHTS // len(shape))
    shares = np.empty((num_replicates, len(points)))
    for first in range(0, num_replicates, chunk):
        size = min(chunk, num_replicates - first)
        weights = generator.standard_gamma(shape, size=(size, len(shape)))
        prior = generator.standard_gamma(0.5, size=(2, size, len(points))) * sizes
        shares[first : first + size] = (weights @ counts + prior[0]) / (weights @ trials + prior.sum(axis=0))
    # Gamma(1/2) underflows at times; a probit needs the open interval.
    return np.clip(shares, 1e-15, 1 - 1e-15)


def central_interval(replicates: NDArray, level: float = LEVEL) -> tuple[float, float]:
    """The central part of replicates [n], which may be infinite; NaN may be anything, so it widens both ends."""
    tail = (1 - level) / 2
    low = np.quantile(np.where(np.isnan(replicates), -np.inf, replicates), tail, method="lower")
    high = np.quantile(np.where(np.isnan(replicates), np.inf, replicates), 1 - tail, method="higher")
    return float(low), float(high)
