"""Outcomes of many chunks are joined once, not once per chunk."""

import numpy as np

from ran.sim.outcomes import TaskOutcomes
from ran.sim.store import Segment
from ran.stats import counts
from ran.stats.counts import Counts


def segments(count, drops=4):
    return [Segment(i * drops, Counts.of(np.arange(drops) + i, np.ones(drops))) for i in range(count)]


def test_loading_copies_a_number_of_values_in_proportion_to_the_chunks(monkeypatch):
    copied = 0
    concatenate = np.concatenate

    def counting(parts, *axis):
        nonlocal copied
        whole = concatenate(parts, *axis)
        copied += whole.size
        return whole

    monkeypatch.setattr(counts.np, "concatenate", counting)
    for count in (100, 1000):
        copied = 0
        known = TaskOutcomes(segments(count))
        assert known.prefix == 4 * count
        assert (
            known.counts.block_errors.tolist() == concatenate([s.counts.block_errors for s in segments(count)]).tolist()
        )
        assert known.counts.bit_errors.sum() == 4 * count
        assert copied == 2 * 4 * count


def test_a_chunk_behind_a_gap_counts_when_the_gap_is_closed():
    first, second, third = segments(3)
    known = TaskOutcomes([third])
    assert known.prefix == 0
    assert known.counts.block_errors.tolist() == []
    known.add(first)
    assert known.prefix == 4
    assert [list(r) for r in known.ranges_beyond] == [[8, 9, 10, 11]]
    known.add(second)
    assert known.counts.block_errors.tolist() == [0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4, 5]
