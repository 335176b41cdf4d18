"""Codebook for predicted PMI (Rel-18): every field against a computation that shares nothing with the code under test.

`independent_report` walks through TS 38.214 §5.2.2.2.10 and §5.2.3 with loops and strings.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import ceil, comb, log2

import numpy as np
import pytest

from ran.errors import InputError
from ran.phy.csi.codebooks import codebook, through_reports
from ran.phy.csi.cqi_report import CqiFields
from ran.phy.csi.enhanced_report import write_report as write_enhanced
from ran.phy.csi.enhanced_type_two import EnhancedPmi, EnhancedTypeTwo
from ran.phy.csi.predicted_report import read_report, write_report
from ran.phy.csi.predicted_search import search
from ran.phy.csi.predicted_type_two import PredictedTypeTwo

#: paramCombination: L, p for ranks 1 and 2, p for 3 and 4, beta; written down a second time from table 5.2.2.2.10-1.
TABLE = {
    1: (2, "1/8", "1/16", "1/4"),
    2: (2, "1/4", "1/8", "1/2"),
    3: (4, "1/4", "1/8", "1/4"),
    4: (4, "1/4", "1/4", "1/4"),
    5: (4, "1/4", "1/4", "1/2"),
    6: (4, "1/4", "1/4", "3/4"),
    7: (4, "1/2", "1/4", "1/2"),
    8: (6, "1/4", None, "1/2"),
    9: (6, "1/4", None, "3/4"),
}
#: (combination, rank, N4, N3, R); the slow ones change nothing but the numbers of beams and coefficients.
CASES = [
    pytest.param(c, rank, n4, n3, r, marks=[pytest.mark.slow] if (c + rank + n4) % 3 else [])
    for c, rank, (n4, n3, r) in product(TABLE, (1, 2, 3, 4), ((1, 13, 1), (2, 13, 1), (4, 18, 1), (8, 26, 2)))
    if not (c >= 8 and (rank > 2 or r == 2))
]


def wanted(rank: int, n4: int, n3: int, seed: int, ports: int = 32) -> np.ndarray:
    """Unit vectors of a few random paths with Doppler shifts, [rank, n4, n3, ports]; layers orthogonal."""
    rng = np.random.default_rng(seed)
    h = np.zeros((rank, n4, n3, ports), complex)
    for _ in range(6):
        port = rng.standard_normal((ports, 2)) @ [1, 1j]
        of_layer = rng.standard_normal((rank, 2)) @ [1, 1j]
        delay, shift = rng.exponential(1.5), rng.uniform(-0.5, 0.5)
        over_units = np.exp(-delay / 2 + 2j * np.pi * np.arange(n3) * delay / n3)
        over_time = np.exp(2j * np.pi * np.arange(n4) * shift / 4)
        h += np.einsum("l,n,u,p->lnup", of_layer, over_time, over_units, port)
    q, _ = np.linalg.qr(h.transpose(1, 2, 3, 0))
    return q.transpose(3, 0, 1, 2)


def binary(value: int, count: int) -> str:
    """`value` in ceil(log2 count) bits."""
    width = ceil(log2(count)) if count > 1 else 0
    assert 0 <= value < count
    return format(value, "b").zfill(width) if width else ""


def independent_report(
    pmi, combination: int, n4: int, n3: int, r: int, max_rank: int, half: int = 16
) -> tuple[str, str]:
    """Both parts as strings of bits, without CQI, of 2 `half` ports in two dimensions."""
    num_beams, p12, p34, beta = TABLE[combination]
    rank, shifts = len(pmi.taps), 1 if n4 == 1 else 2
    taps = ceil(Fraction(p12 if rank <= 2 else p34) * n3 / r)
    assert taps == len(pmi.taps[0])
    k0 = ceil(Fraction(beta) * 2 * num_beams * ceil(Fraction(p12) * n3 / r) * shifts)
    k_nz = int(np.sum(pmi.bitmap))
    part1 = binary(rank - 1, max_rank) + binary(k_nz - 1, k0 if max_rank == 1 else 2 * k0)
    group0 = binary(pmi.q[0], 4) + binary(pmi.q[1], 4)
    sets = sum(comb(half - 1 - n, num_beams - i) for i, n in enumerate(sorted(pmi.beams)))
    group0 += binary(sets, comb(half, num_beams))
    for layer in range(rank):
        tau, i = pmi.strongest[layer]
        place = 2 * num_beams * tau + i
        if rank == 1:
            before = [(t, x) for t in range(shifts) for x in range(2 * num_beams) if 2 * num_beams * t + x <= place]
            group0 += binary(sum(int(pmi.bitmap[0][t][0][x]) for t, x in before) - 1, k_nz)
        else:
            group0 += binary(place, 2 * num_beams * shifts)
    group1 = ""
    if n3 > 19:
        group1 += binary(pmi.start if pmi.start == 0 else pmi.start + 2 * taps, 2 * taps)
    for layer in range(rank):
        n = list(pmi.taps[layer])
        if n3 > 19:
            n = sorted(x if x <= pmi.start + 2 * taps - 1 else x - (n3 - 2 * taps) for x in n)
        size = 2 * taps if n3 > 19 else n3
        group1 += binary(sum(comb(size - 1 - n[f], taps - f) for f in range(1, taps)), comb(size - 1, taps - 1))
    elements = []
    for layer, tau, f, i in product(range(rank), range(shifts), range(taps), range(2 * num_beams)):
        n = pmi.taps[layer][f]
        delay = f if n4 > 1 else min(2 * n, 2 * (n3 - n) - 1)
        number = 2 * num_beams * rank * taps * tau + 2 * num_beams * rank * delay + rank * i + layer + 1
        elements.append((number, layer, tau, f, i))
    elements.sort()
    assert len({number for number, *_ in elements}) == len(elements)
    bits = [str(int(pmi.bitmap[layer][tau][f][i])) for _, layer, tau, f, i in elements]
    reported = [
        (format(int(pmi.k2[layer][tau][f][i]), "03b"), format(int(pmi.c[layer][tau][f][i]), "04b"))
        for _, layer, tau, f, i in elements
        if pmi.bitmap[layer][tau][f][i] and not (f == 0 and (tau, i) == tuple(pmi.strongest[layer]))
    ]
    high, low = max(0, ceil(k_nz / 2) - rank), k_nz // 2
    group1 += "".join(bits[: len(bits) - low])
    for layer in range(rank):
        group1 += format(int(pmi.k1[layer][1 - pmi.strongest[layer][1] // num_beams]), "04b")
    group1 += "".join(a for a, _ in reported[:high]) + "".join(b for _, b in reported[:high])
    if n4 > 1:
        group1 += "".join(binary(pmi.shifts[layer][1] - 1, n4 - 1) for layer in range(rank))
    group2 = "".join(bits[len(bits) - low :])
    group2 += "".join(a for a, _ in reported[high:]) + "".join(b for _, b in reported[high:])
    return part1, group0 + group1 + group2


@pytest.mark.parametrize("layout", [(8, 3), (8, 4), (16, 4)])
def test_reports_of_48_to_128_ports(layout):
    """typeII-Doppler-r19: the same fields over more beams."""
    half = layout[0] * layout[1]
    config = PredictedTypeTwo(*layout, 13, 7, 1, 2, num_intervals=4)
    report = write_report(pmi := search(wanted(2, 4, 13, 1, 2 * half), config))
    part1, part2 = independent_report(pmi, 7, 4, 13, 1, 2, half)
    assert "".join(map(str, report.bits1)) == part1
    assert "".join(map(str, report.bits2)) == part2
    read, _ = read_report(config, report.bits1, report.bits2)
    np.testing.assert_allclose(read.precoder(), pmi.precoder(), atol=1e-12)


def independent_precoder(pmi, combination: int, n4: int, n3: int) -> np.ndarray:
    """W by table 5.2.2.2.10-2, element by element, [layers, n4, n3, 32]; columns of norm 1."""
    num_beams = TABLE[combination][0]
    out = np.zeros((len(pmi.taps), n4, n3, 32), complex)
    for (layer, interval, t), (tau, f, i) in product(
        np.ndindex(out.shape[:3]), np.ndindex(*np.asarray(pmi.bitmap).shape[1:])
    ):
        if not pmi.bitmap[layer][tau][f][i]:
            continue
        n = pmi.beams[i % num_beams]
        m1, m2 = 4 * (n % 8) + pmi.q[0], 4 * (n // 8) + pmi.q[1]
        beam = [np.exp(2j * np.pi * (m1 * a / 32 + m2 * b / 8)) for a in range(8) for b in range(2)]
        value = 2.0 ** (-(15 - int(pmi.k1[layer][i // num_beams])) / 4 - (7 - int(pmi.k2[layer][tau][f][i])) / 2)
        value = value * np.exp(2j * np.pi * (t * pmi.taps[layer][f] / n3 + int(pmi.c[layer][tau][f][i]) / 16))
        value = value * np.exp(2j * np.pi * interval * pmi.shifts[layer][tau] / n4)
        half = 16 * (i // num_beams)
        out[layer, interval, t, half : half + 16] += value * np.array(beam)
    return out / np.linalg.norm(out, axis=-1, keepdims=True)


@pytest.mark.parametrize(("combination", "rank", "n4", "n3", "r"), CASES)
def test_every_field_equals_an_independent_computation(combination, rank, n4, n3, r):
    max_rank = 1 if rank == 1 else 2 if combination >= 8 else 4
    config = PredictedTypeTwo(8, 2, n3, combination, r, max_rank, n4)
    pmi = search(wanted(rank, n4, n3, 100 * combination + rank), config)
    report = write_report(pmi)
    part1, part2 = independent_report(pmi, combination, n4, n3, r, max_rank)
    assert "".join(map(str, report.bits1)) == part1
    assert "".join(map(str, report.bits2)) == part2
    read, cqi = read_report(config, report.bits1, report.bits2)
    assert cqi is None
    np.testing.assert_allclose(read.precoder(), pmi.precoder(), atol=1e-12)
    assert (read.taps, read.start, read.shifts, read.strongest) == (pmi.taps, pmi.start, pmi.shifts, pmi.strongest)


@pytest.mark.parametrize("combination", [1, 5, 7, 8])
def test_the_precoder_is_that_of_the_table(combination):
    config = PredictedTypeTwo(8, 2, 9, combination, 1, 2, 4)
    pmi = search(wanted(2, 4, 9, combination), config)
    np.testing.assert_allclose(pmi.precoder(), independent_precoder(pmi, combination, 4, 9), atol=1e-12)


@pytest.mark.parametrize("rank", [1, 2])
def test_the_strongest_coefficient_may_have_the_second_shift(rank):
    """A terminal is free to put it there; i_1,8 then says which shift."""
    config = PredictedTypeTwo(8, 2, 13, 5, 1, 2, 4)
    pmi = search(wanted(rank, 4, 13, 3), config)
    flipped = {name: getattr(pmi, name)[:, ::-1] for name in ("bitmap", "k2", "c")}
    pmi = replace(pmi, strongest=tuple((1 - tau, i) for tau, i in pmi.strongest), **flipped)
    report = write_report(pmi)
    assert ("".join(map(str, report.bits1)), "".join(map(str, report.bits2))) == independent_report(pmi, 5, 4, 13, 1, 2)
    read, _ = read_report(config, report.bits1, report.bits2)
    assert read.strongest == pmi.strongest
    np.testing.assert_allclose(read.precoder(), pmi.precoder(), atol=1e-12)


def test_one_interval_is_enhanced_type_two():
    """N4 = 1: the fields of enhanced type II where both tables have the same L, p and beta (3 here and there)."""
    pmi = search(wanted(2, 1, 13, 1), PredictedTypeTwo(8, 2, 13, 3, 1, 2, 1))
    same = EnhancedPmi(
        EnhancedTypeTwo(8, 2, 13, 3, 1, 2), pmi.q, pmi.beams, pmi.taps, pmi.start, pmi.bitmap[:, 0],
        tuple(i for _, i in pmi.strongest), pmi.k1, pmi.k2[:, 0], pmi.c[:, 0],
    )  # fmt: skip
    ours, theirs = write_report(pmi), write_enhanced(same)
    np.testing.assert_array_equal(ours.bits1, theirs.bits1)
    np.testing.assert_array_equal(ours.bits2, theirs.bits2)
    np.testing.assert_allclose(pmi.precoder()[:, 0], same.precoder(), atol=1e-12)


def test_a_precoder_of_the_codebook_is_found_again():
    """A precoder that the codebook has comes back, whatever phase every unit and interval has."""
    config = PredictedTypeTwo(8, 2, 13, 6, 1, 1, 4)
    first = search(wanted(1, 4, 13, 7), config).precoder()
    turned = first * np.exp(2j * np.pi * np.random.default_rng(1).random((1, 4, 13, 1)))
    again = search(turned, config).precoder()
    assert (np.abs((first.conj() * again).sum(-1)) ** 2).mean() > 0.99


def test_more_shifts_say_more_of_a_moving_channel():
    """Of precoders that turn over four intervals the Doppler codebook says more than one precoder for all of them."""
    gains = []
    for seed in range(12):
        v = wanted(1, 4, 13, seed)
        moving = search(v, PredictedTypeTwo(8, 2, 13, 6, 1, 1, 4)).precoder()
        still = search(v[:, :1], PredictedTypeTwo(8, 2, 13, 6, 1, 1, 1)).precoder()
        of = [(np.abs((v.conj() * w).sum(-1)) ** 2).mean() for w in (moving, np.broadcast_to(still, v.shape))]
        gains.append(of[0] - of[1])
    assert np.mean(gains) > 4 * np.std(gains) / np.sqrt(len(gains))


def test_the_codebooks_have_it_by_its_name():
    """Through the bits of reports and back, of several users."""
    v = np.stack([wanted(2, 4, 13, seed) for seed in (1, 2)]).astype(np.complex64)
    config = codebook("predicted-type-two", 8, 2, 13, 2, combination=6, num_intervals=4)
    decoded, bits = through_reports(v, config)
    for row, one in enumerate(v):
        pmi = search(one.astype(complex), config)
        np.testing.assert_allclose(decoded[row], pmi.precoder(), atol=1e-6)
        assert bits[row] == write_report(pmi).num_pmi_bits


def test_cqi_is_carried_beside():
    config = PredictedTypeTwo(8, 2, 13, 4, 1, 2, 8)
    cqi = CqiFields.of(9, range(3, 16))
    report = write_report(search(wanted(2, 8, 13, 3), config), cqi)
    assert report.num_bits - report.num_pmi_bits == 1 + 4 + 2 * 13
    assert read_report(config, report.bits1, report.bits2, 13)[1] == cqi


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"combination": 10}, r"paramCombination-Doppler-r18: got 10; allowed: 1 to 9 .*5\.2\.2\.2\.10"),
        ({"n1": 2, "n2": 1, "combination": 4}, "1 to 3 with 4 ports"),
        ({"n1": 4, "combination": 8}, "1 to 7 with 16 ports and R = 1"),
        ({"combination": 8, "per_subband": 2}, "1 to 7 with 32 ports and R = 2"),
        ({"combination": 9, "max_rank": 3}, "max_rank: got 3; allowed: 1 to 2"),
        ({"num_units": 20}, "num_units: got 20; allowed: 1 to 19"),
        ({"num_intervals": 3}, r"N4 \(vectorLengthDD-r18\): got 3; allowed: 1, 2, 4, 8"),
        ({"slots_per_interval": 4}, r"d \(unitDurationDD-r18\): got 4; allowed: 1, 2"),
    ],
)
def test_what_the_clause_does_not_allow_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        PredictedTypeTwo(**{"n1": 8, "n2": 2, "num_units": 13, "combination": 1, **change})


def test_reports_that_say_nothing_defined_are_refused():
    config = PredictedTypeTwo(8, 2, 13, 2, 1, 1, 4)
    report = write_report(search(wanted(1, 4, 13, 5), config))
    with pytest.raises(InputError, match=r"CSI part 2: got \d+ bits, which end within"):
        read_report(config, report.bits1, report.bits2[:-1])
    with pytest.raises(InputError, match=r"CSI part 2: number of bits: got .*5\.2\.2\.2\.10"):
        read_report(config, report.bits1, np.append(report.bits2, 0))

    def changed(name: str, value: int) -> np.ndarray:
        at, bits = 0, report.bits2.copy()
        for field in report.part2:
            if field.name == name:
                bits[at : at + field.width] = [int(b) for b in format(value, f"0{field.width}b")]
                return bits
            at += field.width
        raise KeyError(name)

    for name, value, message in (
        ("i_1,2", 125, "i_1,2: got 125; allowed: 0 to 119"),
        ("i_1,10,1", 3, "i_1,10,1: got 3; allowed: 0 to 2"),
        ("i_2,3,1", 0, "i_2,3,1: got 0; allowed: 1 to 15"),
    ):
        with pytest.raises(InputError, match=message):
            read_report(config, report.bits1, changed(name, value))
    first = next(f for f in report.part2 if f.name.startswith("i_1,7") and f.value == 0)
    with pytest.raises(InputError, match=r"ones of i_1,7: got \d+; allowed: \d+, the K_NZ of part 1"):
        read_report(config, report.bits1, changed(first.name, 1))
