"""The K-best search of many resource elements at once against the search of one after the other, and its networks."""

import itertools

import numpy as np
import pytest
import torch
from mimo_cases import case

from receivers.classical import selection_network, tree_lanes
from receivers.classical.selection_network import LANES, merging_pairs, pruning_pairs, sorting_pairs
from receivers.classical.tree_search import KBest


def one_by_one(num_paths):
    detector = KBest(num_paths)
    detector._is_for_lanes = lambda path_bits: False
    return detector


@pytest.mark.parametrize("num_paths", [1, 4, 16])
@pytest.mark.parametrize(("num_layers", "bits", "num_rx"), [(1, 4, 2), (2, 4, 2), (2, 8, 4), (3, 2, 3), (4, 4, 4)])
def test_searches_agree(num_layers, bits, num_rx, num_paths):
    # 70 resource elements: a block and a part of one
    y, h, noise_var, _ = case(num_layers, bits, n=70, num_rx=num_rx, noise=0.02)
    found, expected = (made(num_paths)(y, h, noise_var, bits) for made in (KBest, one_by_one))
    scale = expected.abs().mean()
    other = (found - expected).abs() / (expected.abs() + scale) > 1e-3
    # where two paths are as good but for rounding, the one or the other is kept
    assert float(other.float().mean()) < 2e-3


def test_layers_that_hide_one_another():
    y, h, noise_var, _ = case(2, 4, n=70, num_rx=2, noise=1e-3)
    h = 1e-3 * h + h[:, :, :1]
    y = h.sum(2) + 0.03 * torch.randn(y.shape, dtype=torch.complex64)
    found, expected = (made(16)(y, h, noise_var, 4) for made in (KBest, one_by_one))
    assert torch.isfinite(found).all()
    scale = expected.abs().mean()
    assert float(((found - expected).abs() / (expected.abs() + scale)).median()) < 1e-3
    sure = expected.abs() > scale
    assert float((found[sure] > 0).eq(expected[sure] > 0).float().mean()) > 0.99


def test_a_number_that_is_none_stays_with_its_resource_element():
    y, h, noise_var, _ = case(2, 4, n=70)
    clean = KBest(16)(y, h, noise_var, 4)
    y[1, 0, 66] = float("nan")
    found = KBest(16)(y, h, noise_var, 4)
    assert not torch.isfinite(found[1, :, 66]).any()
    found[1, :, 66] = clean[1, :, 66]
    assert torch.equal(found, clean)


@pytest.mark.parametrize("size", [2, 4, 8, 16])
def test_networks(size):
    """By zeros and ones: a network that orders these orders everything (D. E. Knuth, TAOCP 3, 5.3.4)."""

    def applied(pairs, rows):
        rows = rows.copy()
        for a, b in pairs:
            rows[a], rows[b] = np.minimum(rows[a], rows[b]), np.maximum(rows[a], rows[b])
        return rows

    if size <= 8:
        every = np.array(list(itertools.product((0, 1), repeat=size))).T
        np.testing.assert_array_equal(applied(sorting_pairs(size), every), np.sort(every, axis=0))
    halves = np.array([[0] * (size - ones) + [1] * ones for ones in range(size + 1)])
    both = np.array([np.concatenate(pair) for pair in itertools.product(halves, halves)]).T
    np.testing.assert_array_equal(applied(merging_pairs(size), both), np.sort(both, axis=0))
    np.testing.assert_array_equal(applied(pruning_pairs(size), both)[:size], np.sort(both, axis=0)[:size])


@pytest.mark.parametrize(
    ("count", "size", "keep"), [(1, 4, 1), (1, 4, 2), (4, 4, 8), (8, 2, 8), (16, 16, 16), (2, 16, 16)]
)
def test_the_least_are_selected(count, size, keep):
    rows = np.random.default_rng(1).integers(0, 2**62, (count * size, LANES))
    found = rows.copy()
    tree_lanes._select(count, size, keep, found.reshape(-1))
    np.testing.assert_array_equal(np.sort(found[:keep], axis=0), np.sort(rows, axis=0)[:keep])


def test_compiled_rows_are_as_long_as_promised():
    assert selection_network.MAX_LENGTH == 16
    rows = np.random.default_rng(2).integers(0, 2**62, (16, LANES))
    found = rows.copy()
    selection_network.sort(16, found[:8].reshape(-1), found[8:].reshape(-1))
    np.testing.assert_array_equal(found, np.sort(rows, axis=0))
