"""The code tables and the encoder. Whole transport blocks are compared with Sionna in test_transport_block.py."""

import csv
from importlib.resources import files

import numpy as np
import pytest

from ran.errors import InputError
from ran.phy.ldpc import LIFTING_SIZES, LdpcCode, encode, select_lifting_size
from ran.phy.ldpc.base_graph import LIFTING_SIZE_SETS, base_graph_edges

CODES = [(base_graph, z) for base_graph in (1, 2) for z in LIFTING_SIZES]


def test_there_are_51_lifting_sizes_in_8_sets():
    assert len(LIFTING_SIZES) == len(set(LIFTING_SIZES)) == 51
    assert len(LIFTING_SIZE_SETS) == 8
    assert (LIFTING_SIZES[0], LIFTING_SIZES[-1]) == (2, 384)


@pytest.mark.parametrize("base_graph", [1, 2])
def test_table_equals_sionna(base_graph):
    """Sionna's file leaves the row empty where it repeats."""
    text = files("sionna.phy.fec.ldpc.codes").joinpath(f"5G_bg{base_graph}.csv").read_text().splitlines()
    row, theirs = -1, {}
    for line in csv.reader(text[2:], delimiter=";"):
        row = int(line[0]) if line[0] else row
        theirs[row, int(line[1])] = [int(value) for value in line[2:10]]
    for set_index, sizes in enumerate(LIFTING_SIZE_SETS):
        for z in sizes:
            edges = base_graph_edges(base_graph, z)
            ours = dict(zip(zip(edges.row.tolist(), edges.column.tolist(), strict=True), edges.shift, strict=True))
            assert ours == {place: values[set_index] % z for place, values in theirs.items()}


@pytest.mark.parametrize(("base_graph", "z"), CODES)
def test_code_words_satisfy_all_checks(base_graph, z):
    rng = np.random.default_rng(z)
    systematic = (22 if base_graph == 1 else 10) * z
    code = LdpcCode(base_graph, z, int(rng.integers(systematic // 2, systematic + 1)))
    bits = rng.integers(0, 2, (3, code.num_info_bits)).astype(np.uint8)
    coded = encode(bits, code)
    filler_start, filler_end = code.filler_range
    assert coded.shape == (3, code.num_mother_bits)
    assert np.array_equal(coded[:, :filler_start], bits[:, 2 * z :])
    assert not coded[:, filler_start:filler_end].any()
    columns = np.zeros((3, code.num_columns * z), np.uint8)
    columns[:, 2 * z :] = coded
    columns[:, : code.num_info_bits] = bits
    columns = columns.reshape(3, code.num_columns, z)
    checks = np.zeros((3, code.num_rows, z), np.uint8)
    for row, column, shift in zip(code.edges.row, code.edges.column, code.edges.shift, strict=True):
        checks[:, row] ^= np.roll(columns[:, column], -shift, axis=-1)
    assert not checks.any()


def test_batch_and_rows_do_not_change_the_bits():
    bits = np.random.default_rng(0).integers(0, 2, (19, 200)).astype(np.uint8)
    code = LdpcCode(2, 22, 200)
    coded = encode(bits, code)
    assert np.array_equal(encode(bits[4:5], code), coded[4:5])
    short = code.with_sent_columns(range(2, 18))
    assert short.rows == tuple(range(8))
    assert np.array_equal(encode(bits, short), coded[:, : short.num_coded_bits])
    assert encode(bits[:0], code).shape == (0, code.num_coded_bits)


def test_lifting_size_follows_the_number_of_information_columns():
    assert select_lifting_size(1, 8448, 8448) == 384
    assert select_lifting_size(2, 3840, 3840) == 384
    assert select_lifting_size(2, 192, 192) == 32  # 6 columns
    assert select_lifting_size(2, 193, 193) == 26  # 8 columns
    assert select_lifting_size(2, 561, 561) == 64  # 9 columns
    assert select_lifting_size(2, 641, 641) == 72  # 10 columns


def test_bad_input():
    with pytest.raises(InputError, match="lifting_size: got 17"):
        LdpcCode(1, 17, 100)
    with pytest.raises(InputError, match="base_graph: got 3"):
        LdpcCode(3, 2, 10)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="1 to 44"):
        LdpcCode(1, 2, 45)
    with pytest.raises(InputError, match="rows"):
        LdpcCode(1, 2, 44, rows=(0, 1, 2, 4))
    with pytest.raises(InputError, match=r"allowed: \[batch, 44\]"):
        encode(np.zeros((1, 43), np.uint8), LdpcCode(1, 2, 44))
    with pytest.raises(InputError, match="0 and 1"):
        encode(np.full((1, 44), 2, np.uint8), LdpcCode(1, 2, 44))
    with pytest.raises(InputError, match="up to 3840"):
        select_lifting_size(2, 3841, 3841)
