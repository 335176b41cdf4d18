"""Throughput of HARQ processes as a fraction of its maximum, and when it is known to be above or below a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class Stream:
    """Blocks of one kind over drops: those of all users, or those of one of two codewords.

    delivered, transmissions int [drops]: blocks that arrived, and transmissions of blocks. blocks_per_drop, bits: how
    many blocks a drop has, and the size of each.
    """

    delivered: np.ndarray
    transmissions: np.ndarray
    blocks_per_drop: int
    bits: int

    def first(self, drops: int) -> Stream:
        """The first drops."""
        return replace(self, delivered=self.delivered[:drops], transmissions=self.transmissions[:drops])

    def bits_per_s(self, slot_duration_s: float) -> float:
        """Bits of delivered blocks per air time: each block of a drop is sent in every slot of its process."""
        air_time_s = int(self.transmissions.sum()) / self.blocks_per_drop * slot_duration_s
        return int(self.delivered.sum()) * self.bits / air_time_s


def fraction_of_maximum(streams: Sequence[Stream], max_transmissions: int) -> Fraction:
    """Throughput of all streams together as a fraction of its maximum.

    A process sends each of its codewords until it arrives, and then the next block of that codeword: so codewords have
    throughputs of their own, sum over c of bits_c E[delivered_c] / E[transmissions_c]. The interval of several streams
    is that of the ratios' first-order expansion, in which a drop's share is sum over c of
    weight_c (delivered_c - fraction_c transmissions_c) / E[transmissions_c]; as in `throughput_fraction` one drop at
    its best and one at its worst are counted with it.
    """
    if len(streams) == 1:
        one = streams[0]
        return throughput_fraction(one.delivered, one.transmissions, one.blocks_per_drop, max_transmissions)
    count = len(streams[0].delivered)
    if count == 0:
        return Fraction(float("nan"), 0.0, 1.0)
    most = sum(s.bits * s.blocks_per_drop for s in streams)
    value, shares = 0.0, np.zeros(count + 2)
    for s in streams:
        weight = s.bits * s.blocks_per_drop / most
        d = np.append(s.delivered, [s.blocks_per_drop, 0]).astype(float)
        t = np.append(s.transmissions, [s.blocks_per_drop, s.blocks_per_drop * max_transmissions]).astype(float)
        mean_t = t[:count].mean()
        fraction = d[:count].mean() / mean_t
        value += weight * fraction
        shares += weight * (d - fraction * t) / mean_t
    half = Z_ALL_LOOKS * float(np.sqrt((shares**2).sum() * (count / max(count - 1, 1)))) / count
    return Fraction(value, float(np.clip(value - half, 0, 1)), float(np.clip(value + half, 0, 1)))


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


def drops_to_decide(streams: Sequence[Stream], max_transmissions: int, threshold: float, limit: int) -> int | None:
    """Drops that count: the first look at which the fraction is decided, or `limit`; None when it needs more drops.

    It looks at given numbers of drops only, so the answer is the same however many more are known.
    """
    for look in looks(limit):
        if look > len(streams[0].delivered):
            return None
        fraction = fraction_of_maximum([stream.first(look) for stream in streams], max_transmissions)
        if look == limit or fraction.verdict(threshold) != "undecided":
            return look
    return None


def looks(limit: int) -> list[int]:
    """Numbers of drops at which a decision is tried, ascending, the last of them `limit`."""
    doubling = [_FIRST_LOOK * 2**i for i in range(_MOST_LOOKS - 1)]
    return [*(look for look in doubling if look < limit), limit]
