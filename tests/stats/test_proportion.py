"""The interval of a BLER: exactly Wilson's for one block per drop, and covering the truth for any correlation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, multinomial

from ran.stats import (
    Estimate,
    exact_share,
    grouped_wilson,
    grouped_wilson_prefixes,
    paired_share_difference,
    sign_test,
    two_sided_z,
    wilson,
)


def score_interval(errors: int, blocks: int) -> tuple[float, float]:
    p, z = errors / blocks, two_sided_z(0.95)
    centre = (p + z * z / (2 * blocks)) / (1 + z * z / blocks)
    half = z / (1 + z * z / blocks) * np.sqrt(p * (1 - p) / blocks + z * z / (4 * blocks**2))
    return centre - half, centre + half


def ends(counts: np.ndarray, group_size: int) -> tuple[float, float]:
    found = grouped_wilson(counts, group_size)
    assert found.value == pytest.approx(counts.mean() / group_size)
    assert found.num_units == len(counts)
    return found.low, found.high


def test_of_independent_trials() -> None:
    errors = np.array([1] * 7 + [0] * 43)
    found = wilson(7 / 50, 50)
    assert (found.low, found.high) == pytest.approx(ends(errors, 1))
    assert (found.low, found.high) == pytest.approx(score_interval(7, 50), abs=1e-12)
    assert (wilson(0.0, 10).low, wilson(1.0, 10).high) == (0.0, 1.0)
    assert not wilson(0.0, 0).is_known


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("share", "trials"), [(0.1, 100), (0.5, 20), (0.02, 400)])
def test_coverage_of_independent_trials(share: float, trials: int, level: float) -> None:
    """Exact, by adding up the binomial probabilities of the counts whose interval holds the truth."""
    counts = np.arange(trials + 1)
    held = [(e := wilson(k / trials, trials, level)).low <= share <= e.high for k in counts]
    # a count is a whole number, so the coverage swings around the level by about the largest probability of a count
    probability = binom(trials, share).pmf(counts)
    assert abs(probability[held].sum() - level) < probability.max()


@settings(deadline=None)
@given(st.lists(st.integers(0, 1), min_size=1, max_size=200))
def test_one_block_per_drop_is_wilson(errors: list[int]) -> None:
    assert ends(np.array(errors), 1) == pytest.approx(score_interval(sum(errors), len(errors)), abs=1e-12)


@settings(deadline=None)
@given(st.integers(1, 4), st.data())
def test_interval_contains_the_estimate(blocks_per_drop: int, data: st.DataObject) -> None:
    errors = np.array(data.draw(st.lists(st.integers(0, blocks_per_drop), min_size=1, max_size=60)))
    low, high = ends(errors, blocks_per_drop)
    assert 0 <= low <= errors.sum() / (len(errors) * blocks_per_drop) <= high <= 1


@settings(deadline=None)
@given(st.integers(1, 4), st.data())
def test_every_prefix_is_what_the_prefix_alone_gives(blocks_per_drop: int, data: st.DataObject) -> None:
    errors = np.array(data.draw(st.lists(st.integers(0, blocks_per_drop), min_size=1, max_size=40)))
    low, high = grouped_wilson_prefixes(errors, blocks_per_drop)
    for drops in range(1, len(errors) + 1):
        alone = ends(errors[:drops], blocks_per_drop)
        assert (low[drops - 1], high[drops - 1]) == alone


def test_without_errors_drops_are_counted_not_blocks() -> None:
    assert ends(np.zeros(50, int), 4) == pytest.approx(score_interval(0, 50), abs=1e-12)
    assert ends(np.full(50, 4), 4) == pytest.approx(score_interval(50, 50), abs=1e-12)
    assert grouped_wilson(np.zeros(0, int), 4) == Estimate.missing("there is no trial")


def test_drops_that_fail_as_one_count_once() -> None:
    together = np.repeat([0, 0, 0, 4], 100)
    low, high = ends(together, 4)
    assert (low, high) == pytest.approx(score_interval(100, 400), rel=0.02)


@pytest.mark.parametrize("blocks_per_drop", [1, 2, 4])
@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.95])
@pytest.mark.parametrize(("bler", "drops"), [(0.5, 40), (0.1, 200), (0.02, 500)])
def test_coverage(blocks_per_drop: int, correlation: float, bler: float, drops: int) -> None:
    """95 % nominal. A beta-binomial drop: the failure probability differs from drop to drop."""
    rng = np.random.default_rng([blocks_per_drop, round(100 * correlation), drops])
    trials = 600
    if correlation == 0:
        p_drop = np.full((trials, drops), bler)
    else:
        strength = 1 / correlation - 1
        p_drop = rng.beta(bler * strength, (1 - bler) * strength, (trials, drops))
    errors = rng.binomial(blocks_per_drop, p_drop)
    intervals = np.array([ends(e, blocks_per_drop) for e in errors])
    covered = np.mean((intervals[:, 0] <= bler) & (bler <= intervals[:, 1]))
    # Three standard errors of 600 trials at 0.95 are 0.027; Wilson's own coverage swings by 0.01 around it.
    assert covered > 0.95 - 0.027 - 0.012


def test_ignoring_drops_would_not_cover() -> None:
    """The test above can fail: counting blocks as independent covers far too seldom."""
    rng = np.random.default_rng(1)
    errors = 4 * rng.binomial(1, 0.1, (600, 200))
    intervals = np.array([score_interval(int(e.sum()), 800) for e in errors])
    assert np.mean((intervals[:, 0] <= 0.1) & (intervals[:, 1] >= 0.1)) < 0.8


def test_paired_difference_covers_by_enumeration() -> None:
    """All outcomes of 60 paired trials, weighed by their probability: the upper end misses the truth in 2.5 %, by no
    more than the score interval is known to."""
    n = 60
    ends = {
        (more, less): paired_share_difference(more, less, n).high
        for more in range(n + 1)
        for less in range(n + 1 - more)
    }
    for first_only, second_only in ((0.05, 0.0), (0.1, 0.05), (0.2, 0.15), (0.35, 0.3), (0.02, 0.02)):
        law = multinomial(n, [first_only, second_only, 1 - first_only - second_only])
        missed = sum(
            law.pmf([more, less, n - more - less])
            for (more, less), end in ends.items()
            if end < first_only - second_only - 1e-12
        )
        assert missed < 0.035, (first_only, second_only, missed)


def test_paired_difference_at_its_ends() -> None:
    none = paired_share_difference(0, 0, 192)
    # 0 = z of the score test at d: n d = z sqrt(n d (1 - d))
    z = two_sided_z(0.95)
    assert (none.value, none.high) == (0.0, pytest.approx(z * z / (192 + z * z)))
    assert none.low == -none.high
    every = paired_share_difference(10, 0, 10)
    assert (every.value, every.high) == (1.0, 1.0)
    mirrored = paired_share_difference(3, 11, 40), paired_share_difference(11, 3, 40)
    assert mirrored[0].low == -mirrored[1].high
    with pytest.raises(ValueError, match="no more than there are trials"):
        paired_share_difference(3, 2, 4)


def test_the_exact_interval_holds_at_least_as_often_as_it_says():
    counts = np.arange(41)
    found = [exact_share(int(count), 40) for count in counts]
    for count, share in zip(counts, found, strict=True):
        own = binomtest(int(count), 40).proportion_ci()
        assert (share.low, share.high) == pytest.approx((own.low, own.high), abs=1e-9)
    for truth in (0.01, 0.1, 0.37, 0.5):
        inside = [share.low <= truth <= share.high for share in found]
        assert binom.pmf(counts, 40, truth)[inside].sum() >= 0.95
    with pytest.raises(ValueError, match="got 3 of 2"):
        exact_share(3, 2)


def test_the_sign_test_is_significant_as_often_as_it_says():
    assert sign_test(8, 2) == pytest.approx(binomtest(8, 10, 0.5, "greater").pvalue)
    assert sign_test(0, 0) == 1
    # of 60 differing pairs that go either way equally often; the count is discrete, so less often than 5 %
    more = np.arange(61)
    share = binom.pmf(more, 60, 0.5)[[sign_test(int(m), int(60 - m)) <= 0.05 for m in more]].sum()
    assert 0.025 < share <= 0.05
