"""Counts of drops: what stores hold and what a link counts are the same array, and consecutive drops add up."""

from __future__ import annotations

import numpy as np
import pytest

from ran.link.outcomes import counts_of
from ran.stats.counts import Counts


def drawn(drops: int, blocks: int, transmissions: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Blocks in error after every transmission: once one has arrived, it has arrived."""
    rng = np.random.default_rng(seed)
    failures = np.logical_and.accumulate(rng.random((drops, transmissions, blocks)) < 0.7, axis=1)
    return failures, rng.integers(0, 99, drops)


def equal(one: Counts, other: Counts) -> bool:
    return (
        np.array_equal(one.errors, other.errors)
        and one.counters.keys() == other.counters.keys()
        and all(np.array_equal(one.counters[name], other.counters[name]) for name in one.counters)
        and np.array_equal(one.received, other.received)
    )


@pytest.mark.parametrize(("blocks", "transmissions", "two"), [(1, 1, False), (4, 3, False), (2, 1, True), (2, 4, True)])
def test_axes_are_drops_codewords_and_transmissions(blocks: int, transmissions: int, two: bool) -> None:
    failures, bits = drawn(7, blocks, transmissions)
    counts = counts_of(failures, bits, two)
    assert counts.errors.shape == (7, 1 + two, transmissions)
    assert counts.errors.dtype == np.int64
    np.testing.assert_array_equal(counts.errors.sum(1), failures.sum(-1))
    np.testing.assert_array_equal(counts.block_errors, failures[:, -1].sum(-1))
    np.testing.assert_array_equal(counts.earlier_errors, failures[:, :-1].sum(-1))
    np.testing.assert_array_equal(counts.second_errors, failures[:, :, -1] if two else np.zeros((7, 0)))
    # the sums over codewords that stores hold say the same
    again = Counts.of(counts.block_errors, counts.bit_errors, counts.earlier_errors, counts.second_errors)
    assert equal(again, counts)


def test_consecutive_drops_add_up() -> None:
    failures, bits = drawn(9, 2, 2)
    received = np.random.default_rng(2).random((9, 2, 5), np.float32)
    whole = Counts(failures.sum(-1)[:, None], {"bit_errors": bits, "iterations": bits + 1}, received)
    cuts = [(0, 2), (2, 3), (3, 9)]
    parts = [
        Counts(whole.errors[a:b], {name: values[a:b] for name, values in whole.counters.items()}, whole.received[a:b])
        for a, b in cuts
    ]
    assert equal(parts[0] + parts[1] + parts[2], whole)
    assert equal(Counts.joined(parts), whole)
    assert equal(whole.first(2), parts[0])
    assert whole.first(None).drops == 9
    total = sum(part.counters["iterations"].sum() for part in parts)
    assert whole.counters["iterations"].sum() == total


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(ValueError, match=r"errors: got shape \(3,\)"):
        Counts(np.zeros(3))
    with pytest.raises(ValueError, match="bit_errors: got 2 drops; allowed: 3"):
        Counts(np.zeros((3, 1, 1)), {"bit_errors": np.zeros(2)})
    with pytest.raises(ValueError, match=r"second_errors: got shape \(3, 1\); allowed: \(3, 2\)"):
        Counts.of([0, 1, 2], [0, 0, 0], [[1], [1], [2]], [[0], [1], [1]])
