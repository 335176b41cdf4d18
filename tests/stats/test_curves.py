"""Crossings of curves of known truth, their replicates, and gains between curves over the same groups."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import beta

from ran.stats import (
    Counted,
    Estimate,
    ReplicatedCurve,
    bootstrap_shares,
    central_interval,
    falling_crossing,
    interpolable_rates,
    rising_crossing,
)

X = np.array([0.0, 1.0, 2.0, 3.0])


def bound(probability: float, runs: int) -> float:
    """Four standard deviations of a share that is measured on so many runs."""
    return 4 * np.sqrt(probability * (1 - probability) / runs)


def test_interpolation_is_exact_on_a_normal_waterfall():
    x = np.array([0.0, 0.7, 2.0, 4.0])
    rate = ndtr((1.3 - x) / 0.8)
    for target in (0.5, 0.1, 0.01):
        assert falling_crossing(x, rate, target) == pytest.approx(1.3 - 0.8 * ndtri(target), abs=1e-9)


def test_curves_that_do_not_cross_are_infinite():
    rate = np.array([[0.9, 0.5, 0.2], [0.09, 0.05, 0.02], [0.9, 0.5, 0.1]])
    assert list(falling_crossing(X[:3], rate, 0.1)) == [np.inf, -np.inf, 2.0]


def test_rates_at_the_ends_can_be_interpolated():
    rates = interpolable_rates([40, 3, 0, 0], [40, 40, 40, 4], [20, 20, 20, 2])
    assert rates == pytest.approx([1 - 0.5 / 20, 3 / 40, 0.5 / 20, 0.5 / 20])


def test_groups_of_one_give_the_beta_distribution():
    counts = np.zeros(200)
    counts[::20] = 1
    replicates = bootstrap_shares([Counted(counts, 1)], 20_000, np.random.default_rng(1))[:, 0]
    for share in (0.025, 0.5, 0.975):
        reached = np.mean(replicates <= beta(10.5, 190.5).ppf(share))
        assert abs(reached - share) < bound(share, 20_000)
    assert bootstrap_shares([], 3, np.random.default_rng(1)).shape == (3, 0)


def test_many_clean_groups_are_one_weight():
    # The grouping of clean groups must not change the distribution: compare its moments with the ungrouped closed form.
    generator = np.random.default_rng(2)
    points = [Counted(generator.random(n) < share, 1) for n, share in ((120, 0.5), (900, 0.07), (1000, 0.01))]
    replicates = bootstrap_shares(points, 20_000, generator)
    for point, own in zip(points, replicates.T, strict=True):
        law = beta(point.counts.sum() + 0.5, len(point.counts) - point.counts.sum() + 0.5)
        assert np.mean(own) == pytest.approx(law.mean(), abs=4 * law.std() / np.sqrt(20_000))
        assert np.std(own) == pytest.approx(law.std(), rel=4 / np.sqrt(2 * 20_000) * 1.5)


def test_central_interval_widens_by_what_is_not_a_number():
    values = np.arange(1001.0)
    assert central_interval(values) == (25.0, 975.0)
    values[500:540] = np.nan
    assert central_interval(values) == (-np.inf, np.inf)


def curves(generator: np.random.Generator, middles: tuple[float, float], replicates: int) -> list[ReplicatedCurve]:
    """Two curves over the same 400 groups of 2 that fail together where one number per group and point says so."""
    luck = generator.random((400, 1, len(X)))
    failed = luck < ndtr((np.array(middles)[:, None] - X) / 0.8)
    counted = [Counted(2 * failed[:, i, j], 2) for i in range(2) for j in range(len(X))]
    drawn = bootstrap_shares(counted, replicates, generator)
    found = []
    for i in range(2):
        errors = 2 * failed[:, i].sum(0)
        rate = interpolable_rates(list(errors), [800] * len(X), [400] * len(X))
        found.append(ReplicatedCurve(X, rate, drawn[:, i * len(X) : (i + 1) * len(X)], num_groups=400))
    return found


def test_crossings_and_gains_cover():
    generator, trials = np.random.default_rng(3), 400
    middles, target = (0.4, 0.5), 0.1
    own, gains, unpaired = [], [], []
    for _ in range(trials):
        one, other = curves(generator, middles, 400)
        own.append(one.crossing(target))
        gains.append(one.gain_over(other, target))
        unpaired.append(np.hypot(own[-1].half_width, other.crossing(target).half_width))
    truth = middles[0] - 0.8 * ndtri(target)
    # 400 replicates place each end within 0.008 of its tail
    assert abs(np.mean([e.low <= truth <= e.high for e in own]) - 0.95) < bound(0.95, trials) + 0.016
    assert abs(np.mean([e.low <= 0.1 <= e.high for e in gains]) - 0.95) < bound(0.95, trials) + 0.016
    assert np.mean([e.half_width for e in gains]) < 0.6 * np.mean(unpaired)
    assert {(e.unit, e.num_units) for e in gains} == {("dB", 400)}


def test_a_curve_that_does_not_cross_says_so():
    above = ReplicatedCurve(X, np.full(4, 0.3), np.full((5, 4), 0.3))
    below = ReplicatedCurve(X, np.full(4, 0.03), np.full((5, 4), 0.03))
    assert above.crossing(0.1).why_missing == "still above the target at the last point"
    assert below.crossing(0.1).why_missing == "already at or below the target at the first point"
    assert above.gain_over(below, 0.1).why_missing == above.crossing(0.1).why_missing


def test_an_end_beyond_the_points_is_open():
    rate = np.array([0.5, 0.3, 0.2, 0.09])
    replicates = np.tile(rate, (100, 1))
    replicates[:20, 3] = 0.15
    found = ReplicatedCurve(X, rate, replicates).crossing(0.1)
    assert (found.high, found.reason) == (np.inf, "the interval reaches beyond the simulated Es/N0")


def test_rising_crossing_covers():
    # the line through both points is the truth, and both are off by the same: as points over shared channels are
    generator, trials, sigma = np.random.default_rng(4), 4000, 0.02
    covered = 0
    for off in generator.normal(0, sigma, trials):
        values = [Estimate(v + off, v + off - 1.96 * sigma, v + off + 1.96 * sigma) for v in (0.5, 0.65, 0.8)]
        found = rising_crossing((0.0, 1.0, 2.0), values, 0.7)
        covered += found.low <= 1 + 0.05 / 0.15 <= found.high
    assert abs(covered / trials - 0.95) < bound(0.95, trials)


def test_rising_crossing_is_the_highest_and_says_on_which_side():
    values = [Estimate(v, v - 0.1, v + 0.1) for v in (0.8, 0.6, 0.9)]
    assert rising_crossing((0.0, 1.0, 2.0), values, 0.75).value == pytest.approx(1.5)
    assert rising_crossing((0.0, 1.0), values[:2], 0.5).reason == "below 0 dB"
    assert rising_crossing((1.0,), values[1:2], 0.7).reason == "above 1 dB"
    assert rising_crossing((), (), 0.7).reason == "not simulated"
    assert rising_crossing((0.0, 1.0), values[1:], 0.7, z_ratio=0.5).half_width == pytest.approx(0.05 / 0.3)
