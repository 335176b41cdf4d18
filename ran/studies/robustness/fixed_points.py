"""Whether a receiver loses blocks at given points that another one does not: where there is no waterfall to compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ran.sim.results import PointResult
from ran.stats import paired_share_difference, percent, sign_test

Verdict = Literal["not worse", "worse", "undecided", "refused", "reference"]

#: So much more of the drops a receiver may lose a block in and count as not worse.
ALLOWED_SHARE = 0.05
_LEVEL = 0.025


def verdict_at_points(own: Sequence[PointResult], other: Sequence[PointResult]) -> Verdict:
    """Whether a receiver is worse than another one at given points.

    "worse" where it loses blocks in significantly more drops at any point, "not worse" where at every point it is known
    to do so in less than `ALLOWED_SHARE` more.

    Drops are paired. Significance is that of the sign test of the drops in which the two differ, one-sided 2.5 %; what
    is known is the upper end of the interval of `ran.stats.paired_share_difference`.
    """
    at = {point.esn0_db: point for point in other}
    verdicts = [_verdict(point, at[point.esn0_db]) for point in own if point.esn0_db in at]
    if not verdicts or len(verdicts) < len(own):
        return "undecided"
    for verdict in ("worse", "undecided"):
        if verdict in verdicts:
            return verdict
    return "not worse"


def lost_at(points: Sequence[PointResult], unit: str = "dB") -> str:
    """Shares of blocks lost, in words. unit: of the points, dB of Es/N0, or dBm of transmit power."""
    return ", ".join(f"{percent(point.bler)} at {point.esn0_db:g} {unit}".replace("-", "−") for point in points)


def _verdict(own: PointResult, other: PointResult) -> Literal["not worse", "worse", "undecided"]:
    count = min(own.drops, other.drops)
    difference = np.asarray(own.block_errors_per_drop)[:count] - np.asarray(other.block_errors_per_drop)[:count]
    more, less = int((difference > 0).sum()), int((difference < 0).sum())
    if more > less and sign_test(more, less) < _LEVEL:
        return "worse"
    highest = paired_share_difference(more, less, count).high
    return "not worse" if highest is not None and highest <= ALLOWED_SHARE else "undecided"
