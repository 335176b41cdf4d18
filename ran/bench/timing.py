"""Timing of two sides that take turns, so that what else the machine does meets both alike."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ran.bench.row import Side

# Least time to judge a candidate by.
_CHOICE_S = 0.1


@dataclass(frozen=True)
class Spread:
    """Median of some samples with the quartiles, and their number."""

    median: float
    low: float
    high: float
    num_samples: int

    @classmethod
    def of(cls, samples: Sequence[float]) -> Spread:
        low, median, high = np.quantile(np.asarray(samples, float), (0.25, 0.5, 0.75))
        return cls(float(median), float(low), float(high), len(samples))


def rate(side: Side, sample_s: float) -> float:
    """Work per second over as many calls as last `sample_s`, at least one."""
    calls, started = 0, time.perf_counter()
    while True:
        side.run()
        calls += 1
        if (passed := time.perf_counter() - started) >= sample_s:
            return side.work * calls / passed


def alternate(sides: Sequence[Side], rounds: int, sample_s: float) -> list[list[float]]:
    """`rounds` rates of each side, in turns; each side runs once before, unmeasured."""
    for side in sides:
        side.run()
    rates: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, found in zip(sides, rates, strict=True):
            found.append(rate(side, sample_s))
    return rates


def fastest(candidates: Sequence[Side]) -> Side:
    """The candidate with the highest rate, from one call or a few short ones: the choice of a peer's settings."""

    def speed(side: Side) -> float:
        side.run()
        return rate(side, _CHOICE_S)

    return candidates[0] if len(candidates) == 1 else max(candidates, key=speed)
