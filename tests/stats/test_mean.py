"""Means and paired differences: exact where values are normal, by simulation where they are not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from ran.stats import normal_mean, paired_difference, student_mean


def coverage_bound(level: float, trials: int) -> float:
    """Five standard deviations of a share that is measured in so many trials."""
    return 5 * np.sqrt(level * (1 - level) / trials)


def test_student_is_that_of_scipy():
    values = np.random.default_rng(1).gamma(2, 1, 9)
    found = student_mean(values, 0.9)
    expected = ttest_1samp(values, 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.value, found.level, found.num_units) == (pytest.approx(values.mean()), 0.9, 9)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_student_covers_for_few_normal_values(level: float):
    values = np.random.default_rng(4).normal(5, 2, (4000, 5))
    covered = np.mean([(e := student_mean(row, level)).low <= 5 <= e.high for row in values])
    assert abs(covered - level) < coverage_bound(level, 4000)
    # the normal quantile would be too narrow for so few: this test can fail
    narrow = np.mean([(e := normal_mean(row, level)).low <= 5 <= e.high for row in values])
    assert narrow < level - 0.02


def test_normal_covers_for_many_values_that_are_not_normal():
    values = np.random.default_rng(5).exponential(3, (2000, 400))
    covered = np.mean([(e := normal_mean(row)).low <= 3 <= e.high for row in values])
    # a skewness of 2 takes about (2 * 4 / 400) / 4 of the coverage (second-order Edgeworth term)
    assert abs(covered - 0.95) < coverage_bound(0.95, 2000) + 0.005


def test_one_value_leaves_both_ends_open():
    for mean in (student_mean, normal_mean):
        found = mean(np.array([2.0]))
        assert (found.value, found.low, found.high) == (2.0, -np.inf, np.inf)
        assert "one independent value" in found.reason
        assert not mean(np.zeros(0)).is_known


def test_what_pairs_share_cancels():
    generator = np.random.default_rng(6)
    shared = generator.normal(0, 10, (2000, 12))
    first, second = (shared + shift + generator.normal(0, 1, shared.shape) for shift in (0.5, 0.0))
    found = [paired_difference(a, b) for a, b in zip(first, second, strict=True)]
    assert abs(np.mean([e.low <= 0.5 <= e.high for e in found]) - 0.95) < coverage_bound(0.95, 2000)
    # of independent samples the half width would be above 2 * sqrt(2 * 100 / 12) = 8
    assert np.mean([e.half_width for e in found]) < 1
    with pytest.raises(ValueError, match="got 3 and 2 values"):
        paired_difference(np.ones(3), np.ones(2))


def test_paired_difference_with_another_interval():
    first, second = np.random.default_rng(7).normal(size=(2, 50))
    assert paired_difference(first, second, normal_mean) == normal_mean(first - second)
