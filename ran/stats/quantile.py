"""Quantiles of a distribution, from independent values and from values that come in groups."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ran.stats.estimate import LEVEL, Estimate

#: Resamplings of `bootstrap_percentile`.
_RESAMPLES = 400


def order_statistics_percentile(ascending: NDArray, percent: float, level: float = LEVEL) -> Estimate:
    """Percentile of independent values, given in ascending order; its ends are values of the sample.

    How many values lie below the true percentile is binomial, whatever the distribution: so two places of the sorted
    sample hold it with the level or more (W. J. Conover, Practical Nonparametric Statistics, 1999, section 3.2). Beyond
    the sample nothing is known: ends stop at its least and largest value, where the level may not be reached.
    """
    if len(ascending) == 0:
        return Estimate.missing("there is no value")
    low, high = _places(len(ascending), percent / 100, level)
    value = float(np.percentile(ascending, percent))
    return Estimate(value, float(ascending[low]), float(ascending[high]), level, num_units=len(ascending))


def _places(num: int, share: float, level: float) -> tuple[int, int]:
    """Places in a sorted sample between which the quantile is, by the binomial distribution."""
    # scipy.stats takes a while to import, and few estimates need it
    from scipy.stats import binom

    tail = (1 - level) / 2
    low = int(binom.ppf(tail, num, share)) - 1
    high = math.ceil(float(binom.ppf(1 - tail, num, share)))
    return max(low, 0), min(high, num - 1)


def upper_tolerance_limit(values: NDArray, share: float, level: float = LEVEL) -> float | None:
    """A value of a sample above which at most this share of the distribution is, with the level or more.

    The share above the k-th largest of n independent values is at most s with the probability that n draws hold k or
    more of the uppermost s: binomial, whatever the distribution (S. S. Wilks, Annals of Mathematical Statistics 12,
    1941). The least value of the sample that will do; None where even the largest does not.
    """
    from scipy.stats import binom  # as above

    # of n draws fewer than k among the uppermost share: the chance that the limit is too low
    count = int(binom.ppf(1 - level, len(values), share))
    while count and binom.cdf(count - 1, len(values), share) > 1 - level:
        count -= 1
    return float(np.sort(values)[-count]) if count else None


def bootstrap_percentile(
    values: NDArray, percent: float, generator: np.random.Generator, level: float = LEVEL, resamples: int = _RESAMPLES
) -> Estimate:
    """Percentile of values [groups, ...], of which only the groups are independent.

    Percentile bootstrap over groups (B. Efron, Annals of Statistics 7(1), 1979): groups are drawn again with
    replacement, and the interval is the central part of the percentiles found.
    """
    if len(values) == 0:
        return Estimate.missing("there is no value")
    flat = values.reshape(len(values), -1)

    def of(groups: NDArray[np.int64]) -> float:
        return float(np.percentile(flat[groups], percent))

    drawn = np.sort([of(generator.integers(len(flat), size=len(flat))) for _ in range(resamples)])
    tail = (1 - level) / 2
    # Rounded first: 1 - tail is not exactly what its decimals say.
    low, high = drawn[int(round(tail * resamples, 9))], drawn[int(round((1 - tail) * resamples, 9)) - 1]
    return Estimate(of(np.arange(len(flat))), float(low), float(high), level, num_units=len(flat))


def quartiles(samples: Sequence[float]) -> Estimate:
    """Median and quartiles (R. J. Hyndman and Y. Fan, The American Statistician 50(4), 1996, definition 7).

    The range holds half of the samples: it says how much they differ, not how well the median is known. Level 0.5.
    """
    if len(samples) == 0:
        return Estimate.missing("there is no sample")
    low, median, high = np.quantile(np.asarray(samples, float), (0.25, 0.5, 0.75))
    return Estimate(float(median), float(low), float(high), 0.5, num_units=len(samples))
