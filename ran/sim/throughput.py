"""Throughput of HARQ processes as a fraction of its maximum, and when it is known to be above or below a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ran.stats import Estimate, Pairs, fieller, weighted_ratios

Verdict = Literal["pass", "fail", "undecided"]

#: Drops at the first look; every further look is at twice as many.
_FIRST_LOOK = 256
_MOST_LOOKS = 10
#: Two-sided quantile of 5 % over all looks together (Bonferroni: 0.5 % each).
Z_ALL_LOOKS = 2.807033768


@dataclass(frozen=True)
class Stream:
    """Blocks of one kind over drops: those of all users, of one of unlike users, or of one of two codewords.

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

    def pairs(self, max_transmissions: int) -> Pairs:
        """Delivered blocks to transmissions. One drop at its best and one at its worst count towards the spread, so
        that a sample without any failure, whose variance is 0, does not claim certainty."""
        best, worst = float(self.blocks_per_drop), float(self.blocks_per_drop * max_transmissions)
        return Pairs(self.delivered, self.transmissions, ((best, best), (0.0, worst)))


def fraction_of_maximum(streams: Sequence[Stream], max_transmissions: int) -> Estimate:
    """Delivered blocks per transmission: the throughput of all streams together as a fraction of its maximum.

    A process sends each of its codewords until it arrives, and then the next block of that codeword: so codewords have
    throughputs of their own, sum over c of bits_c E[delivered_c] / E[transmissions_c]. Every slot of a process carries
    a transmission, so in the long run the throughput of one stream is the ratio of two means.

    The interval (Fieller's; of several streams that of `weighted_ratios`) counts drops, and holds with 95 % over all
    the looks that a decision takes at the growing number of drops. Without any drop there is no value.
    """
    pairs = [stream.pairs(max_transmissions) for stream in streams]
    if len(streams) == 1:
        return fieller(pairs[0], z=Z_ALL_LOOKS).clipped(0, 1)
    most = sum(stream.bits * stream.blocks_per_drop for stream in streams)
    weights = [stream.bits * stream.blocks_per_drop / most for stream in streams]
    return weighted_ratios(pairs, weights, z=Z_ALL_LOOKS).clipped(0, 1)


def verdict_of(fraction: Estimate, threshold: float) -> Verdict:
    """Whether the whole interval is at or above the threshold, below it, or neither."""
    if fraction.low is not None and fraction.low >= threshold:
        return "pass"
    return "fail" if fraction.is_below(threshold) else "undecided"


def drops_to_decide(streams: Sequence[Stream], max_transmissions: int, threshold: float, limit: int) -> int | None:
    """Drops that count: the first look at which the fraction is decided, or `limit`; None when it needs more drops.

    It looks at given numbers of drops only, so the answer is the same however many more are known.
    """
    for look in looks(limit):
        if look > len(streams[0].delivered):
            return None
        fraction = fraction_of_maximum([stream.first(look) for stream in streams], max_transmissions)
        if look == limit or verdict_of(fraction, threshold) != "undecided":
            return look
    return None


def looks(limit: int) -> list[int]:
    """Numbers of drops at which a decision is tried, ascending, the last of them `limit`."""
    doubling = [_FIRST_LOOK * 2**i for i in range(_MOST_LOOKS - 1)]
    return [*(look for look in doubling if look < limit), limit]
