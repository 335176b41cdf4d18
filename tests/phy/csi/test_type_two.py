"""Type I and type II reports against computations that share nothing with the code under test."""

from __future__ import annotations

from itertools import product
from math import ceil, comb, log2

import numpy as np
import pytest

from ran.errors import InputError
from ran.phy.csi import type_one, type_two
from ran.phy.csi.codebooks import codebook, precoder_of, report_on, through_reports
from ran.phy.csi.cqi_report import CqiFields
from ran.phy.csi.type_one import TypeOne
from ran.phy.csi.type_two import TypeTwo
from ran.phy.type_one_codebook import type_one_matrix


def wanted(rank: int, subbands: int, ports: int, seed: int) -> np.ndarray:
    """Orthonormal vectors that change slowly over subbands."""
    rng = np.random.default_rng(seed)
    paths = rng.standard_normal((rank, 5, ports, 2)) @ np.array([1, 1j]) * np.exp(-0.5 * np.arange(5))[:, None]
    turn = np.exp(2j * np.pi * np.outer(np.arange(subbands), 0.03 * np.arange(5)))
    q, _ = np.linalg.qr(np.einsum("tk,lkp->tpl", turn, paths))
    return q.transpose(2, 0, 1)


def text(value: int, count: int) -> str:
    width = ceil(log2(count)) if count > 1 else 0
    assert 0 <= value < count
    return format(value, "b").zfill(width) if width else ""


def independent_bits(pmi, config: TypeTwo, n1: int, n2: int) -> tuple[str, str]:
    """Both parts by TS 38.214 §5.2.2.2.3 and TS 38.212 tables 6.3.2.1.2-1, -3, -5, with loops over indices."""
    beams, k2_full = config.num_beams, {2: 4, 3: 4, 4: 6}[config.num_beams]
    rank = len(pmi.strongest)
    counts = [sum(int(k) > 0 for k in pmi.k1[layer]) for layer in range(rank)]
    part1 = text(rank - 1, config.max_rank)
    for layer in range(config.max_rank):
        part1 += text(counts[layer] - 1 if layer < rank else 0, 2 * beams)
    part2 = text(pmi.q[0], 4) + text(pmi.q[1], 4 if n2 > 1 else 1)
    part2 += text(sum(comb(n1 * n2 - 1 - n, beams - i) for i, n in enumerate(pmi.beams)), comb(n1 * n2, beams))
    for layer in range(rank):
        part2 += text(pmi.strongest[layer], 2 * beams)
        part2 += "".join(format(int(pmi.k1[layer][i]), "03b") for i in range(2 * beams) if i != pmi.strongest[layer])
    for s in [*range(0, config.num_subbands, 2), *range(1, config.num_subbands, 2)]:
        amplitudes = ""
        for layer in range(rank):
            others = [i for i in range(2 * beams) if i != pmi.strongest[layer] and pmi.k1[layer][i] > 0]
            if config.subband_amplitude:
                ordered = sorted(others, key=lambda i, layer=layer: (-int(pmi.k1[layer][i]), i))
                strong = set(ordered[: min(counts[layer], k2_full) - 1])
            else:
                strong = set(others)
            for i in others:
                part2 += text(int(pmi.c[layer][s][i]), config.num_phases if i in strong else 4)
            if config.subband_amplitude:
                amplitudes += "".join(str(int(pmi.k2[layer][s][i])) for i in others if i in strong)
        part2 += amplitudes
    return part1, part2


def independent_precoder(pmi, config: TypeTwo, n1: int, n2: int) -> np.ndarray:
    """Table 5.2.2.2.3-5 element by element."""
    o1, o2 = 4, 4 if n2 > 1 else 1
    beams, k2_full = config.num_beams, {2: 4, 3: 4, 4: 6}[config.num_beams]
    p1 = [0, *(np.sqrt(1 / 2**x) for x in (6, 5, 4, 3, 2, 1)), 1]
    out = np.zeros((len(pmi.strongest), config.num_subbands, 2 * n1 * n2), complex)
    for layer, s in product(range(len(pmi.strongest)), range(config.num_subbands)):
        ordered = sorted(
            (i for i in range(2 * beams) if pmi.k1[layer][i] > 0 and i != pmi.strongest[layer]),
            key=lambda i, layer=layer: (-int(pmi.k1[layer][i]), i),
        )
        count = len(ordered) + 1
        fine = ordered if not config.subband_amplitude else ordered[: min(count, k2_full) - 1]
        for i in range(2 * beams):
            n = pmi.beams[i % beams]
            m1, m2 = o1 * (n % n1) + pmi.q[0], o2 * (n // n1) + pmi.q[1]
            phases = config.num_phases if i in fine or i == pmi.strongest[layer] else 4
            p2 = [np.sqrt(0.5), 1][int(pmi.k2[layer][s][i])]
            value = p1[int(pmi.k1[layer][i])] * p2 * np.exp(2j * np.pi * int(pmi.c[layer][s][i]) / phases)
            for a, b in product(range(n1), range(n2)):
                turn = np.exp(2j * np.pi * (m1 * a / (o1 * n1) + m2 * b / (o2 * n2)))
                out[layer, s, (i // beams) * n1 * n2 + a * n2 + b] += value * turn
        out[layer, s] /= np.linalg.norm(out[layer, s])
    return out


@pytest.mark.parametrize(
    ("num_beams", "num_phases", "amplitude", "rank", "layout"),
    [
        (beams, phases, amplitude, rank, layout)
        for beams, phases, amplitude, rank in product((2, 3, 4), (4, 8), (False, True), (1, 2))
        for layout in ((4, 2), (8, 1))
    ],
)
def test_every_field_of_type_two_equals_an_independent_computation(num_beams, num_phases, amplitude, rank, layout):
    config = TypeTwo(*layout, 7, num_beams, num_phases, amplitude, 2)
    v = wanted(rank, 7, config.num_ports, 10 * num_beams + rank)
    pmi = type_two.search(v, config)
    report = type_two.write_report(pmi)
    part1, part2 = independent_bits(pmi, config, *layout)
    assert "".join(map(str, report.bits1)) == part1
    assert "".join(map(str, report.bits2)) == part2
    read, _ = type_two.read_report(config, report.bits1, report.bits2)
    np.testing.assert_allclose(read.precoder(), independent_precoder(pmi, config, *layout), atol=1e-12)


@pytest.mark.parametrize("amplitude", [False, True])
def test_more_beams_describe_better(amplitude):
    """Not so amplitudes of subbands: they cost the weaker coefficients a bit of their phases."""
    found = []
    for beams in (2, 3, 4):
        config = TypeTwo(4, 2, 7, beams, 8, amplitude)
        values = []
        for seed in range(20):
            v = wanted(1, 7, 16, seed)
            values.append((np.abs((type_two.search(v, config).precoder().conj() * v).sum(-1)) ** 2).mean())
        found.append(np.mean(values))
    assert found == sorted(found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_beams": 5}, "numberOfBeams: got 5; allowed: 2, 3, 4 with 16 ports"),
        ({"n1": 2, "n2": 1, "num_beams": 3}, "numberOfBeams: got 3; allowed: 2 with 4 ports"),
        ({"num_phases": 16}, "phaseAlphabetSize: got 16; allowed: 4, 8"),
        ({"max_rank": 3}, "max_rank: got 3; allowed: 1, 2"),
        ({"num_subbands": 20}, "num_subbands: got 20"),
    ],
)
def test_configurations_that_the_clause_does_not_have(change, message):
    with pytest.raises(InputError, match=message):
        TypeTwo(**{"n1": 4, "n2": 2, "num_subbands": 7, **change})


def test_type_two_reports_that_contradict_themselves_are_refused():
    config = TypeTwo(4, 2, 7)
    report = type_two.write_report(type_two.search(wanted(1, 7, 16, 3), config))
    with pytest.raises(InputError, match=r"non-zero amplitudes; allowed: 1, as part 1 says .*5\.2\.2\.2\.3"):
        type_two.read_report(config, [0, 0, 0], report.bits2)
    with pytest.raises(InputError, match="number of bits"):
        type_two.read_report(config, report.bits1, [*report.bits2, 1])
    with pytest.raises(InputError, match=r"i_1,2: got 127; allowed: 0 to 69"):
        type_two.read_report(config, report.bits1, [*report.bits2[:4], *[1] * 7, *report.bits2[11:]])


@pytest.mark.parametrize(("rank", "mode"), [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (4, 1), (5, 1), (8, 1)])
def test_type_one_finds_its_own_matrices_and_counts_its_bits(rank, mode):
    """4 x 2 ports: i_1,1 of 16 beams, i_1,2 of 8 (half of each in mode 2), widths of TS 38.212 table 6.3.1.1.2-1."""
    config = TypeOne(4, 2, 5, mode, 8)
    pmi = type_one.TypeOnePmi(config, rank, (3, 2, 0), (1, 0, 1, 1, 0))
    expected = np.stack([type_one_matrix(4, 2, rank, 3, 2, 0, i2, mode).T for i2 in pmi.i2], 1) * np.sqrt(rank)
    np.testing.assert_allclose(pmi.precoder(), expected)
    found = type_one.search(pmi.precoder(), config)
    np.testing.assert_allclose(np.abs((found.precoder().conj() * expected).sum(-1)), 1, atol=1e-6)
    report = type_one.write_report(pmi, CqiFields.of(5, [5, 6, 7, 4, 5]))
    read, cqi = type_one.read_report(config, report.bits1, report.bits2, 5)
    assert read == pmi
    assert cqi.subbands == (0, 1, 2, 3, 0)
    i1 = {(1, 1): 4 + 3, (1, 2): 3 + 2, (2, 1): 4 + 3 + 2, (2, 2): 3 + 2 + 2, (3, 1): 3 + 3 + 2, (4, 1): 3 + 3 + 2}
    i2 = {(1, 1): 2, (1, 2): 4, (2, 2): 3}
    if rank <= 4:
        assert len(report.bits2) == i1[rank, mode] + 5 * i2.get((rank, mode), 1)


def test_subbands_of_type_one_come_even_first():
    config = TypeOne(4, 2, 5)
    report = type_one.write_report(type_one.TypeOnePmi(config, 1, (0, 0, 0), (0, 1, 2, 3, 0)))
    assert "".join(map(str, report.bits2)) == "0000000" + "00" + "10" + "00" + "01" + "11"


def test_codebooks_by_name():
    v = np.stack([wanted(1, 7, 16, seed) for seed in range(3)]).astype(np.complex64)
    for name in ("type-one", "type-two", "enhanced-type-two"):
        options = {"combination": 3} if name == "enhanced-type-two" else {}
        config = codebook(name, 4, 2, 7, 1, **options)
        decoded, bits = through_reports(v, config)
        report = report_on(v[1], config)
        assert bits[1] == report.num_pmi_bits
        np.testing.assert_allclose(decoded[1], precoder_of(config, report.bits1, report.bits2), atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(decoded, axis=-1), 1, rtol=1e-5)
    with pytest.raises(InputError, match="did you mean 'type-two'"):
        codebook("type-to", 4, 2, 7, 1)
