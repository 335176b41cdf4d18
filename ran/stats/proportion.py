"""Shares: of independent trials, and of trials that come in groups, such as the blocks of a drop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ran.stats.estimate import LEVEL, Estimate
from ran.stats.normal import two_sided_z

#: Groups with both outcomes in the sample that it takes to trust the measured correlation as much as the worst case.
_PRIOR_GROUPS = 4.0

Array = NDArray[np.float64]


def wilson(share: float, trials: float, level: float = LEVEL) -> Estimate:
    """A share among so many independent trials, with Wilson's score interval (E. B. Wilson, JASA 22, 1927).

    trials: may be an effective number. Without any there is no value.
    """
    if trials <= 0:
        return Estimate.missing("there is no trial")
    z = two_sided_z(level)
    centre = share + z**2 / (2 * trials)
    half = z * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    # Exactly 0 and 1 at the ends, where rounding would leave 1e-17.
    low = 0.0 if share == 0 else float(np.clip((centre - half) / scale, 0, 1))
    high = 1.0 if share == 1 else float(np.clip((centre + half) / scale, 0, 1))
    return Estimate(float(share), low, high, level, num_units=int(trials))


def grouped_wilson(counts: NDArray, group_size: int, level: float = LEVEL) -> Estimate:
    """The share of trials that came true, where trials of one group are not independent.

    counts [groups]: how many of a group's `group_size` trials came true. The interval is that of
    `grouped_wilson_prefixes` after the last group. Without any group there is no value.
    """
    groups = len(counts)
    if groups == 0:
        return Estimate.missing("there is no trial")
    low, high = grouped_wilson_prefixes(counts, group_size, level, first=groups - 1)
    value = float(np.sum(counts) / (groups * group_size))
    return Estimate(value, float(low[-1]), float(high[-1]), level, num_units=groups)


def grouped_wilson_prefixes(
    counts: NDArray, group_size: int, level: float = LEVEL, first: int = 0
) -> tuple[Array, Array]:
    """Low and high ends [groups - first] of the share's interval after every group from number `first` on.

    Wilson's score interval (E. B. Wilson, JASA 22, 1927) with an effective number of trials. The trials of a group
    share a channel, so n groups of m trials carry less information than n m independent ones: n m / d with the design
    effect d = Var(count per group) / (m p (1 - p)) (L. Kish, Survey Sampling, 1965, 8.2), between 1 (independent) and m
    (a group fails as one). d is measured, but pulled towards m while few groups show it: with no count at all, or all
    of them, a group is one observation. With one trial per group d is 1 and the interval is exactly Wilson's.
    """
    found = np.asarray(counts, np.float64)
    m, z = group_size, two_sided_z(level)
    groups = np.arange(1, len(found) + 1, dtype=np.float64)[first:]
    total = np.cumsum(found)[first:]
    p = total / (groups * m)
    effective = groups * m / _design_effect(found, m, groups, total, p, first)
    centre = p + z**2 / (2 * effective)
    half = z * np.sqrt(p * (1 - p) / effective + z**2 / (4 * effective**2))
    scale = 1 + z**2 / effective
    # Exactly 0 and 1 at the ends, where rounding would leave 1e-17.
    low = np.where(total == 0, 0.0, (centre - half) / scale)
    high = np.where(total == groups * m, 1.0, (centre + half) / scale)
    return np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)


def _design_effect(found: Array, m: int, groups: Array, total: Array, p: Array, first: int) -> Array:
    if m == 1:
        return np.ones_like(groups)
    # At least two groups, so that the unbiased variance exists.
    variance = (np.cumsum(found**2)[first:] - total**2 / groups) / np.maximum(groups - 1, 1)
    binomial = m * p * (1 - p)
    measured = np.clip(variance / np.where(binomial > 0, binomial, 1), 1, m)
    informative = np.minimum(np.cumsum(found > 0), np.cumsum(found < m))[first:]
    return np.asarray((informative * measured + _PRIOR_GROUPS * m) / (informative + _PRIOR_GROUPS))


def exact_share(count: int, trials: int, level: float = LEVEL) -> Estimate:
    """Share of independent trials, with the exact interval (C. J. Clopper and E. S. Pearson, Biometrika 26, 1934).

    It holds the truth at least as often as it says, and for few counts more often.
    """
    if not 0 <= count <= trials or trials < 1:
        raise ValueError(f"count: got {count} of {trials}; allowed: no more than there are trials")
    tail = (1 - level) / 2
    from scipy.stats import beta  # takes a while to import, and a refusal needs none of it

    low = float(beta.ppf(tail, count, trials - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - tail, count + 1, trials - count)) if count < trials else 1.0
    return Estimate(count / trials, low, high, level, num_units=trials)


def sign_test(more: int, less: int) -> float:
    """How likely at least so many `more` of paired trials that differ would be, were both ways equally likely.

    more, less: trials in which only the first, or only the second, fails (W. J. Dixon and A. M. Mood, JASA 41, 1946).
    """
    from scipy.stats import binom  # as above

    return float(binom.sf(more - 1, more + less, 0.5))


def paired_share_difference(more: int, less: int, trials: int, level: float = LEVEL) -> Estimate:
    """Share of paired trials in which the first of two is worse, less the share in which it is better.

    more, less: trials in which only the first, or only the second, fails. The interval is the score interval of
    T. Tango (Statistics in Medicine 17, 1998), and where one of them is 0 no narrower than the exact one
    (Clopper-Pearson).
    """
    if not 0 <= more + less <= trials or min(more, less) < 0 or trials < 1:
        raise ValueError(f"more, less: got {more} and {less} of {trials}; allowed: no more than there are trials")
    high = _highest_difference(more, less, trials, level)
    return Estimate((more - less) / trials, -_highest_difference(less, more, trials, level), high)


def _highest_difference(more: int, less: int, trials: int, level: float) -> float:
    z = two_sided_z(level)

    # scipy takes a while to import, and a refusal needs none of it
    from scipy.optimize import brentq
    from scipy.stats import beta

    def excess(difference: float) -> float:
        """How far the counts are below what a true difference would give, in deviations, less z."""
        # the likeliest share of trials with only the second failing, given the difference
        b = (2 * trials - more + less) * difference - more - less
        root = np.sqrt(max(b * b + 8 * trials * less * difference * (1 - difference), 0.0))
        share = (root - b) / (4 * trials)
        variance = trials * (2 * share + difference * (1 - difference))
        return (trials * difference - (more - less)) / np.sqrt(max(variance, np.finfo(float).tiny)) - z

    value = (more - less) / trials
    end = 1.0 if value >= 1 or excess(1 - 1e-12) <= 0 else float(brentq(excess, value, 1 - 1e-12))
    if less == 0 and more < trials:
        end = max(end, float(beta.ppf((1 + level) / 2, more + 1, trials - more)))
    return end
