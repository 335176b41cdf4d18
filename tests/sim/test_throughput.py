"""Throughput of HARQ processes: its interval, its decisions, and that they look at given drops only."""

from __future__ import annotations

import numpy as np
import pytest

from ran.sim.throughput import Stream, drops_to_decide, fraction_of_maximum, looks, verdict_of
from ran.stats import Estimate


def processes(rng: np.random.Generator, drops: int, failure: float) -> tuple[np.ndarray, np.ndarray]:
    """delivered, transmissions [drops] of one block, up to 4 transmissions that fail independently."""
    failed = (rng.random((drops, 4)) < failure).cumprod(1)
    return 1 - failed[:, 3], 1 + failed[:, :3].sum(1)


def throughput_fraction(delivered: np.ndarray, transmissions: np.ndarray) -> Estimate:
    return fraction_of_maximum([Stream(delivered, transmissions, 1, 1000)], 4)


def true_fraction(failure: float) -> float:
    return (1 - failure**4) / (1 + failure + failure**2 + failure**3)


@pytest.mark.parametrize("failure", [0.05, 0.3, 0.6])
def test_interval_holds_the_truth(failure: float) -> None:
    rng = np.random.default_rng(1)
    truth = true_fraction(failure)
    runs = 600
    found = [throughput_fraction(*processes(rng, 200, failure)) for _ in range(runs)]
    held = np.mean([f.low <= truth <= f.high for f in found])
    assert held >= 0.99 - 4 * np.sqrt(0.99 * 0.01 / runs)
    assert abs(np.mean([f.value for f in found]) - truth) < 0.01
    # an interval of 99.5 %, and what the extreme drops add: not several times wider than the spread of the values
    spread = np.std([f.value for f in found])
    assert np.mean([f.high - f.low for f in found]) < 2 * 2.81 * spread * 1.6


def test_certainty_is_never_claimed_without_failures() -> None:
    all_at_once = throughput_fraction(np.ones(64), np.ones(64))
    assert all_at_once.value == all_at_once.high == 1
    assert 0.7 < all_at_once.low < 0.95
    assert verdict_of(throughput_fraction(np.zeros(0), np.zeros(0)), 0.7) == "undecided"
    nothing = throughput_fraction(np.zeros(64), np.full(64, 4))
    assert nothing.value == 0
    assert 0 < nothing.high < 0.2


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.7, 0.9, "pass"), (0.5, 0.699, "fail"), (0.69, 0.71, "undecided"), (0.6, 0.7, "undecided")],
)
def test_verdict(low: float, high: float, verdict: str) -> None:
    assert verdict_of(Estimate((low + high) / 2, low, high), 0.7) == verdict


def test_wrong_verdicts_at_the_threshold_are_rare() -> None:
    # exactly at the threshold either verdict is wrong: they may come up in 5 % of runs over all looks together
    rng = np.random.default_rng(2)
    failure, runs, limit = 1 - 0.7, 300, 4096
    decided = 0
    for _ in range(runs):
        delivered, transmissions = processes(rng, limit, failure)
        used = drops_to_decide([Stream(delivered, transmissions, 1, 1000)], 4, true_fraction(failure), limit)
        assert used is not None
        fraction = throughput_fraction(delivered[:used], transmissions[:used])
        decided += verdict_of(fraction, true_fraction(failure)) != "undecided"
    assert decided / runs < 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


def test_decision_looks_at_the_prefix_alone() -> None:
    delivered, transmissions = processes(np.random.default_rng(3), 4096, 0.27)
    stream = Stream(delivered, transmissions, 1, 1000)
    used = drops_to_decide([stream], 4, 0.7, 4096)
    assert used in looks(4096)
    assert 256 < used < 4096
    assert drops_to_decide([stream.first(used)], 4, 0.7, 4096) == used
    assert drops_to_decide([stream.first(used - 1)], 4, 0.7, 4096) is None


def test_looks_double_up_to_the_limit() -> None:
    assert looks(64) == [64]
    assert looks(300) == [256, 300]
    assert looks(2048) == [256, 512, 1024, 2048]
    assert len(looks(10**6)) == 10
    assert looks(10**6)[-1] == 10**6
