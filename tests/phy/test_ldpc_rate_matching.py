import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ran.errors import InputError
from ran.phy.ldpc import LdpcCode, RateMatching


def positions_of_the_standard(code, num_output_bits, bits_per_symbol, rv, num_buffer_bits):
    """Index into the N coded bits of each output bit, word for word after TS 38.212 §5.4.2.1 and §5.4.2.2."""
    n, z = code.num_mother_bits, code.lifting_size
    n_cb = n if num_buffer_bits is None else num_buffer_bits
    start = {1: {0: 0, 1: 17, 2: 33, 3: 56}, 2: {0: 0, 1: 13, 2: 25, 3: 43}}[code.base_graph][rv]
    k0 = (start * n_cb) // ((66 if code.base_graph == 1 else 50) * z) * z
    filler_start, filler_end = code.filler_range
    selected, j = [], 0
    while len(selected) < num_output_bits:
        position = (k0 + j) % n_cb
        if not filler_start <= position < filler_end:
            selected.append(position)
        j += 1
    rows = num_output_bits // bits_per_symbol
    return np.array([selected[i * rows + j] for j in range(rows) for i in range(bits_per_symbol)])


@st.composite
def rate_matchings(draw):
    base_graph, z = draw(st.sampled_from([1, 2])), draw(st.sampled_from([2, 7, 15, 24, 52]))
    systematic = (22 if base_graph == 1 else 10) * z
    code = LdpcCode(base_graph, z, draw(st.integers(systematic // 2 + 1, systematic)))
    bits_per_symbol = draw(st.sampled_from([1, 2, 4, 6, 8]))
    num_output_bits = bits_per_symbol * draw(st.integers(1, 3 * code.num_mother_bits // bits_per_symbol))
    rv = draw(st.integers(0, 3))
    lowest = code.filler_range[1] + 1
    num_buffer_bits = draw(st.none() | st.integers(lowest, code.num_mother_bits))
    return code, num_output_bits, bits_per_symbol, rv, num_buffer_bits


@settings(max_examples=80, deadline=None)
@given(rate_matchings(), st.integers(0, 2**32 - 1))
def test_selects_what_the_standard_says_and_combine_is_its_adjoint(parameters, seed):
    code, num_output_bits, *_ = parameters
    matching = RateMatching(*parameters)
    positions = positions_of_the_standard(*parameters)
    rng = np.random.default_rng(seed)
    coded = rng.integers(0, 2, (2, code.num_coded_bits)).astype(np.uint8)
    assert np.array_equal(matching.select(coded), coded[:, positions])

    llr = rng.integers(-8, 9, (2, num_output_bits)).astype(np.float32)
    expected = np.zeros((2, code.num_coded_bits), np.float32)
    for row in range(2):
        np.add.at(expected[row], positions, llr[row])
    assert np.array_equal(matching.combine(llr), expected)
    earlier = rng.integers(-8, 9, expected.shape).astype(np.float32)
    assert np.array_equal(matching.combine(llr, out=earlier.copy()), expected + earlier)
    sent = {int(position) // code.lifting_size + 2 for position in positions}
    assert sent == set(matching.sent_columns.tolist())


def test_a_code_without_unsent_rows_selects_the_same():
    code = LdpcCode(1, 24, 500)
    matching = RateMatching(code, 720, 6)
    short = code.with_sent_columns(matching.sent_columns)
    assert len(short.rows) < 15
    coded = np.random.default_rng(0).integers(0, 2, (2, code.num_coded_bits)).astype(np.uint8)
    again = RateMatching(short, 720, 6)
    assert np.array_equal(again.select(coded[:, : short.num_coded_bits]), matching.select(coded))
    with pytest.raises(InputError, match="whose parity is sent"):
        RateMatching(short, 1000, 2)


def test_bad_input():
    code = LdpcCode(2, 24, 200)
    with pytest.raises(InputError, match="multiples of bits_per_symbol 4"):
        RateMatching(code, 402, 4)
    with pytest.raises(InputError, match="rv"):
        RateMatching(code, 400, 4, 4)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="bits_per_symbol"):
        RateMatching(code, 400, 5)
    with pytest.raises(InputError, match="num_buffer_bits"):
        RateMatching(code, 400, 4, 0, 100)
    with pytest.raises(InputError, match=r"shape of llr: got \(399,\)"):
        RateMatching(code, 400, 4).combine(np.zeros(399, np.float32))
