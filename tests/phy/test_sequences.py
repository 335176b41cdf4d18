import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ran.errors import InputError
from ran.phy.sequences import gold_sequence


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(1, 20_000))
def test_equals_sionna(c_init, length):
    from sionna.phy.nr.utils import generate_prng_seq

    assert np.array_equal(gold_sequence(c_init, length), np.asarray(generate_prng_seq(length, c_init)))


def test_equals_the_recursion_of_the_standard():
    c_init, length = 0x2BCDEF1, 3000
    x1, x2 = [1] + [0] * 30, [c_init >> i & 1 for i in range(31)]
    for n in range(1600 + length):
        x1.append(x1[n + 3] ^ x1[n])
        x2.append(x2[n + 3] ^ x2[n + 2] ^ x2[n + 1] ^ x2[n])
    expected = [a ^ b for a, b in zip(x1[1600:], x2[1600:], strict=True)][:length]
    assert gold_sequence(c_init, length).tolist() == expected


def test_length_does_not_change_the_start():
    long = gold_sequence(77, 1_000_000)
    assert long.dtype == np.uint8
    assert np.array_equal(long[:5000], gold_sequence(77, 5000))
    assert gold_sequence(77, 0).size == 0
    assert abs(long.mean() - 0.5) < 5 * 0.5 / 1000


def test_bad_input():
    with pytest.raises(InputError, match="c_init"):
        gold_sequence(2**31, 10)
    with pytest.raises(InputError, match="length"):
        gold_sequence(1, -1)
