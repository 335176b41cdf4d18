"""Percentiles: coverage for any distribution, and groups as the independent units."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from ran.stats import bootstrap_percentile, order_statistics_percentile, quartiles, upper_tolerance_limit


def coverage_bound(level: float, trials: int) -> float:
    return 5 * np.sqrt(level * (1 - level) / trials)


@pytest.mark.parametrize(("percent", "number"), [(50, 21), (90, 100), (5, 200)])
def test_order_statistics_cover_at_least_as_often_as_they_say(percent: int, number: int):
    trials = 2000
    values = np.sort(np.random.default_rng([percent, number]).random((trials, number)), 1)
    found = [order_statistics_percentile(row, percent) for row in values]
    covered = np.mean([e.low <= percent / 100 <= e.high for e in found])
    low, high = (int(np.searchsorted(values[0], end)) for end in (found[0].low, found[0].high))
    # the truth is between the two places as often as the binomial count of values below it is
    exact = binom.cdf(high, number, percent / 100) - binom.cdf(low, number, percent / 100)
    assert exact >= 0.95 - 1e-9
    assert abs(covered - exact) < coverage_bound(exact, trials)


def test_order_statistics_stop_at_the_ends_of_the_sample():
    found = order_statistics_percentile(np.arange(10.0), 99)
    assert (found.high, found.num_units) == (9.0, 10)
    assert not order_statistics_percentile(np.zeros(0), 50).is_known


def test_bootstrap_percentile_of_an_exponential_law():
    values = np.random.default_rng(3).exponential(size=(20_000,))
    found = bootstrap_percentile(values, 90, np.random.default_rng(4))
    # standard error of a quantile: sqrt(p (1 - p) / n) / density; the density there is 0.1
    error = np.sqrt(0.09 / 20_000) / 0.1
    assert abs(found.value - np.log(10)) < 5 * error
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.3)


def test_bootstrap_percentile_covers_with_groups():
    # all values of a group are the same: 150 groups of 4 say no more than 150 values
    generator, trials = np.random.default_rng(5), 150
    covered = 0
    for _ in range(trials):
        values = np.repeat(generator.normal(size=(150, 1)), 4, 1)
        found = bootstrap_percentile(values, 50, generator, resamples=200)
        covered += found.low <= 0 <= found.high
    # 200 resamples place each end within a percent of its tail
    assert abs(covered / trials - 0.95) < coverage_bound(0.95, trials) + 0.02


def test_quartiles_hold_half_of_the_samples():
    found = quartiles(range(101))
    assert (found.value, found.low, found.high, found.level, found.num_units) == (50, 25, 75, 0.5, 101)
    assert not quartiles([]).is_known


def test_a_tolerance_limit_is_passed_by_no_larger_share_as_often_as_it_says():
    # of n uniform values the share above the largest is beyond s with probability (1 - s)^n: 299 values for 1 %
    assert upper_tolerance_limit(np.arange(298.0), 0.01) is None
    assert upper_tolerance_limit(np.arange(299.0), 0.01) == 298.0
    assert 0.99**299 <= 0.05 < 0.99**298
    # of the second largest with (1 - s)^n + n s (1 - s)^(n - 1)
    second = next(n for n in range(299, 1000) if 0.99**n + n * 0.01 * 0.99 ** (n - 1) <= 0.05)
    assert upper_tolerance_limit(np.arange(float(second - 1)), 0.01) == second - 2
    assert upper_tolerance_limit(np.arange(float(second)), 0.01) == second - 2
    # whatever the distribution, in any order
    generator, runs = np.random.default_rng(5), 2000
    too_low = 0
    for _ in range(runs):
        values = generator.pareto(1.0, 1000)
        limit = upper_tolerance_limit(values, 0.005)
        # the share of a Pareto distribution above x is 1 / (1 + x)
        too_low += 1 / (1 + limit) > 0.005
    exact = 0.995**1000 + 1000 * 0.005 * 0.995**999
    assert exact <= 0.05
    assert abs(too_low / runs - exact) < 4.9 * np.sqrt(exact * (1 - exact) / runs)
