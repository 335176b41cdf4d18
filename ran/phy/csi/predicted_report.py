"""The report of the codebook for predicted PMI: its fields in their order, and the way back from bits.

Part 1: rank, wideband and subband CQI, K^NZ. Part 2: group 0 (i_1,1, i_1,2, i_1,8,l), group 1 (i_1,5, i_1,6,l, the more
important part of i_1,7,l, i_2,3,l, then of i_2,4,l and of i_2,5,l, and i_1,10,l) and group 2 (the rest of i_1,7,l,
i_2,4,l, i_2,5,l): the order in which TS 38.214 §5.2.3 (Rel-18) lists them. Elements by falling priority Pri(l, i, f,
tau) = 2 L v M tau + 2 L v f + v i + l; with N4 = 1 as in enhanced type II. CQI is one for all intervals
(td-CQI of one value).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ran.errors import InputError, bad_value
from ran.phy.csi.combination import rank_of, set_of
from ran.phy.csi.cqi_report import CqiFields, cqi_fields
from ran.phy.csi.enhanced_report import group_split, read_part1, tap_set, tap_set_number, width_of_count
from ran.phy.csi.port_layout import oversampling
from ran.phy.csi.predicted_type_two import CLAUSE, PredictedPmi, PredictedTypeTwo
from ran.phy.csi.report import Field, FieldReader, Report, width_of

_PART1, _PART2 = "CSI part 1", "CSI part 2"


def _priority_order(config: PredictedTypeTwo, taps: Sequence[Sequence[int]]) -> np.ndarray:
    """Elements (layer, shift, tap, coefficient) by falling priority, int [v Q M 2L, 4]."""
    rank, two_l, num_taps = len(taps), 2 * config.num_beams, len(taps[0])
    grids = np.meshgrid(range(rank), range(config.num_shifts), range(num_taps), range(two_l), indexing="ij")
    layer, shift, tap, i = (grid.ravel() for grid in grids)
    n3 = np.array(taps)
    place = tap if config.reports_shifts else np.minimum(2 * n3, 2 * (config.num_units - n3) - 1)[layer, tap]
    priority = two_l * rank * (num_taps * shift + place) + rank * i + layer + 1
    return np.stack([layer, shift, tap, i], 1)[np.argsort(priority, kind="stable")]


def _is_strongest(element: Sequence[int], strongest: Sequence[tuple[int, int]]) -> bool:
    layer, shift, tap, i = element
    return tap == 0 and (shift, i) == strongest[layer]


def _width_of_strongest(config: PredictedTypeTwo, num_nonzero: int, rank: int) -> tuple[int, int]:
    """Values and bits of i_1,8,l."""
    values = num_nonzero if rank == 1 else 2 * config.num_beams * config.num_shifts
    return values, width_of(values)


def write_report(pmi: PredictedPmi, cqi: CqiFields | None = None) -> Report:
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
    _, width = _width_of_strongest(config, pmi.num_nonzero, rank)
    for layer, (shift, i) in enumerate(pmi.strongest):
        place = 2 * config.num_beams * shift + i
        # rank 1: counts non-zero coefficients of tap 0, shift by shift, up to the strongest
        value = int(pmi.bitmap[layer, :, 0].ravel()[: place + 1].sum()) - 1 if rank == 1 else place
        part2.append(Field(f"i_1,8,{layer + 1}", value, width))
    if config.has_window:
        window = 2 * config.num_taps(rank)
        part2.append(Field("i_1,5", pmi.start % window, width_of(window)))
    part2 += [
        Field(f"i_1,6,{layer + 1}", tap_set_number(config, taps, pmi.start), width_of(config.num_tap_sets(rank)))
        for layer, taps in enumerate(pmi.taps)
    ]
    order = [tuple(int(n) for n in element) for element in _priority_order(config, pmi.taps)]
    reported = [e for e in order if pmi.bitmap[e] and not _is_strongest(e, pmi.strongest)]
    of_map, of_values = group_split(len(order), pmi.num_nonzero, rank)
    part2 += _elements("i_1,7", pmi.bitmap, order[:of_map], 1)
    part2 += [
        Field(f"i_2,3,{layer + 1}", int(pmi.k1[layer, 1 - i // config.num_beams]), 4)
        for layer, (_, i) in enumerate(pmi.strongest)
    ]
    part2 += _elements("i_2,4", pmi.k2, reported[:of_values], 3)
    part2 += _elements("i_2,5", pmi.c, reported[:of_values], 4)
    if config.reports_shifts:
        width = width_of(config.num_intervals - 1)
        part2 += [Field(f"i_1,10,{layer + 1}", shifts[1] - 1, width) for layer, shifts in enumerate(pmi.shifts)]
    part2 += _elements("i_1,7", pmi.bitmap, order[of_map:], 1)
    part2 += _elements("i_2,4", pmi.k2, reported[of_values:], 3)
    part2 += _elements("i_2,5", pmi.c, reported[of_values:], 4)
    return Report(tuple(part1), tuple(part2))


def _elements(name: str, values: np.ndarray, order: Sequence[tuple[int, ...]], width: int) -> list[Field]:
    return [Field(f"{name},{e[0] + 1} (i {e[3]}, f {e[2]}, tau {e[1]})", int(values[e]), width) for e in order]


def read_report(
    config: PredictedTypeTwo, bits1: np.ndarray, bits2: np.ndarray, num_cqi_subbands: int | None = None
) -> tuple[PredictedPmi, CqiFields | None]:
    """The PMI that a report says; arguments and errors as of `ran.phy.csi.enhanced_report.read_report`."""
    rank, cqi, num_nonzero = read_part1(config, bits1, num_cqi_subbands, CLAUSE)

    body = FieldReader(bits2, _PART2, CLAUSE)
    o1, o2 = oversampling(config.n1, config.n2)
    two_l, num_taps = 2 * config.num_beams, config.num_taps(rank)
    q = (body.take("i_1,1 q1", width_of(o1)), body.take("i_1,1 q2", width_of(o2)))
    sets = config.num_beam_sets
    beams = set_of(body.take("i_1,2", width_of(sets), sets), config.num_beams, config.n1 * config.n2)
    values, width = _width_of_strongest(config, num_nonzero, rank)
    numbers = [body.take(f"i_1,8,{layer + 1}", width, values) for layer in range(rank)]
    start = 0
    if config.has_window:
        window = 2 * num_taps
        start = body.take("i_1,5", width_of(window), window)
        start -= window if start else 0
    sets = config.num_tap_sets(rank)
    taps = tuple(
        tap_set(config, body.take(f"i_1,6,{layer + 1}", width_of(sets), sets), num_taps, start) for layer in range(rank)
    )
    order = [tuple(int(n) for n in element) for element in _priority_order(config, taps)]
    of_map, of_values = group_split(len(order), num_nonzero, rank)
    shape = (rank, config.num_shifts, num_taps, two_l)
    bitmap, k2, c = np.zeros(shape, bool), np.zeros(shape, int), np.zeros(shape, int)
    for element in order[:of_map]:
        bitmap[element] = bool(body.take("i_1,7", 1))
    others = [body.take(f"i_2,3,{layer + 1}", 4, 15, 1) for layer in range(rank)]
    first = [[body.take(name, width) for _ in range(of_values)] for name, width in (("i_2,4", 3), ("i_2,5", 4))]
    shifts: tuple[tuple[int, ...], ...] = ((0,),) * rank
    if config.reports_shifts:
        count = config.num_intervals - 1
        shifts = tuple((0, 1 + body.take(f"i_1,10,{layer + 1}", width_of(count), count)) for layer in range(rank))
    for element in order[of_map:]:
        bitmap[element] = bool(body.take("i_1,7", 1))
    if int(bitmap.sum()) != num_nonzero:
        raise bad_value(f"{_PART2}: ones of i_1,7", int(bitmap.sum()), f"{num_nonzero}, the K_NZ of part 1 ({CLAUSE})")
    strongest = tuple(
        _strongest(bitmap[layer, :, 0].ravel(), value, rank, two_l) for layer, value in enumerate(numbers)
    )
    rest = num_nonzero - rank - of_values
    last = [[body.take(name, width) for _ in range(rest)] for name, width in (("i_2,4", 3), ("i_2,5", 4))]
    body.end()
    reported = [e for e in order if bitmap[e] and not _is_strongest(e, strongest)]
    for element, amplitude, phase in zip(reported, first[0] + last[0], first[1] + last[1], strict=False):
        k2[element], c[element] = amplitude, phase
    k1 = np.zeros((rank, 2), int)
    for layer, (shift, i) in enumerate(strongest):
        k2[layer, shift, 0, i] = 7
        k1[layer, i // config.num_beams] = 15
        k1[layer, 1 - i // config.num_beams] = others[layer]
    return PredictedPmi(config, q, beams, taps, start, shifts, bitmap, strongest, k1, k2, c), cqi


def _strongest(of_tap0: np.ndarray, value: int, rank: int, two_l: int) -> tuple[int, int]:
    """(tau*, i*) from i_1,8,l."""
    if rank > 1:
        return divmod(value, two_l)
    places = np.flatnonzero(of_tap0)
    if value >= len(places):
        raise InputError(
            f"{_PART2}: i_1,8,1: got {value}; allowed: 0 to {len(places) - 1}, non-zero coefficients of "
            f"tap 0 ({CLAUSE})"
        )
    return divmod(int(places[value]), two_l)
