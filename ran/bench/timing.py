"""Timing of two sides that take turns, so that what else the machine does meets both alike."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ran.bench.row import Side

# Least time to judge a candidate by.
_CHOICE_S = 0.1


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
