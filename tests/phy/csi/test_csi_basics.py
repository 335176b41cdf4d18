"""Subbands, port layouts, combinatorial numbers and fields of CSI reports."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest

from ran.errors import InputError
from ran.phy.csi.codebooks import codebook
from ran.phy.csi.combination import rank_of, set_of
from ran.phy.csi.cqi_report import CqiFields
from ran.phy.csi.port_layout import LAYOUTS, layouts_of, orthogonal_beams
from ran.phy.csi.report import Field, FieldReader, bits_of, width_of
from ran.phy.csi.subbands import pmi_units, subband_sizes, subbands


def test_layouts_are_those_of_the_table():
    counts = {ports: len(layouts) for ports, layouts in LAYOUTS.items()}
    assert counts == {4: 1, 8: 2, 12: 2, 16: 2, 24: 3, 32: 3}
    assert layouts_of(32) == ((4, 4), (8, 2), (16, 1))
    with pytest.raises(InputError, match=r"num_ports: got 20; allowed: 4, 8, .*5\.2\.2\.2\.1-2"):
        layouts_of(20)


def test_layouts_of_several_resources_are_those_of_rel_19():
    """As n1-n2-r19 of TS 38.331 names them: eight-three to eight-eight."""
    named = [(8, 3), (6, 4), (16, 2), (8, 4), (16, 4), (8, 8)]
    assert [pair for ports in (48, 64, 128) for pair in layouts_of(ports)] == named
    for n1, n2 in named:
        beams = orthogonal_beams(n1, n2)
        assert beams.shape == (4, 4, n1 * n2, n1 * n2)
        gram = beams[3, 1] @ beams[3, 1].conj().T
        np.testing.assert_allclose(gram, n1 * n2 * np.eye(n1 * n2), atol=1e-9)


@pytest.mark.parametrize(("name", "codebook_of"), [("type-one", "type I"), ("type-two", "type II of Rel-15")])
def test_codebooks_of_one_resource_refuse_more_ports(name, codebook_of):
    with pytest.raises(InputError, match=rf"n1, n2: got \(8, 4\); allowed: up to 32 ports with {codebook_of}"):
        codebook(name, 8, 4, 13, 1)


@pytest.mark.parametrize(
    ("num_prb", "sizes"), [(24, (4, 8)), (72, (4, 8)), (73, (8, 16)), (144, (8, 16)), (145, (16, 32))]
)
def test_subband_sizes(num_prb, sizes):
    assert subband_sizes(num_prb) == sizes


@pytest.mark.parametrize("num_prb", [23, 276])
def test_bandwidths_without_subbands_are_refused(num_prb):
    with pytest.raises(InputError, match=r"5\.2\.1\.4-2"):
        subband_sizes(num_prb)


def test_subbands_start_at_multiples_of_their_size():
    assert [len(b) for b in subbands(52, 4)] == [4] * 13
    # start 6: PRBs 6 and 7 complete the subband of 4 to 7
    assert [len(b) for b in subbands(51, 4, 6)] == [2, *[4] * 12, 1]
    with pytest.raises(InputError, match="subband size: got 16; allowed: 4, 8 for 52 PRBs"):
        subbands(52, 16)


def test_pmi_units_of_two_per_subband():
    """A cut subband of up to half the size has one unit (TS 38.214 §5.2.2.2.5)."""
    assert [len(u) for u in pmi_units(52, 4, 0, 2)] == [2] * 26
    # the first subband has 2 of 4 PRBs (start mod 4 = 2): one unit; the last 1 of 4: one unit
    assert [len(u) for u in pmi_units(51, 4, 6, 2)] == [2, *[2] * 24, 1]
    # the first has 3 (start mod 4 = 1): two units; the last 3: two units
    assert [len(u) for u in pmi_units(50, 4, 5, 2)] == [1, 2, *[2] * 22, 2, 1]
    assert sum(len(u) for u in pmi_units(50, 4, 5, 2)) == 50


@pytest.mark.parametrize(("size", "count"), [(8, 2), (16, 4), (12, 3), (5, 5)])
def test_combinatorial_numbers_are_a_bijection(size, count):
    sets = list(combinations(range(size), count))
    numbers = [rank_of(s, size) for s in sets]
    assert sorted(numbers) == list(range(comb(size, count)))
    assert all(set_of(n, count, size) == s for n, s in zip(numbers, sets, strict=True))


def test_combinatorial_number_by_the_algorithm_of_the_standard():
    """i_1,2 to beams as TS 38.214 §5.2.2.2.3 spells it out, for (N1, N2) = (4, 2), L = 4."""
    size, count = 8, 4
    for number in range(comb(size, count)):
        s, found = 0, []
        for i in range(count):
            e, x = max(
                (comb(x, count - i), x) for x in range(count - 1 - i, size - i) if number - s >= comb(x, count - i)
            )
            s += e
            found.append(size - 1 - x)
        assert set_of(number, count, size) == tuple(found)


@pytest.mark.parametrize("layout", [(2, 2), (4, 3), (8, 2), (16, 1)])
def test_beams_of_a_group_are_orthogonal(layout):
    beams = orthogonal_beams(*layout)
    n = layout[0] * layout[1]
    gram = beams.conj() @ beams.swapaxes(-1, -2)
    np.testing.assert_allclose(gram, np.broadcast_to(n * np.eye(n), gram.shape), atol=1e-9)


def test_a_beam_is_the_vector_of_the_standard():
    """v_{l,m} of §5.2.2.2.3: u_m inside, phase steps of the horizontal dimension outside."""
    n1, n2, o1, o2 = 4, 2, 4, 4
    q1, q2, b1, b2 = 3, 1, 2, 1
    m1, m2 = o1 * b1 + q1, o2 * b2 + q2
    u = np.exp(2j * np.pi * m2 * np.arange(n2) / (o2 * n2))
    expected = np.concatenate([np.exp(2j * np.pi * m1 * a / (o1 * n1)) * u for a in range(n1)])
    np.testing.assert_allclose(orthogonal_beams(n1, n2)[q1, q2, n1 * b2 + b1], expected, atol=1e-12)


def test_fields_are_written_most_significant_bit_first():
    fields = [Field("a", 5, 4), Field("b", 0, 0), Field("c", 1, 1)]
    assert bits_of(fields).tolist() == [0, 1, 0, 1, 1]
    reader = FieldReader(bits_of(fields), "part", "clause")
    assert [reader.take("a", 4), reader.take("b", 0), reader.take("c", 1)] == [5, 0, 1]
    reader.end()
    with pytest.raises(InputError, match=r"a: got 16; allowed: 0 to 15, 4 bits"):
        Field("a", 16, 4)
    assert [width_of(n) for n in (1, 2, 3, 4, 5, 1820)] == [0, 1, 2, 2, 3, 11]


def test_reading_beyond_the_end_is_refused_with_the_clause():
    with pytest.raises(InputError, match=r"part: got 2 bits, which end within x; .*clause"):
        FieldReader([0, 1], "part", "clause").take("x", 3)
    with pytest.raises(InputError, match="bits, 0 or 1"):
        FieldReader([0, 2], "part", "clause")


def test_differential_cqi():
    """TS 38.214 table 5.2.2.1-1: 0, 1, >= 2, <= -1."""
    cqi = CqiFields.of(7, [7, 8, 9, 12, 6, 1])
    assert cqi.subbands == (0, 1, 2, 2, 3, 3)
    assert cqi.offsets == (0, 1, 2, 2, -1, -1)
    with pytest.raises(InputError, match="CQI: got 16"):
        CqiFields(16)
