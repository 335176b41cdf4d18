"""In which OFDM symbols the DM-RS of a shared channel begin."""

from __future__ import annotations

from typing import Literal

from ran.errors import InputError

Direction = Literal["uplink", "downlink"]
MappingType = Literal["A", "B"]

# Symbols after the first DM-RS, for additional positions 0, 1, 2, 3 (single symbol) or 0, 1 (double symbols), by the
# duration l_d. With mapping type A symbols count from the start of the slot, with type B from the start of the channel.
_Rows = dict[int, tuple[tuple[int, ...], ...]]

_SINGLE_A: _Rows = {
    **dict.fromkeys((3, 4, 5, 6, 7), ((), (), (), ())),
    **dict.fromkeys((8, 9), ((), (7,), (7,), (7,))),
    **dict.fromkeys((10, 11), ((), (9,), (6, 9), (6, 9))),
    12: ((), (9,), (6, 9), (5, 8, 11)),
    **dict.fromkeys((13, 14), ((), (11,), (7, 11), (5, 8, 11))),
}
_DOUBLE_A: _Rows = {
    **dict.fromkeys((4, 5, 6, 7, 8, 9), ((), ())),
    **dict.fromkeys((10, 11, 12), ((), (8,))),
    **dict.fromkeys((13, 14), ((), (10,))),
}
_TABLES: dict[tuple[Direction, MappingType, int], tuple[str, _Rows]] = {
    ("uplink", "A", 1): ("TS 38.211 table 6.4.1.1.3-3", {k: v for k, v in _SINGLE_A.items() if k >= 4}),
    ("uplink", "A", 2): ("TS 38.211 table 6.4.1.1.3-4", _DOUBLE_A),
    ("uplink", "B", 1): (
        "TS 38.211 table 6.4.1.1.3-3",
        {
            **dict.fromkeys((1, 2, 3, 4), ((), (), (), ())),
            **dict.fromkeys((5, 6, 7), ((), (4,), (4,), (4,))),
            **dict.fromkeys((8, 9), ((), (6,), (3, 6), (3, 6))),
            **dict.fromkeys((10, 11), ((), (8,), (4, 8), (3, 6, 9))),
            **dict.fromkeys((12, 13, 14), ((), (10,), (5, 10), (3, 6, 9))),
        },
    ),
    ("uplink", "B", 2): (
        "TS 38.211 table 6.4.1.1.3-4",
        {
            **dict.fromkeys((5, 6, 7), ((), ())),
            **dict.fromkeys((8, 9), ((), (5,))),
            **dict.fromkeys((10, 11), ((), (7,))),
            **dict.fromkeys((12, 13, 14), ((), (9,))),
        },
    ),
    ("downlink", "A", 1): ("TS 38.211 table 7.4.1.1.2-3", _SINGLE_A),
    ("downlink", "A", 2): ("TS 38.211 table 7.4.1.1.2-4", _DOUBLE_A),
    ("downlink", "B", 1): (
        "TS 38.211 table 7.4.1.1.2-3",
        {
            **dict.fromkeys((2, 3, 4), ((), (), (), ())),
            **dict.fromkeys((5, 6, 7), ((), (4,), (4,), (4,))),
            8: ((), (6,), (3, 6), (3, 6)),
            9: ((), (7,), (4, 7), (4, 7)),
            10: ((), (7,), (4, 7), (4, 7)),
            11: ((), (8,), (4, 8), (3, 6, 9)),
            **dict.fromkeys((12, 13), ((), (9,), (5, 9), (3, 6, 9))),
        },
    ),
    ("downlink", "B", 2): (
        "TS 38.211 table 7.4.1.1.2-4",
        {
            **dict.fromkeys((5, 6, 7), ((), ())),
            **dict.fromkeys((8, 9), ((), (5,))),
            **dict.fromkeys((10, 11), ((), (7,))),
            **dict.fromkeys((12, 13), ((), (8,))),
        },
    ),
}


def dmrs_positions(
    direction: Direction,
    mapping_type: MappingType,
    start_symbol: int,
    num_symbols: int,
    length: int,
    additional_position: int,
    type_a_position: int,
) -> tuple[int, ...]:
    """First symbol of every DM-RS position, counted within the slot.

    length: 1 for single-symbol, 2 for double-symbol DM-RS. Without intra-slot frequency hopping.
    Raises `InputError` for combinations that the tables do not have.
    Source: TS 38.211 tables 6.4.1.1.3-3 and -4 (uplink), 7.4.1.1.2-3 and -4 (downlink), Rel-18.
    """
    clause, rows = _TABLES[direction, mapping_type, length]
    duration = start_symbol + num_symbols if mapping_type == "A" else num_symbols
    section = "§6.4.1.1.3" if direction == "uplink" else "§7.4.1.1.2"
    if duration not in rows:
        kind = "double" if length == 2 else "single"
        raise InputError(
            f"num_symbols: got {num_symbols} from symbol {start_symbol}, which has no {kind}-symbol DM-RS with mapping "
            f"type {mapping_type}; allowed: durations {min(rows)} to {max(rows)} ({clause})"
        )
    if additional_position >= len(rows[duration]):
        raise InputError(
            f"dmrs.additional_position: got {additional_position} with dmrs.length {length}; "
            f"allowed: 0 to {len(rows[duration]) - 1} ({clause})"
        )
    if mapping_type == "B":
        return tuple(start_symbol + symbol for symbol in (0, *rows[duration][additional_position]))
    if type_a_position == 3:
        if additional_position == 3:
            raise InputError(f"dmrs.additional_position 3 needs dmrs.type_a_position 2, got 3 (TS 38.211 {section})")
        # DM-RS in symbol 3, or in 3 and 4, would lie behind a last symbol of 2 or 3
        if duration == 2 + length:
            raise InputError(
                f"dmrs.type_a_position: got 3 with a last symbol of {duration - 1} and dmrs.length {length}; "
                f"allowed: 2 (TS 38.211 {section})"
            )
    return (type_a_position, *rows[duration][additional_position])


# Symbols of each hop's DM-RS after the first symbol of the hop, TS 38.211 table 6.4.1.1.3-6, for additional positions 0
# and 1: (first hop, second hop) by mapping type, position of the first DM-RS and duration of the hop.
_HOP_ROWS: dict[tuple[MappingType, int], dict[int, tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]]] = {
    ("A", 2): {
        4: (((2,), (0,)), ((2,), (0,))),
        **dict.fromkeys((5, 6), (((2,), (0,)), ((2,), (0, 4)))),
        7: (((2,), (0,)), ((2, 6), (0, 4))),
    },
    ("A", 3): {
        4: (((3,), (0,)), ((3,), (0,))),
        **dict.fromkeys((5, 6, 7), (((3,), (0,)), ((3,), (0, 4)))),
    },
    ("B", 0): {
        **dict.fromkeys((1, 2, 3, 4), (((0,), (0,)), ((0,), (0,)))),
        **dict.fromkeys((5, 6, 7), (((0,), (0,)), ((0, 4), (0, 4)))),
    },
}


def dmrs_positions_of_hops(
    mapping_type: MappingType,
    start_symbol: int,
    hop_lengths: tuple[int, ...],
    length: int,
    additional_position: int,
    type_a_position: int,
) -> tuple[int, ...]:
    """First symbol of every DM-RS position of a PUSCH with intra-slot frequency hopping, counted within the slot.

    hop_lengths: OFDM symbols of the two hops; the other arguments as in `dmrs_positions`.
    Source: TS 38.211 table 6.4.1.1.3-6, Rel-18.
    """
    clause = "TS 38.211 table 6.4.1.1.3-6"
    if length != 1:
        raise InputError(f"dmrs.length: got {length} with intra-slot hopping; allowed: 1 ({clause})")
    if additional_position > 1:
        raise InputError(
            f"dmrs.additional_position: got {additional_position} with intra-slot hopping; allowed: 0, 1 ({clause})"
        )
    rows = _HOP_ROWS[mapping_type, type_a_position if mapping_type == "A" else 0]
    found, first = [], start_symbol
    for hop, duration in enumerate(hop_lengths):
        positions = rows[duration][additional_position][hop] if duration in rows else ()
        if not positions or positions[-1] >= duration:
            raise InputError(
                f"num_symbols: got {sum(hop_lengths)} with intra-slot hopping, a hop of {duration} symbols without "
                f"room for its DM-RS; allowed: hops of more symbols ({clause})"
            )
        found += [first + position for position in positions]
        first += duration
    return tuple(found)
