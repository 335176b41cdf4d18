"""Enhanced type II: every field of the report against a computation that shares nothing with the code under test.

`independent_report` walks through TS 38.214 §5.2.2.2.5 and §5.2.3 with loops and strings; it takes the PMI in the raw
form
of indices and knows nothing of the classes but their attribute names.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import ceil, comb, log2

import numpy as np
import pytest

from ran.errors import InputError
from ran.phy.csi.cqi_report import CqiFields
from ran.phy.csi.enhanced_report import read_report, write_report
from ran.phy.csi.enhanced_search import search
from ran.phy.csi.enhanced_type_two import COEFFICIENT_AMPLITUDES, POLARISATION_AMPLITUDES, EnhancedTypeTwo

#: paramCombination: L, p for ranks 1 and 2, p for 3 and 4, beta; written down a second time from table 5.2.2.2.5-1.
TABLE = {
    1: (2, "1/4", "1/8", "1/4"),
    2: (2, "1/4", "1/8", "1/2"),
    3: (4, "1/4", "1/8", "1/4"),
    4: (4, "1/4", "1/8", "1/2"),
    5: (4, "1/4", "1/4", "3/4"),
    6: (4, "1/2", "1/4", "1/2"),
    7: (6, "1/4", None, "1/2"),
    8: (6, "1/4", None, "3/4"),
}
#: (combination, rank, N3, R)
CASES = [
    (c, rank, n3, r)
    for c, rank, (n3, r) in product(range(1, 9), (1, 2, 3, 4), ((13, 1), (18, 1), (26, 2), (36, 2)))
    if not (c >= 7 and (rank > 2 or r == 2))
]


def wanted(rank: int, n3: int, seed: int, ports: int = 32) -> np.ndarray:
    """Unit vectors of a few random paths, as real ones have; layers orthogonal."""
    rng = np.random.default_rng(seed)
    paths = rng.standard_normal((8, ports, 2)) @ np.array([1, 1j])
    delays = np.sort(rng.exponential(1.5, 8))
    power = np.exp(-delays)
    t = np.arange(n3)
    h = sum(
        np.sqrt(power[k])
        * paths[k]
        * np.exp(2j * np.pi * t[:, None] * delays[k] / n3)
        * (rng.standard_normal((rank, 1, 2)) @ [1, 1j])[..., None]
        for k in range(8)
    )  # [rank, n3, ports]
    q, _ = np.linalg.qr(h.transpose(1, 2, 0))
    return q.transpose(2, 0, 1)


def binary(value: int, count: int) -> str:
    """`value` in ceil(log2 count) bits."""
    width = ceil(log2(count)) if count > 1 else 0
    assert 0 <= value < count
    return format(value, "b").zfill(width) if width else ""


def independent_report(pmi, n1: int, n2: int, n3: int, r: int, combination: int, max_rank: int) -> tuple[str, str]:
    """Both parts as strings of bits, without CQI."""
    num_beams, p12, p34, beta = TABLE[combination]
    rank = len(pmi.taps)
    p = Fraction(p12 if rank <= 2 else p34)
    taps = -(-p * n3 // r)
    assert taps == len(pmi.taps[0])
    k0 = ceil(Fraction(beta) * 2 * num_beams * ceil(Fraction(p12) * n3 / r))
    k_nz = sum(int(x) for x in np.asarray(pmi.bitmap).ravel())
    part1 = binary(rank - 1, max_rank) + binary(k_nz - 1, k0 if max_rank == 1 else 2 * k0)

    group0 = binary(pmi.q[0], 4) + binary(pmi.q[1], 4 if n2 > 1 else 1)
    i12 = sum(comb(n1 * n2 - 1 - n, num_beams - i) for i, n in enumerate(sorted(pmi.beams)))
    group0 += binary(i12, comb(n1 * n2, num_beams))
    for layer in range(rank):
        star = pmi.strongest[layer]
        if rank == 1:
            group0 += binary(sum(int(pmi.bitmap[0][0][i]) for i in range(star + 1)) - 1, k_nz)
        else:
            group0 += binary(star, 2 * num_beams)

    group1 = ""
    if n3 > 19:
        group1 += binary(pmi.start if pmi.start == 0 else pmi.start + 2 * taps, 2 * taps)
    for layer in range(rank):
        n = list(pmi.taps[layer])
        if n3 <= 19:
            i16 = sum(comb(n3 - 1 - n[f], taps - f) for f in range(1, taps))
            group1 += binary(i16, comb(n3 - 1, taps - 1))
        else:
            inside = sorted(x if x <= pmi.start + 2 * taps - 1 else x - (n3 - 2 * taps) for x in n)
            i16 = sum(comb(2 * taps - 1 - inside[f], taps - f) for f in range(1, taps))
            group1 += binary(i16, comb(2 * taps - 1, taps - 1))

    elements = []
    for layer in range(rank):
        for i in range(2 * num_beams):
            for f in range(taps):
                n = pmi.taps[layer][f]
                pi = min(2 * n, 2 * (n3 - n) - 1)
                elements.append((2 * num_beams * rank * pi + rank * i + layer + 1, layer, i, f))
    elements.sort()
    bits = [str(int(pmi.bitmap[layer][f][i])) for _, layer, i, f in elements]
    reported = [
        (format(int(pmi.k2[layer][f][i]), "03b"), format(int(pmi.c[layer][f][i]), "04b"))
        for _, layer, i, f in elements
        if pmi.bitmap[layer][f][i] and (i, f) != (pmi.strongest[layer], 0)
    ]
    high = max(0, ceil(k_nz / 2) - rank)
    low = k_nz // 2
    group1 += "".join(bits[: len(bits) - low])
    for layer in range(rank):
        group1 += format(int(pmi.k1[layer][1 - pmi.strongest[layer] // num_beams]), "04b")
    group1 += "".join(a for a, _ in reported[:high]) + "".join(b for _, b in reported[:high])
    group2 = "".join(bits[len(bits) - low :])
    group2 += "".join(a for a, _ in reported[high:]) + "".join(b for _, b in reported[high:])
    assert len(reported[high:]) == min(k_nz - rank, low)
    return part1, group0 + group1 + group2


def independent_precoder(pmi, n1: int, n2: int, n3: int, combination: int) -> np.ndarray:
    """W by table 5.2.2.2.5-5, element by element, [layers, n3, ports]; columns of norm 1."""
    num_beams = TABLE[combination][0]
    o1, o2 = 4, 4 if n2 > 1 else 1
    out = []
    for layer, t in product(range(len(pmi.taps)), range(n3)):
        total = np.zeros(2 * n1 * n2, complex)
        for f, i in product(range(len(pmi.taps[0])), range(2 * num_beams)):
            if not pmi.bitmap[layer][f][i]:
                continue
            n = pmi.beams[i % num_beams]
            m1, m2 = o1 * (n % n1) + pmi.q[0], o2 * (n // n1) + pmi.q[1]
            beam = [
                np.exp(2j * np.pi * (m1 * a / (o1 * n1) + m2 * b / (o2 * n2))) for a in range(n1) for b in range(n2)
            ]
            p1 = 2.0 ** (-(15 - int(pmi.k1[layer][i // num_beams])) / 4)
            p2 = 2.0 ** (-(7 - int(pmi.k2[layer][f][i])) / 2)
            y = np.exp(2j * np.pi * t * pmi.taps[layer][f] / n3)
            value = p1 * p2 * y * np.exp(2j * np.pi * int(pmi.c[layer][f][i]) / 16)
            half = n1 * n2 * (i // num_beams)
            total[half : half + n1 * n2] += value * np.array(beam)
        out.append(total / np.linalg.norm(total))
    return np.array(out).reshape(len(pmi.taps), n3, -1)


@pytest.mark.parametrize(("combination", "rank", "n3", "r"), CASES)
def test_every_field_equals_an_independent_computation(combination, rank, n3, r):
    max_rank = 1 if rank == 1 else 2 if combination >= 7 else 4
    config = EnhancedTypeTwo(8, 2, n3, combination, r, max_rank)
    v = wanted(rank, n3, 100 * combination + rank)
    pmi = search(v, config)
    report = write_report(pmi)
    part1, part2 = independent_report(pmi, 8, 2, n3, r, combination, max_rank)
    assert "".join(map(str, report.bits1)) == part1
    assert "".join(map(str, report.bits2)) == part2
    assert report.num_bits == len(part1) + len(part2)
    read, cqi = read_report(config, report.bits1, report.bits2)
    assert cqi is None
    np.testing.assert_allclose(read.precoder(), pmi.precoder(), atol=1e-12)
    assert read.taps == pmi.taps
    assert read.start == pmi.start


@pytest.mark.parametrize("combination", TABLE)
@pytest.mark.parametrize("layout", [(8, 2), (4, 4), (16, 1)])
def test_the_precoder_is_that_of_the_table(combination, layout):
    config = EnhancedTypeTwo(*layout, 13, combination, 1, 2)
    pmi = search(wanted(2, 13, combination), config)
    np.testing.assert_allclose(pmi.precoder(), independent_precoder(pmi, *layout, 13, combination), atol=1e-12)


@pytest.mark.parametrize("combination", [1, 6, 8])
@pytest.mark.parametrize("layout", [(8, 3), (6, 4), (16, 2), (8, 4), (16, 4), (8, 8)])
def test_reports_of_48_to_128_ports(combination, layout):
    """eTypeII-r19: the same fields over more beams."""
    config = EnhancedTypeTwo(*layout, 13, combination, 1, 2)
    pmi = search(wanted(2, 13, combination, 2 * layout[0] * layout[1]), config)
    report = write_report(pmi)
    part1, part2 = independent_report(pmi, *layout, 13, 1, combination, 2)
    assert "".join(map(str, report.bits1)) == part1
    assert "".join(map(str, report.bits2)) == part2
    expected = independent_precoder(pmi, *layout, 13, combination)
    read, _ = read_report(config, report.bits1, report.bits2)
    np.testing.assert_allclose(read.precoder(), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"combination": 7, "per_subband": 2}, r"paramCombination-r16: got 7; allowed: 1 to 6 with 64 ports and R = 2"),
        ({"combination": 8, "max_rank": 3}, "max_rank: got 3; allowed: 1 to 2"),
        ({"n1": 4, "n2": 8}, r"n1, n2: got \(4, 8\).*5\.2\.2\.2\.1a-1"),
    ],
)
def test_what_rel_19_does_not_allow_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        EnhancedTypeTwo(**{"n1": 8, "n2": 4, "num_units": 13, "combination": 6, **changes})


def test_amplitudes_are_those_of_the_tables():
    """Some values of tables 5.2.2.2.5-2 and -3 as these write them."""
    named = {
        1: 1 / np.sqrt(128),
        2: (1 / 8192) ** 0.25,
        3: 1 / 8,
        7: 1 / 4,
        9: 1 / np.sqrt(8),
        11: 1 / 2,
        14: 0.5**0.25,
        15: 1,
    }
    for k, value in named.items():
        assert POLARISATION_AMPLITUDES[k] == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(
        COEFFICIENT_AMPLITUDES,
        [1 / (8 * np.sqrt(2)), 1 / 8, 1 / (4 * np.sqrt(2)), 1 / 4, 1 / (2 * np.sqrt(2)), 1 / 2, 1 / np.sqrt(2), 1],
    )


def test_a_precoder_of_the_codebook_is_found_again():
    """A precoder that the codebook has comes back, whatever phase every unit has: the search undoes these."""
    config = EnhancedTypeTwo(4, 2, 13, 5, 1, 1)
    first = search(wanted(1, 13, 7, 16), config).precoder()
    turned = first * np.exp(2j * np.pi * np.random.default_rng(1).random((1, 13, 1)))
    again = search(turned, config).precoder()
    similarity = np.abs((first.conj() * again).sum(-1)) ** 2
    assert similarity.min() > 0.999


def test_cqi_is_carried_beside():
    config = EnhancedTypeTwo(4, 2, 13, 4, 1, 2)
    pmi = search(wanted(2, 13, 3, 16), config)
    cqi = CqiFields.of(9, range(3, 16))
    report = write_report(pmi, cqi)
    assert report.num_bits - report.num_pmi_bits == 1 + 4 + 2 * 13
    assert read_report(config, report.bits1, report.bits2, 13)[1] == cqi


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"combination": 9}, r"paramCombination-r16: got 9; allowed: 1 to 8"),
        ({"n1": 5}, r"n1, n2: got \(5, 2\)"),
        ({"n1": 2, "n2": 1, "combination": 3}, "1 to 2 with 4 ports"),
        ({"n1": 4, "combination": 7}, "1 to 6 with 16 ports and R = 1"),
        ({"combination": 7, "per_subband": 2}, "1 to 6 with 32 ports and R = 2"),
        ({"combination": 8, "max_rank": 3}, "max_rank: got 3; allowed: 1 to 2"),
        ({"max_rank": 5}, "max_rank: got 5; allowed: 1 to 4"),
        ({"num_units": 20}, "num_units: got 20; allowed: 1 to 19"),
        ({"per_subband": 3}, "numberOfPMI-SubbandsPerCQI-Subband: got 3; allowed: 1, 2"),
    ],
)
def test_what_the_clause_does_not_allow_is_refused(change, message):
    base = {"n1": 8, "n2": 2, "num_units": 13, "combination": 1}
    with pytest.raises(InputError, match=message):
        EnhancedTypeTwo(**{**base, **change})


def test_reports_that_say_nothing_defined_are_refused():
    config = EnhancedTypeTwo(8, 2, 13, 2, 1, 1)
    report = write_report(search(wanted(1, 13, 5), config))
    with pytest.raises(InputError, match=r"CSI part 2: got \d+ bits, which end within"):
        read_report(config, report.bits1, report.bits2[:-1])
    with pytest.raises(InputError, match=r"CSI part 2: number of bits: got .*5\.2\.2\.2\.5"):
        read_report(config, report.bits1, np.append(report.bits2, 0))
    with pytest.raises(InputError, match="CSI part 1"):
        read_report(config, report.bits1[:-1], report.bits2)

    def changed(name: str, value: int) -> np.ndarray:
        at = 0
        bits = report.bits2.copy()
        for field in report.part2:
            if field.name == name:
                bits[at : at + field.width] = [int(b) for b in format(value, f"0{field.width}b")]
                return bits
            at += field.width
        raise KeyError(name)

    # 120 beam pairs in 7 bits; 0 is reserved for k^(1)
    with pytest.raises(InputError, match=r"i_1,2: got 125; allowed: 0 to 119 .*5\.2\.2\.2\.5"):
        read_report(config, report.bits1, changed("i_1,2", 125))
    with pytest.raises(InputError, match=r"i_2,3,1: got 0; allowed: 1 to 15"):
        read_report(config, report.bits1, changed("i_2,3,1", 0))
    with pytest.raises(InputError, match=r"i_1,6,1: got 255; allowed: 0 to 219"):
        read_report(config, report.bits1, changed("i_1,6,1", 255))
    first = next(f for f in report.part2 if f.name.startswith("i_1,7") and f.value == 0)
    with pytest.raises(InputError, match=r"ones of i_1,7: got \d+; allowed: \d+, the K_NZ of part 1"):
        read_report(config, report.bits1, changed(first.name, 1))


def test_too_many_coefficients_are_refused():
    config = EnhancedTypeTwo(8, 2, 13, 1, 1, 1)
    pmi = search(wanted(1, 13, 5), config)
    with pytest.raises(InputError, match=r"non-zero coefficients: got \[16\] by layer; allowed: 4 per layer"):
        replace(pmi, bitmap=np.ones_like(pmi.bitmap))


def test_more_bits_say_more():
    """SGCS rises with the payload along the combinations of the same number of beams and taps, and with the taps."""
    found = {}
    for combination in TABLE:
        config = EnhancedTypeTwo(8, 2, 13, combination)
        values, bits = [], []
        for seed in range(20):
            v = wanted(1, 13, seed)
            pmi = search(v, config)
            bits.append(write_report(pmi).num_pmi_bits)
            values.append((np.abs((pmi.precoder().conj() * v).sum(-1)) ** 2).mean())
        found[combination] = (np.mean(bits), np.mean(values))
    for fewer, more in ((1, 2), (1, 3), (2, 4), (3, 4), (4, 5), (4, 6), (7, 8)):
        assert found[fewer][0] < found[more][0]
        assert found[fewer][1] < found[more][1]
