"""Throughput of HARQ processes as a fraction of its maximum, and when it is known to be above or below a threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Verdict = Literal["pass", "fail", "undecided"]

#: Drops at the first look; every further look is at twice as many.
_FIRST_LOOK = 256
_MOST_LOOKS = 10
#: Two-sided quantile of 5 % over all looks together (Bonferroni: 0.5 % each).
Z_ALL_LOOKS = 2.807033768


@dataclass(frozen=True)
class Fraction:
    """Delivered blocks per transmission: the fraction of the maximum throughput, with its interval.

    low, high: 95 % over all the looks that a decision takes at the growing number of drops.
    """

    value: float
    low: float
    high: float

    def verdict(self, threshold: float) -> Verdict:
        """Whether the whole interval is at or above the threshold, below it, or neither."""
        if self.low >= threshold:
            return "pass"
        return "fail" if self.high < threshold else "undecided"


def throughput_fraction(
    delivered: np.ndarray, transmissions: np.ndarray, blocks_per_drop: int, max_transmissions: int
) -> Fraction:
    """Fraction of the maximum throughput over drops, the independent units.

    delivered, transmissions int [drops]: blocks that arrived, and transmissions of blocks, over the users of a drop.

    Every slot of a process carries a transmission, so in the long run the throughput is the ratio of two means,
    E[delivered] / E[transmissions]. Its interval is Fieller's (E. C. Fieller, JRSS B 16, 1954): all f for which
    mean(delivered - f transmissions) is within its standard error of 0. The moments include one drop at its best and
    one at its worst, so that a sample without any failure, whose variance is 0, does not claim certainty.
    """
    count = len(delivered)
    if count == 0:
        return Fraction(float("nan"), 0.0, 1.0)
    d, t = np.asarray(delivered, float), np.asarray(transmissions, float)
    extremes = np.array([[blocks_per_drop, 0.0], [blocks_per_drop, blocks_per_drop * max_transmissions]])
    pairs = np.column_stack([np.stack([d, t]), extremes])
    deviations = pairs - np.array([[d.mean()], [t.mean()]])
    # variance of the sums: [[dd, dt], [dt, tt]]
    moments = deviations @ deviations.T * (count / max(count - 1, 1))
    total_d, total_t = float(d.sum()), float(t.sum())
    a = total_t**2 - Z_ALL_LOOKS**2 * moments[1, 1]
    b = total_t * total_d - Z_ALL_LOOKS**2 * moments[0, 1]
    c = total_d**2 - Z_ALL_LOOKS**2 * moments[0, 0]
    if a <= 0:
        return Fraction(total_d / total_t, 0.0, 1.0)
    half = np.sqrt(max(b * b - a * c, 0.0))
    low, high = (b - half) / a, (b + half) / a
    return Fraction(total_d / total_t, float(np.clip(low, 0, 1)), float(np.clip(high, 0, 1)))


def drops_to_decide(
    delivered: np.ndarray,
    transmissions: np.ndarray,
    blocks_per_drop: int,
    max_transmissions: int,
    threshold: float,
    limit: int,
) -> int | None:
    """Drops that count: the first look at which the fraction is decided, or `limit`; None when it needs more drops.

    It looks at given numbers of drops only, so the answer is the same however many more are known.
    """
    for look in looks(limit):
        if look > len(delivered):
            return None
        fraction = throughput_fraction(delivered[:look], transmissions[:look], blocks_per_drop, max_transmissions)
        if look == limit or fraction.verdict(threshold) != "undecided":
            return look
    return None


def looks(limit: int) -> list[int]:
    """Numbers of drops at which a decision is tried, ascending, the last of them `limit`."""
    doubling = [_FIRST_LOOK * 2**i for i in range(_MOST_LOOKS - 1)]
    return [*(look for look in doubling if look < limit), limit]
