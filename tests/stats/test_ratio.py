"""Ratios of means: Fieller's interval against its definition, coverage by simulation, and certainty never claimed."""

from __future__ import annotations

import numpy as np
import pytest

from ran.stats import Pairs, fieller, ratio_of_independent, ratio_of_means, two_sided_z, weighted_ratios


def coverage_bound(level: float, trials: int) -> float:
    return 5 * np.sqrt(level * (1 - level) / trials)


def processes(generator: np.random.Generator, drops: int, failure: float) -> Pairs:
    """Delivered blocks and transmissions of one block a drop, up to 4 that fail independently."""
    failed = (generator.random((drops, 4)) < failure).cumprod(1)
    return Pairs(1 - failed[:, 3], 1 + failed[:, :3].sum(1))


def true_ratio(failure: float) -> float:
    return (1 - failure**4) / (1 + failure + failure**2 + failure**3)


def test_fieller_ends_are_where_the_mean_is_z_errors_from_0():
    generator = np.random.default_rng(1)
    below = generator.gamma(4, 1, 30)
    above = 0.6 * below + generator.normal(0, 0.5, 30)
    found = fieller(Pairs(above, below), level=0.9)
    for end in (found.low, found.high):
        deviation = above - end * below
        assert abs(deviation.mean()) / (deviation.std(ddof=1) / np.sqrt(30)) == pytest.approx(two_sided_z(0.9))
    assert found.value == pytest.approx(above.mean() / below.mean())
    assert found.low < found.value < found.high


@pytest.mark.parametrize("failure", [0.3, 0.6])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_fieller_covers(failure: float, level: float):
    generator, trials = np.random.default_rng([2, round(10 * failure)]), 1500
    found = [fieller(processes(generator, 200, failure), level) for _ in range(trials)]
    covered = np.mean([e.low <= true_ratio(failure) <= e.high for e in found])
    # of 200 drops the normal quantile in the place of Student's takes about 0.002
    assert abs(covered - level) < coverage_bound(level, trials) + 0.002


def test_fieller_is_open_where_the_denominator_may_be_0():
    found = fieller(Pairs(np.ones(4), np.array([3.0, -3.0, 4.0, -3.0])))
    assert found.is_open
    assert found.reason == "the denominator cannot be told from 0"
    assert fieller(Pairs(np.ones(3), np.zeros(3))).why_missing == "there is no denominator"
    assert not fieller(Pairs(np.zeros(0), np.zeros(0))).is_known


def test_pseudo_pairs_count_towards_the_spread_alone():
    sure = fieller(Pairs(np.ones(64), np.ones(64)))
    careful = fieller(Pairs(np.ones(64), np.ones(64), ((1.0, 1.0), (0.0, 4.0))))
    assert sure.low == sure.value == careful.value == 1
    assert careful.low < 0.95


def test_weighted_ratios_cover():
    generator, trials = np.random.default_rng(3), 1000
    truth = 0.75 * true_ratio(0.3) + 0.25 * true_ratio(0.6)
    found = [
        weighted_ratios([processes(generator, 300, 0.3), processes(generator, 300, 0.6)], (0.75, 0.25))
        for _ in range(trials)
    ]
    covered = np.mean([e.low <= truth <= e.high for e in found])
    assert abs(covered - 0.95) < coverage_bound(0.95, trials) + 0.002
    assert np.mean([e.value for e in found]) == pytest.approx(truth, abs=0.003)


def test_weighted_ratios_of_one_part_are_the_ratio():
    pairs = processes(np.random.default_rng(4), 2000, 0.4)
    one, several = fieller(pairs), weighted_ratios([pairs], [1.0])
    assert several.value == pytest.approx(one.value)
    # the expansion neglects what is of second order in the width
    neglected = one.half_width**2 / one.value
    assert (several.low, several.high) == pytest.approx((one.low, one.high), abs=neglected)
    assert not weighted_ratios([Pairs(np.ones(2), np.zeros(2))], [1.0]).is_known


def test_ratio_of_means_covers():
    generator, trials = np.random.default_rng(5), 2000
    below = generator.normal(10, 1, (trials, 16))
    above = 1.1 * below + generator.normal(0, 1, below.shape)
    found = [ratio_of_means(a, b) for a, b in zip(above, below, strict=True)]
    covered = np.mean([e.low <= 1.1 <= e.high for e in found])
    # linearising neglects terms of the order of the denominator's variance over its square, 1 / 1600
    assert abs(covered - 0.95) < coverage_bound(0.95, trials) + 0.002


def test_what_both_share_cancels_out_of_a_ratio():
    generator = np.random.default_rng(6)
    shared = generator.gamma(4, 1, 40)
    ratio = ratio_of_means(1.1 * shared + generator.normal(0, 0.01, 40), shared)
    assert ratio.low < 1.1 < ratio.high
    assert ratio.high - ratio.low < 0.02
    assert ratio_of_means(shared, np.zeros(40)).why_missing == "there is no denominator"


@pytest.mark.parametrize("failure", [(0.3, 0.6), (0.05, 0.1)])
def test_the_ratio_of_independent_ratios_covers(failure: tuple[float, float]):
    """Of HARQ processes of two links, 80 drops each; with 5 % failures few drops differ from the others."""
    generator, trials = np.random.default_rng([7, round(100 * failure[0])]), 250
    truth = true_ratio(failure[0]) / true_ratio(failure[1])
    found = [ratio_of_independent(*(processes(generator, 80, share) for share in failure)) for _ in range(trials)]
    covered = np.mean([e.low <= truth <= e.high for e in found])
    # the bootstrap has the spread of n units in the place of n - 1: 1 / (2 * 80) of the width, 0.0015 of the coverage
    assert abs(covered - 0.95) < coverage_bound(0.95, trials) * 4 / 5 + 0.0015
    # an interval for one of the two alone would be too narrow: this test can fail
    narrow = [fieller(processes(generator, 80, failure[0])).scaled(1 / true_ratio(failure[1])) for _ in range(trials)]
    assert np.mean([e.half_width for e in narrow]) < 0.9 * np.mean([e.half_width for e in found])


def test_a_ratio_of_independent_ratios_never_claims_certainty():
    sure = Pairs(np.ones(64), np.ones(64), ((1.0, 1.0), (0.0, 1.0)))
    found = ratio_of_independent(sure, sure)
    assert found.value == 1
    assert found.low < 0.995
    assert found.high > 1.005
    assert found == ratio_of_independent(sure, sure)
    assert not ratio_of_independent(sure, Pairs(np.zeros(3), np.ones(3))).is_known
