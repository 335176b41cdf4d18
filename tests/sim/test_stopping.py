"""Where a point stops depends on the drops before, and on nothing that comes later."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ran.sim.experiment import Stopping
from ran.sim.stopping import drops_expected, drops_used
from ran.stats import grouped_wilson

rules = st.builds(
    Stopping,
    min_block_errors=st.none() | st.integers(1, 30),
    relative_interval_width=st.none() | st.floats(0.2, 2),
    max_slots=st.integers(1, 120),
)


@settings(deadline=None)
@given(rules, st.integers(1, 3), st.data())
def test_later_drops_do_not_matter(rule: Stopping, blocks_per_drop: int, data: st.DataObject) -> None:
    errors = np.array(data.draw(st.lists(st.integers(0, blocks_per_drop), max_size=150)), int)
    used = drops_used(rule, errors, blocks_per_drop)
    if used is None:
        assert len(errors) < rule.max_slots
        return
    for known in range(len(errors) + 1):
        expected = used if known >= used else None
        assert drops_used(rule, errors[:known], blocks_per_drop) == expected


def test_stops_with_the_drop_of_the_last_error_needed() -> None:
    errors = np.array([0, 2, 0, 1, 0, 2, 1])
    assert drops_used(Stopping(min_block_errors=3), errors, 2) == 4
    assert drops_used(Stopping(min_block_errors=4), errors, 2) == 6
    assert drops_used(Stopping(min_block_errors=7), errors, 2) is None
    assert drops_used(Stopping(min_block_errors=7, max_slots=7), errors, 2) == 7
    assert drops_used(Stopping(min_block_errors=1, max_slots=1), errors, 2) == 1


def test_stops_as_soon_as_the_interval_is_narrow_enough() -> None:
    errors = np.random.default_rng(3).integers(0, 2, 2000)
    rule = Stopping(min_block_errors=None, relative_interval_width=0.2)
    used = drops_used(rule, errors, 1)

    def width(drops: int) -> float:
        found = grouped_wilson(errors[:drops], 1)
        return (found.high - found.low) / errors[:drops].mean()

    assert used is not None
    assert width(used) <= 0.2 < width(used - 1)


def test_a_rule_that_is_off_never_stops() -> None:
    rule = Stopping(min_block_errors=None, max_slots=1000)
    assert drops_used(rule, np.ones(999, int), 1) is None
    assert drops_used(rule, np.ones(1001, int), 1) == 1000


@pytest.mark.parametrize("bler", [0.02, 0.2, 0.9])
def test_the_guess_is_about_right(bler: float) -> None:
    errors = (np.random.default_rng(0).random(20000) < bler).astype(int)
    for rule in (Stopping(min_block_errors=200), Stopping(min_block_errors=None, relative_interval_width=0.2)):
        used = drops_used(rule, errors, 1)
        assert used is not None
        assert drops_expected(rule, errors[: used // 2], 1) == pytest.approx(used, rel=0.5)
