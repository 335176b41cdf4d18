"""Verdicts at given points, from counts whose significance is known in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from ran.studies.robustness.fixed_points import lost_at, verdict_at_points


@dataclass(frozen=True)
class Point:
    """What of a point is used."""

    esn0_db: float
    block_errors_per_drop: np.ndarray

    @property
    def drops(self) -> int:
        return len(self.block_errors_per_drop)

    @property
    def bler(self) -> float:
        return float(self.block_errors_per_drop.mean())


def point(lost: range, esn0_db: float = 40.0, drops: int = 192) -> Point:
    errors = np.zeros(drops, np.int64)
    errors[list(lost)] = 1
    return Point(esn0_db, errors)


NONE = range(0)


@pytest.mark.parametrize(
    ("own", "other", "verdict"),
    [
        (NONE, NONE, "not worse"),
        # six heads in six throws are 1/64, five 1/32
        (range(6), NONE, "worse"),
        (range(5), NONE, "undecided"),
        # drops that both lose say nothing
        (range(100), range(100), "not worse"),
        (range(100), range(94), "worse"),
        (range(10), range(10, 60), "not worse"),
        # three of 192 have an upper limit of 4.5 %, four of 5.2 %
        (range(3), NONE, "not worse"),
        (range(4), NONE, "undecided"),
    ],
)
def test_verdicts(own, other, verdict):
    assert verdict_at_points([point(own)], [point(other)]) == verdict


def test_the_worst_point_counts_and_a_missing_one_is_undecided():
    own = [point(NONE, 40), point(range(30), 60)]
    assert verdict_at_points(own, [point(NONE, 40), point(NONE, 60)]) == "worse"
    assert verdict_at_points(own, [point(NONE, 40)]) == "undecided"
    assert verdict_at_points([], []) == "undecided"
    assert lost_at([point(NONE, -3), point(range(96), 60)]) == "0 % at −3 dB, 50 % at 60 dB"
