"""Subbands of a CSI report (TS 38.214 §5.2.1.4) and the PMI units that enhanced Type II makes of them (§5.2.2.2.5)."""

from __future__ import annotations

from itertools import pairwise

from ran.errors import bad_value

#: Largest bandwidth part in PRBs and its two subband sizes, TS 38.214 table 5.2.1.4-2.
_SIZES = ((72, (4, 8)), (144, (8, 16)), (275, (16, 32)))
_SMALLEST = 24


def subband_sizes(num_prb: int) -> tuple[int, int]:
    """The two configurable subband sizes in PRBs of a bandwidth part. `InputError` for one that has no subbands."""
    for largest, sizes in _SIZES:
        if _SMALLEST <= num_prb <= largest:
            return sizes
    raise bad_value(
        "num_prb", num_prb, f"{_SMALLEST} to {_SIZES[-1][0]}, bandwidth parts with subbands (TS 38.214 table 5.2.1.4-2)"
    )


def subbands(num_prb: int, size: int, start: int = 0) -> tuple[range, ...]:
    """PRBs of every subband, counted from the start of the bandwidth part.

    num_prb, start: of the bandwidth part, the start from common resource block 0. size: of a subband, one of
    `subband_sizes`. The first subband has size - start mod size PRBs, the last the rest (TS 38.214 §5.2.1.4).
    """
    allowed = subband_sizes(num_prb)
    if size not in allowed:
        raise bad_value(
            "subband size", size, f"{allowed[0]}, {allowed[1]} for {num_prb} PRBs (TS 38.214 table 5.2.1.4-2)"
        )
    if start < 0:
        raise bad_value("start", start, "0 or more")
    edges = [0, *range(size - start % size, num_prb, size), num_prb]
    return tuple(range(a, b) for a, b in pairwise(edges))


def pmi_units(num_prb: int, size: int, start: int = 0, per_subband: int = 1) -> tuple[range, ...]:
    """PRBs of every precoding matrix that enhanced Type II reports: the subbands, or with `per_subband` 2 their halves.

    per_subband: R = numberOfPMI-SubbandsPerCQI-Subband. A first or last subband that is cut by the edge of the
    bandwidth part to half its size or less has one matrix (TS 38.214 §5.2.2.2.5).
    """
    if per_subband not in (1, 2):
        raise bad_value("numberOfPMI-SubbandsPerCQI-Subband", per_subband, "1, 2 (TS 38.214 §5.2.2.2.5)")
    whole = subbands(num_prb, size, start)
    if per_subband == 1:
        return whole
    units = []
    for band in whole:
        # halves are counted from common resource block 0
        middle = ((start + band.start) // size) * size + size // 2 - start
        parts = (range(band.start, min(middle, band.stop)), range(max(middle, band.start), band.stop))
        units += [part for part in parts if len(part)]
    return tuple(units)
