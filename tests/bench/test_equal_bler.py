"""Decoding at equal block error rate: both sides reach it, with as few iterations as they need."""

from __future__ import annotations

import pytest

from ran.bench.equal_bler import ITERATIONS, EqualBlerWork, fewest
from ran.bench.row import Effort

TINY = Effort(rounds=1, sample_s=0.0, parity=1.0)


def test_the_fewest_iterations_that_are_enough() -> None:
    for needed in ITERATIONS:
        assert fewest(lambda number, needed=needed: 0.1 if number >= needed else 0.11) == needed
    assert fewest(lambda number: 0.2) is None


@pytest.mark.parametrize(("esn0_db", "blocks"), [(6.0, 8), pytest.param(0.4, 60, marks=pytest.mark.slow)])
def test_both_sides_reach_the_same_error_rate(esn0_db: float, blocks: int) -> None:
    """On the same blocks of base graph 2: at most one in ten lost, and more with one step fewer."""
    work = EqualBlerWork(2, 72, 2160, esn0_db, blocks)
    assert work.num_iterations in ITERATIONS
    assert work._bler(work.num_iterations) <= 0.1
    work.num_iterations = needed = int(work.side.settings.split(", ")[2].split()[0])
    place = ITERATIONS.index(needed)
    assert place == 0 or work._bler(ITERATIONS[place - 1]) > 0.1
    work.num_iterations = needed
    match = work.against_sionna(TINY)
    for side in match.candidates:
        parity = match.parity(side)
        ours, theirs = (
            int(part.split()[0]) for part in (parity.text.split("ours ")[1], parity.text.split("Sionna ")[1])
        )
        assert max(ours, theirs) <= blocks / 10
        assert f"{needed} iterations" in parity.text
    assert {side.work for side in match.batches(match.candidates[0])} == {4 * 720 / 1e6, 16 * 720 / 1e6}


def test_an_snr_that_is_too_low_is_refused() -> None:
    with pytest.raises(ValueError, match="where our decoder loses at most 10%"):
        EqualBlerWork(2, 72, 2160, -4.0, 20)
