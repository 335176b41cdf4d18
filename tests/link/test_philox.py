"""Numbers of many of numpy's generators at once against numpy's generators."""

import numpy as np
import pytest

from channels.request import normals
from ran.link import streams
from ran.link.batch import random_blocks
from ran.link.philox import first_normals, raw_words
from ran.link.streams import DropGenerators, compiled_numbers_are_numpys, stream

DROPS = range(3, 8)


def numpys(purpose="channel"):
    return [stream(5, "scenario", drop, purpose) for drop in DROPS]


def ours(purpose="channel"):
    return DropGenerators(5, "scenario", DROPS, purpose)


def test_the_numbers_are_those_of_numpy():
    assert compiled_numbers_are_numpys()


# 512 numbers are drawn between two refills; 400,000 a drop hold every way through the ziggurat some hundred times
@pytest.mark.parametrize("count", [1, 7, 508, 512, 513, 1025, 400_000])
def test_normals_bit_for_bit(count):
    expected = np.stack([generator.standard_normal(count, np.float32) for generator in numpys()])
    found = ours().normals(count)
    np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))
    if count > 100_000:
        # beyond the last layer of the ziggurat
        assert np.count_nonzero(np.abs(found) > 3.6541528853610088) > 100


@pytest.mark.parametrize("count", [1, 4, 5, 1027])
def test_words_bit_for_bit(count):
    expected = np.stack([generator.bit_generator.random_raw(count) for generator in numpys()])
    np.testing.assert_array_equal(ours().raw(count), expected)


def test_a_generator_goes_on_behind_what_was_drawn_without_it():
    expected, found = numpys(), ours()
    for generator in expected:
        generator.standard_normal(33, np.float32)
    found.normals(33)
    assert found[1] is found[1]
    for theirs, mine in zip(expected, found, strict=True):
        np.testing.assert_array_equal(mine.random(3), theirs.random(3))
    # and a second draw of all behind that
    np.testing.assert_array_equal(
        found.normals(9), np.stack([generator.standard_normal(9, np.float32) for generator in expected])
    )


def test_generators_that_were_used_before_go_on():
    expected, found = numpys(), ours()
    assert found[-1].random() == expected[-1].random()
    rows = np.stack([generator.standard_normal(9, np.float32) for generator in expected])
    np.testing.assert_array_equal(found.normals(9), rows)
    assert [g.random() for g in found[1:3]] == [g.random() for g in expected[1:3]]
    with pytest.raises(IndexError):
        found[len(DROPS)]


def test_channels_and_blocks_draw_the_same():
    np.testing.assert_array_equal(normals(ours(), 50), normals(numpys(), 50))
    for sizes in ([24, 80], [7]):
        np.testing.assert_array_equal(random_blocks(ours("bits"), sizes), random_blocks(numpys("bits"), sizes))


def test_other_numbers_of_numpy_would_be_taken_from_numpy(monkeypatch):
    monkeypatch.setattr(streams, "compiled_numbers_are_numpys", lambda: False)
    expected = np.stack([generator.standard_normal(9, np.float32) for generator in numpys()])
    np.testing.assert_array_equal(ours().normals(9), expected)


def test_kernels_take_every_key():
    keys = np.array([[0, 0], [2**64 - 1, 2**63]], np.uint64)
    words, numbers = np.empty((2, 8), np.uint64), np.empty((2, 5), np.float32)
    raw_words(keys, words)
    first_normals(keys, numbers)
    for key, row, of_key in zip(keys, words, numbers, strict=True):
        np.testing.assert_array_equal(row, np.random.Philox(key=key).random_raw(8))
        generator = np.random.Generator(np.random.Philox(key=key))
        np.testing.assert_array_equal(of_key, generator.standard_normal(5, np.float32))
