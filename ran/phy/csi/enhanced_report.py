"""The report of the enhanced type II codebook: its fields in their order, and the way back from bits.

Part 1: rank, wideband and subband CQI, K^NZ. Part 2: group 0 (i_1,1, i_1,2, i_1,8,l), group 1 (i_1,5, i_1,6,l, the more
important part of i_1,7,l, i_2,3,l, then of i_2,4,l and of i_2,5,l) and group 2 (the rest of i_1,7,l, i_2,4,l, i_2,5,l),
elements by falling priority Pri(l, i, f) = 2 L v pi(f) + v i + l. Sources: TS 38.212 tables 6.3.2.1.2-1A, -3 and -5A,
TS 38.214 §5.2.3 (Rel-16).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from ran.errors import InputError, bad_value
from ran.phy.csi.combination import rank_of, set_of
from ran.phy.csi.cqi_report import CqiFields, cqi_fields, take_cqi
from ran.phy.csi.enhanced_type_two import CLAUSE, EnhancedPmi, EnhancedTypeTwo
from ran.phy.csi.port_layout import oversampling
from ran.phy.csi.report import Field, FieldReader, Report, width_of

_PART1, _PART2 = "CSI part 1", "CSI part 2"


def _priority_order(config: EnhancedTypeTwo, taps: Sequence[Sequence[int]]) -> np.ndarray:
    """Elements (layer, tap, coefficient) by falling priority, int [v M 2L, 3]."""
    rank, two_l = len(taps), 2 * config.num_beams
    n3 = np.array(taps)
    pi = np.minimum(2 * n3, 2 * (config.num_units - n3) - 1)
    layer, tap, i = (grid.ravel() for grid in np.meshgrid(range(rank), range(n3.shape[1]), range(two_l), indexing="ij"))
    priority = two_l * rank * pi[layer, tap] + rank * i + layer + 1
    return np.stack([layer, tap, i], 1)[np.argsort(priority, kind="stable")]


def tap_set_number(config: EnhancedTypeTwo, taps: Sequence[int], start: int) -> int:
    """i_1,6,l. Taps other than 0 as places from 1 on: directly, or in the window of 2 M taps."""
    size = 2 * len(taps) if config.has_window else config.num_units
    places = sorted(
        n if not config.has_window or n <= start + size - 1 else n - (config.num_units - size) for n in taps
    )
    return rank_of([place - 1 for place in places[1:]], size - 1)


def tap_set(config: EnhancedTypeTwo, number: int, count: int, start: int) -> tuple[int, ...]:
    size = 2 * count if config.has_window else config.num_units
    places = [place + 1 for place in set_of(number, count - 1, size - 1)]
    beyond = config.num_units - size
    return (0, *(n if not config.has_window or n <= start + size - 1 else n + beyond for n in places))


def group_split(count: int, num_nonzero: int, rank: int) -> tuple[int, int]:
    """How many elements of the bitmap, and of i_2,4 and i_2,5, are in group 1."""
    return count - num_nonzero // 2, max(0, ceil(num_nonzero / 2) - rank)


def width_of_count(config: EnhancedTypeTwo) -> int:
    """Bits of K^NZ in part 1."""
    return width_of(config.most_per_layer * (1 if config.max_rank == 1 else 2))


def write_report(pmi: EnhancedPmi, cqi: CqiFields | None = None) -> Report:
    """The report of a PMI, with CQI where given."""
    config, rank = pmi.config, pmi.rank
    o1, o2 = oversampling(config.n1, config.n2)
    part1 = [
        Field("RI", rank - 1, width_of(config.max_rank)),
        *cqi_fields(cqi),
        Field("K_NZ", pmi.num_nonzero - 1, width_of_count(config)),
    ]
    part2 = [
        Field("i_1,1 q1", pmi.q[0], width_of(o1)),
        Field("i_1,1 q2", pmi.q[1], width_of(o2)),
        Field("i_1,2", rank_of(pmi.beams, config.n1 * config.n2), width_of(config.num_beam_sets)),
    ]
    for layer, place in enumerate(pmi.strongest):
        if rank == 1:
            # counts non-zero coefficients of tap 0 up to the strongest
            value, width = int(pmi.bitmap[0, 0, : place + 1].sum()) - 1, width_of(pmi.num_nonzero)
        else:
            value, width = place, width_of(2 * config.num_beams)
        part2.append(Field(f"i_1,8,{layer + 1}", value, width))
    if config.has_window:
        window = 2 * config.num_taps(rank)
        part2.append(Field("i_1,5", pmi.start % window, width_of(window)))
    part2 += [
        Field(f"i_1,6,{layer + 1}", tap_set_number(config, taps, pmi.start), width_of(config.num_tap_sets(rank)))
        for layer, taps in enumerate(pmi.taps)
    ]
    order = _priority_order(config, pmi.taps)
    reported = [tuple(e) for e in order if pmi.bitmap[tuple(e)] and not (e[1] == 0 and e[2] == pmi.strongest[e[0]])]
    of_map, of_values = group_split(len(order), pmi.num_nonzero, rank)
    part2 += element_fields("i_1,7", pmi.bitmap, order[:of_map], 1)
    part2 += [
        Field(f"i_2,3,{layer + 1}", int(pmi.k1[layer, 1 - place // config.num_beams]), 4)
        for layer, place in enumerate(pmi.strongest)
    ]
    part2 += element_fields("i_2,4", pmi.k2, reported[:of_values], 3)
    part2 += element_fields("i_2,5", pmi.c, reported[:of_values], 4)
    part2 += element_fields("i_1,7", pmi.bitmap, order[of_map:], 1)
    part2 += element_fields("i_2,4", pmi.k2, reported[of_values:], 3)
    part2 += element_fields("i_2,5", pmi.c, reported[of_values:], 4)
    return Report(tuple(part1), tuple(part2))


def element_fields(
    name: str, values: np.ndarray, order: Sequence[Sequence[int]] | np.ndarray, width: int
) -> list[Field]:
    return [Field(f"{name},{e[0] + 1} (i {e[2]}, f {e[1]})", int(values[tuple(e)]), width) for e in order]


def read_part1(
    config: EnhancedTypeTwo, bits1: np.ndarray, num_cqi_subbands: int | None, clause: str
) -> tuple[int, CqiFields | None, int]:
    """Rank, CQI and K^NZ of part 1. clause: of the codebook, for messages."""
    head = FieldReader(bits1, _PART1, clause)
    rank = 1 + head.take("RI", width_of(config.max_rank), config.max_rank)
    cqi = take_cqi(head, num_cqi_subbands)
    most = config.most_per_layer * (1 if config.max_rank == 1 else 2)
    num_nonzero = 1 + head.take("K_NZ", width_of_count(config), most)
    head.end()
    if not rank <= num_nonzero <= config.most_per_layer * min(rank, 2):
        allowed = f"{rank} to {config.most_per_layer * min(rank, 2)} with rank {rank} ({clause})"
        raise bad_value(f"{_PART1}: K_NZ", num_nonzero, allowed)
    return rank, cqi, num_nonzero


def read_report(
    config: EnhancedTypeTwo, bits1: np.ndarray, bits2: np.ndarray, num_cqi_subbands: int | None = None
) -> tuple[EnhancedPmi, CqiFields | None]:
    """The PMI that a report says, from the bits of its two parts.

    num_cqi_subbands: subbands whose CQI is reported beside the wideband CQI; None: without any CQI. `InputError` names
    the field and the clause for values that are not defined and for a wrong number of bits.
    """
    rank, cqi, num_nonzero = read_part1(config, bits1, num_cqi_subbands, CLAUSE)

    body = FieldReader(bits2, _PART2, CLAUSE)
    o1, o2 = oversampling(config.n1, config.n2)
    two_l, num_taps = 2 * config.num_beams, config.num_taps(rank)
    q = (body.take("i_1,1 q1", width_of(o1)), body.take("i_1,1 q2", width_of(o2)))
    sets = config.num_beam_sets
    beams = set_of(body.take("i_1,2", width_of(sets), sets), config.num_beams, config.n1 * config.n2)
    values, width = (num_nonzero, width_of(num_nonzero)) if rank == 1 else (two_l, width_of(two_l))
    places = [body.take(f"i_1,8,{layer + 1}", width, values) for layer in range(rank)]
    start = 0
    if config.has_window:
        window = 2 * num_taps
        start = body.take("i_1,5", width_of(window), window)
        start -= window if start else 0
    tap_sets = config.num_tap_sets(rank)
    taps = tuple(
        tap_set(config, body.take(f"i_1,6,{layer + 1}", width_of(tap_sets), tap_sets), num_taps, start)
        for layer in range(rank)
    )
    order = _priority_order(config, taps)
    of_map, of_values = group_split(len(order), num_nonzero, rank)
    shape = (rank, num_taps, two_l)
    bitmap, k2, c = np.zeros(shape, bool), np.zeros(shape, int), np.zeros(shape, int)
    for element in order[:of_map]:
        bitmap[tuple(element)] = bool(body.take("i_1,7", 1))
    others = [body.take(f"i_2,3,{layer + 1}", 4, 15, 1) for layer in range(rank)]
    # values of group 1 and the rest of the bitmap come before it is known to whom they belong
    first = [[body.take(name, width) for _ in range(of_values)] for name, width in (("i_2,4", 3), ("i_2,5", 4))]
    for element in order[of_map:]:
        bitmap[tuple(element)] = bool(body.take("i_1,7", 1))
    if int(bitmap.sum()) != num_nonzero:
        raise bad_value(f"{_PART2}: ones of i_1,7", int(bitmap.sum()), f"{num_nonzero}, the K_NZ of part 1 ({CLAUSE})")
    strongest = tuple(_strongest(bitmap[layer, 0], place, rank) for layer, place in enumerate(places))
    rest = num_nonzero - rank - of_values
    last = [[body.take(name, width) for _ in range(rest)] for name, width in (("i_2,4", 3), ("i_2,5", 4))]
    body.end()
    reported = [tuple(e) for e in order if bitmap[tuple(e)] and not (e[1] == 0 and e[2] == strongest[e[0]])]
    for element, amplitude, phase in zip(reported, first[0] + last[0], first[1] + last[1], strict=False):
        k2[element], c[element] = amplitude, phase
    k1 = np.zeros((rank, 2), int)
    for layer, place in enumerate(strongest):
        k2[layer, 0, place] = 7
        k1[layer, place // config.num_beams] = 15
        k1[layer, 1 - place // config.num_beams] = others[layer]
    return EnhancedPmi(config, q, beams, taps, start, bitmap, strongest, k1, k2, c), cqi


def _strongest(of_tap0: np.ndarray, value: int, rank: int) -> int:
    """i* from i_1,8,l."""
    if rank > 1:
        return value
    places = np.flatnonzero(of_tap0)
    if value >= len(places):
        raise InputError(
            f"{_PART2}: i_1,8,1: got {value}; allowed: 0 to {len(places) - 1}, non-zero coefficients of "
            f"tap 0 ({CLAUSE})"
        )
    return int(places[value])
