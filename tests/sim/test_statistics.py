"""The interval of a BLER: exactly Wilson's for one block per drop, and covering the truth for any correlation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ran.sim.statistics import Z_95, bler_interval, prefix_intervals


def wilson(errors: int, blocks: int) -> tuple[float, float]:
    p, z = errors / blocks, Z_95
    centre = (p + z * z / (2 * blocks)) / (1 + z * z / blocks)
    half = z / (1 + z * z / blocks) * np.sqrt(p * (1 - p) / blocks + z * z / (4 * blocks**2))
    return centre - half, centre + half


@given(st.lists(st.integers(0, 1), min_size=1, max_size=200))
def test_one_block_per_drop_is_wilson(errors: list[int]) -> None:
    assert bler_interval(np.array(errors), 1) == pytest.approx(wilson(sum(errors), len(errors)), abs=1e-12)


@given(st.integers(1, 4), st.data())
def test_interval_contains_the_estimate(blocks_per_drop: int, data: st.DataObject) -> None:
    errors = np.array(data.draw(st.lists(st.integers(0, blocks_per_drop), min_size=1, max_size=60)))
    low, high = bler_interval(errors, blocks_per_drop)
    assert 0 <= low <= errors.sum() / (len(errors) * blocks_per_drop) <= high <= 1


@given(st.integers(1, 4), st.data())
def test_every_prefix_is_what_the_prefix_alone_gives(blocks_per_drop: int, data: st.DataObject) -> None:
    errors = np.array(data.draw(st.lists(st.integers(0, blocks_per_drop), min_size=1, max_size=40)))
    intervals = prefix_intervals(errors, blocks_per_drop)
    for drops in range(1, len(errors) + 1):
        alone = bler_interval(errors[:drops], blocks_per_drop)
        assert (intervals.low[drops - 1], intervals.high[drops - 1]) == alone


def test_without_errors_drops_are_counted_not_blocks() -> None:
    assert bler_interval(np.zeros(50, int), 4) == pytest.approx(wilson(0, 50), abs=1e-12)
    assert bler_interval(np.full(50, 4), 4) == pytest.approx(wilson(50, 50), abs=1e-12)
    assert bler_interval(np.zeros(0, int), 4) == (0.0, 1.0)


def test_drops_that_fail_as_one_count_once() -> None:
    together = np.repeat([0, 0, 0, 4], 100)
    low, high = bler_interval(together, 4)
    assert (low, high) == pytest.approx(wilson(100, 400), rel=0.02)


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
    intervals = np.array([bler_interval(e, blocks_per_drop) for e in errors])
    covered = np.mean((intervals[:, 0] <= bler) & (bler <= intervals[:, 1]))
    # Three standard errors of 600 trials at 0.95 are 0.027; Wilson's own coverage swings by 0.01 around it.
    assert covered > 0.95 - 0.027 - 0.012


def test_ignoring_drops_would_not_cover() -> None:
    """The test above can fail: counting blocks as independent covers far too seldom."""
    rng = np.random.default_rng(1)
    errors = 4 * rng.binomial(1, 0.1, (600, 200))
    intervals = np.array([wilson(int(e.sum()), 800) for e in errors])
    assert np.mean((intervals[:, 0] <= 0.1) & (intervals[:, 1] >= 0.1)) < 0.8
