"""How well a score tells two kinds apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ran.stats.estimate import LEVEL, Estimate

_RESAMPLES = 1000


def area_under_roc(positive: Sequence[NDArray], negative: Sequence[NDArray], level: float = LEVEL) -> Estimate:
    """Area under the ROC curve: how often a positive score is above a negative one, ties counting half.

    positive, negative: scores [n] of groups, of which only the groups are independent. The area is that of all scores
    (J. A. Hanley and B. J. McNeil, Radiology 143, 1982); the interval is the central part of those of groups that are
    drawn again with replacement on either side (percentile bootstrap, B. Efron, Annals of Statistics 7(1), 1979), whose
    spread is that of n groups in the place of n - 1. The random numbers are fixed, so equal scores give equal
    intervals. No value without groups on both sides.
    """
    sides = [[np.asarray(group) for group in side] for side in (positive, negative)]
    if not all(sides):
        return Estimate.missing("there are not both kinds")
    generator = np.random.Generator(np.random.Philox(key=0))
    found = np.array(
        [
            _area(*([side[i] for i in generator.integers(len(side), size=len(side))] for side in sides))
            for _ in range(_RESAMPLES)
        ]
    )
    tail = (1 - level) / 2
    low, high = np.quantile(found, (tail, 1 - tail))
    return Estimate(_area(*sides), float(low), float(high), level, num_units=min(map(len, sides)))


def _area(positive: Sequence[NDArray], negative: Sequence[NDArray]) -> float:
    above, below = np.concatenate(positive)[:, None], np.concatenate(negative)
    return float((above > below).mean() + 0.5 * (above == below).mean())
