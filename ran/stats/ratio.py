"""Ratios of means: of delivered blocks to transmissions, of one receiver's throughput to another's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ran.stats.estimate import LEVEL, Estimate
from ran.stats.mean import student_mean
from ran.stats.normal import two_sided_z
from ran.stats.resampling import central_interval

#: Resamplings of `ratio_of_independent`.
_REPLICATES = 4000
#: What a pseudo pair weighs beside a unit in resamplings.
_PSEUDO = 0.5


@dataclass(frozen=True)
class Pairs:
    """Numerator and denominator over independent units, both [units].

    pseudo: more pairs (numerator, denominator) that count towards the spread only, never towards the value: extremes
    that keep a sample in which all units are alike, whose variance is 0, from claiming certainty.
    """

    above: NDArray
    below: NDArray
    pseudo: tuple[tuple[float, float], ...] = ()

    def extended(self) -> NDArray[np.float64]:
        """All pairs, the pseudo pairs last: float64 [2, units + pseudo pairs]."""
        real = np.stack([np.asarray(self.above, float), np.asarray(self.below, float)])
        return np.column_stack([real, np.array(self.pseudo, float).reshape(-1, 2).T])


def fieller(pairs: Pairs, level: float = LEVEL, z: float | None = None) -> Estimate:
    """Ratio of the mean numerator to the mean denominator, with Fieller's interval (E. C. Fieller, JRSS B 16, 1954).

    It holds all f for which mean(above - f below) is within z standard errors of 0. Where the mean denominator cannot
    be told from 0 no f is excluded on one side or the other, and both ends are open.

    z: standard deviations in the place of those of `level`, where several intervals have to hold together.
    """
    count = len(pairs.above)
    if count == 0 or not np.any(pairs.below):
        return Estimate.missing("there is no denominator")
    z = two_sided_z(level) if z is None else z
    total = np.stack([np.asarray(pairs.above, float), np.asarray(pairs.below, float)]).sum(1)
    deviations = pairs.extended() - (total / count)[:, None]
    # variance of the sums: [[aa, ab], [ab, bb]]
    moments = deviations @ deviations.T * (count / max(count - 1, 1))
    total_a, total_b = float(total[0]), float(total[1])
    a = total_b**2 - z**2 * moments[1, 1]
    b = total_b * total_a - z**2 * moments[0, 1]
    c = total_a**2 - z**2 * moments[0, 0]
    if a <= 0:
        reason = "the denominator cannot be told from 0"
        return Estimate(total_a / total_b, -np.inf, np.inf, level, reason=reason, num_units=count)
    half = np.sqrt(max(b * b - a * c, 0.0))
    return Estimate(total_a / total_b, float((b - half) / a), float((b + half) / a), level, num_units=count)


def weighted_ratios(
    parts: Sequence[Pairs], weights: Sequence[float], level: float = LEVEL, z: float | None = None
) -> Estimate:
    """Weighted sum of ratios of means over the same units, by the ratios' first-order expansion.

    A unit's share in it is sum over parts of weight (above - ratio below) / mean(below) (W. G. Cochran, Sampling
    Techniques, 1977, section 6.3). z: as in `fieller`.
    """
    count = len(parts[0].above)
    if count == 0 or not all(np.any(part.below) for part in parts):
        return Estimate.missing("there is no denominator")
    z = two_sided_z(level) if z is None else z
    value, shares = 0.0, np.zeros(count + len(parts[0].pseudo))
    for part, weight in zip(parts, weights, strict=True):
        above, below = part.extended()
        mean_below = below[:count].mean()
        ratio = above[:count].mean() / mean_below
        value += weight * ratio
        shares += weight * (above - ratio * below) / mean_below
    half = z * float(np.sqrt((shares**2).sum() * (count / max(count - 1, 1)))) / count
    return Estimate(float(value), float(value - half), float(value + half), level, num_units=count)


def ratio_of_means(above: NDArray, below: NDArray, level: float = LEVEL) -> Estimate:
    """Ratio of the means of paired values [units], with the linearised variance of a ratio estimate.

    W. G. Cochran, Sampling Techniques, 1977, section 6.3, with Student's t in the place of the normal quantile. What
    both share cancels out of the interval. No value where the mean below is 0.
    """
    if not np.any(below):
        return Estimate.missing("there is no denominator")
    ratio = float(np.mean(above) / np.mean(below))
    # The deviations' own mean is 0 but for rounding.
    deviation = student_mean((above - ratio * below) / np.mean(below), level)
    return replace(deviation.shifted(ratio), value=ratio)


def ratio_of_independent(first: Pairs, second: Pairs, level: float = LEVEL) -> Estimate:
    """Ratio of two ratios of means over units of their own, such as what two links deliver that met different drops.

    Bayesian bootstrap (D. B. Rubin, Annals of Statistics 9(1), 1981) of each over its units: every replicate weighs a
    unit by a Gamma(1) variable, and a pseudo pair by half of one. The interval is the central part of the replicates'
    ratios, and holds the value. The random numbers are fixed, so equal counts give equal intervals. No value where a
    denominator, or the second numerator, is 0 throughout.
    """
    if not (np.any(first.below) and np.any(second.below) and np.any(second.above)):
        return Estimate.missing("there is no denominator")
    value = _ratio(first) / _ratio(second)
    generators = [np.random.Generator(np.random.Philox(key=number)) for number in (1, 2)]
    found = _replicates(first, generators[0]) / _replicates(second, generators[1])
    low, high = central_interval(found, level)
    units = min(len(first.above), len(second.above))
    reason = "the denominator cannot be told from 0" if np.isinf(high) else ""
    return Estimate(value, min(low, value), max(high, value), level, reason=reason, num_units=units)


def _ratio(pairs: Pairs) -> float:
    return float(pairs.above.sum() / pairs.below.sum())


def _replicates(pairs: Pairs, generator: np.random.Generator) -> NDArray[np.float64]:
    """Replicates of the ratio of the means."""
    above, below = pairs.extended()
    shape = np.ones(len(above))
    shape[len(pairs.above) :] = _PSEUDO
    weights = generator.standard_gamma(shape, size=(_REPLICATES, len(above)))
    replicates: NDArray[np.float64] = (weights @ above) / (weights @ below)
    return replicates
