"""Where a measured curve meets a target: an error rate that falls over Es/N0, a throughput that rises.

Error rates: between two neighbouring points, linear in Es/N0 [dB] over the probit (inverse normal CDF) of the rate. The
waterfall of a long code is close to a normal CDF in dB, so its chord is nearly straight there. Over the log of the rate
the chord would cut below the curve and place the crossing too low: by 0.2 dB for neighbouring points at 0.9 and 0.02
that are 1 dB apart. Nothing is extrapolated: a curve that does not cross has no crossing, and says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ran.stats.estimate import LEVEL, Estimate
from ran.stats.resampling import central_interval

Array = NDArray[np.float64]


def falling_crossing(x: Array, rate: Array, target: float) -> Array:
    """Where curves first come down to a target.

    x: [points] float, ascending, such as Es/N0 in dB. rate: [..., points] float, strictly between 0 and 1.
    Returns [...] float: -inf where the first point is already there, +inf where no point is.
    """
    met = rate <= target
    j = np.argmax(met, axis=-1)
    i = np.maximum(j - 1, 0)
    from scipy.special import ndtri  # takes a while to import, and a refusal needs none of it

    z = ndtri(rate)
    z_i = np.take_along_axis(z, i[..., None], axis=-1)[..., 0]
    z_j = np.take_along_axis(z, j[..., None], axis=-1)[..., 0]
    # Where i and j do not enclose the target the result is infinite; the divisor only has to be finite there.
    step = np.where(z_i > z_j, z_i - z_j, 1.0)
    inside = x[i] + (z_i - ndtri(target)) / step * (x[j] - x[i])
    return np.where(met[..., 0], -np.inf, np.where(met.any(axis=-1), inside, np.inf))


def interpolable_rates(errors: Sequence[int], trials: Sequence[int], groups: Sequence[int]) -> Array:
    """Error rates [points] as measured, but strictly between 0 and 1 (points in ascending Es/N0).

    groups: independent groups of the trials. A point without errors counts half a group in error, and a point with
    errors only half a group without. Few groups without errors say little, so they never lift the curve above the
    point before them.
    """
    rates = np.empty(len(errors))
    for i, (wrong, all_of_it, independent) in enumerate(zip(errors, trials, groups, strict=True)):
        half_group = 0.5 / independent
        rates[i] = min(max(wrong / all_of_it, half_group), 1 - half_group)
        if i and wrong == 0:
            rates[i] = min(rates[i], rates[i - 1])
    return rates


@dataclass(frozen=True)
class ReplicatedCurve:
    """An error rate over x: as measured, rate [points], and in replicates [replicates, points] (`bootstrap_shares`).

    unit: of x. num_groups: independent groups at the point that has fewest of them. name: of x, in messages.
    """

    x: Array
    rate: Array
    replicates: Array
    unit: str = "dB"
    name: str = "Es/N0"
    num_groups: int | None = None

    def crossing(self, target: float, level: float = LEVEL) -> Estimate:
        """Where the curve first comes down to `target`; without a value where it does not.

        The interval is that of the replicates' crossings; an end is open where they leave the points of x.
        """
        value = float(falling_crossing(self.x, self.rate, target))
        if not np.isfinite(value):
            side = "already at or below the target at the first" if value < 0 else "still above the target at the last"
            return Estimate.missing(f"{side} point", self.unit)
        ends = central_interval(falling_crossing(self.x, self.replicates, target), level)
        reason = self._why_open(ends)
        return Estimate(value, *ends, level=level, unit=self.unit, reason=reason, num_units=self.num_groups)

    def gain_over(self, reference: ReplicatedCurve, target: float, level: float = LEVEL) -> Estimate:
        """How much less x this curve needs than `reference` at `target`, paired replicate by replicate.

        Both must have been resampled together; without a value where one of the two does not cross.
        """
        own, other = (curve.crossing(target, level) for curve in (self, reference))
        if own.value is None or other.value is None:
            return Estimate.missing(own.why_missing or other.why_missing, self.unit)
        with np.errstate(invalid="ignore"):
            differences = falling_crossing(reference.x, reference.replicates, target) - falling_crossing(
                self.x, self.replicates, target
            )
        ends = central_interval(differences, level)
        known = [curve.num_groups for curve in (self, reference) if curve.num_groups is not None]
        reason = self._why_open(ends)
        value = other.value - own.value
        return Estimate(value, *ends, level=level, unit=self.unit, reason=reason, num_units=min(known, default=None))

    def _why_open(self, ends: tuple[float, float]) -> str:
        return f"the interval reaches beyond the simulated {self.name}" if np.isinf(ends).any() else ""


def rising_crossing(x: Sequence[float], values: Sequence[Estimate], target: float, z_ratio: float = 1.0) -> Estimate:
    """Where the line through neighbouring points meets a target from below, searched downwards from the highest point.

    Half of the interval: the mean half interval of the values at both points over the slope between them, a first-order
    propagation of the error (JCGM 100:2008, 5.1.2) that takes both points for equally far off: the points shared their
    channels. z_ratio: standard deviations of the interval over those of the values'.

    Without a value where the curve does not cross; `reason` says on which side of the points it lies.
    """
    points = list(zip(x, values, strict=True))
    for (x_low, low), (x_high, high) in reversed(list(pairwise(points))):
        if low.value is None or high.value is None or low.half_width is None or high.half_width is None:
            continue
        if low.value < target <= high.value:
            slope = (high.value - low.value) / (x_high - x_low)
            half = (low.half_width + high.half_width) / 2 * z_ratio / slope
            at = x_low + (target - low.value) / slope
            units = [e.num_units for e in (low, high) if e.num_units is not None]
            return Estimate(at, at - half, at + half, low.level, "dB", num_units=min(units, default=None))
    if not points:
        return Estimate.missing("not simulated", "dB")
    first = points[0][1].value
    if first is not None and first >= target:
        return Estimate.missing(f"below {points[0][0]:g} dB", "dB")
    return Estimate.missing(f"above {points[-1][0]:g} dB", "dB")
