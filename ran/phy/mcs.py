"""Modulation and coding schemes and transport block sizes (TS 38.214 §5.1.3, Rel-18)."""

from __future__ import annotations

from math import ceil, floor, log2
from typing import NamedTuple

from ran.errors import bad_value


class McsEntry(NamedTuple):
    """A row of an MCS table: modulation order Q_m and target code rate times 1024."""

    bits_per_symbol: int
    target_rate_x1024: float

    @property
    def target_rate(self) -> float:
        return self.target_rate_x1024 / 1024


def _table(*groups: tuple[int, tuple[float, ...]]) -> tuple[McsEntry, ...]:
    return tuple(McsEntry(bits_per_symbol, rate) for bits_per_symbol, rates in groups for rate in rates)


_TABLES: dict[int, tuple[McsEntry, ...]] = {
    # TS 38.214 table 5.1.3.1-1
    1: _table(
        (2, (120, 157, 193, 251, 308, 379, 449, 526, 602, 679)),
        (4, (340, 378, 434, 490, 553, 616, 658)),
        (6, (438, 466, 517, 567, 616, 666, 719, 772, 822, 873, 910, 948)),
    ),
    # TS 38.214 table 5.1.3.1-2
    2: _table(
        (2, (120, 193, 308, 449, 602)),
        (4, (378, 434, 490, 553, 616, 658)),
        (6, (466, 517, 567, 616, 666, 719, 772, 822, 873)),
        (8, (682.5, 711, 754, 797, 841, 885, 916.5, 948)),
    ),
    # TS 38.214 table 5.1.3.1-3
    3: _table(
        (2, (30, 40, 50, 64, 78, 99, 120, 157, 193, 251, 308, 379, 449, 526, 602)),
        (4, (340, 378, 434, 490, 553, 616)),
        (6, (438, 466, 517, 567, 616, 666, 719, 772)),
    ),
    # TS 38.214 table 5.1.3.1-4
    4: _table(
        (2, (120, 193, 449)),
        (4, (378, 490, 616)),
        (6, (466, 517, 567, 616, 666, 719, 772, 822, 873)),
        (8, (682.5, 711, 754, 797, 841, 885, 916.5, 948)),
        (10, (805.5, 853, 900.5, 948)),
    ),
}
# With transform precoding. Modulation order 1 stands for q: the rate is the number here over q.
_TRANSFORM_TABLES: dict[int, tuple[McsEntry, ...]] = {
    # TS 38.214 table 6.1.4.1-1
    1: _table(
        (1, (240, 314)),
        (2, (193, 251, 308, 379, 449, 526, 602, 679)),
        (4, (340, 378, 434, 490, 553, 616, 658)),
        (6, (466, 517, 567, 616, 666, 719, 772, 822, 873, 910, 948)),
    ),
    2: _TABLES[2],
    # TS 38.214 table 6.1.4.1-2
    3: _table(
        (1, (60, 80, 100, 128, 156, 198)),
        (2, (120, 157, 193, 251, 308, 379, 449, 526, 602, 679)),
        (4, (378, 434, 490, 553, 616, 658, 699, 772)),
        (6, (567, 616, 666, 772)),
    ),
}
# TS 38.212 §5.4.2.1: PRBs of the reference for the soft buffer, by the largest number of PRBs of a bandwidth part
_LBRM_PRB = (32, 66, 107, 135, 162, 217, 273)

# TS 38.214 table 5.1.3.2-1
_SMALL_SIZES = (
    *range(24, 193, 8),
    *range(208, 385, 16),
    *range(408, 577, 24),
    *range(608, 769, 32),
    *(
        808,
        848,
        888,
        928,
        984,
        1032,
        1064,
        1128,
        1160,
        1192,
        1224,
        1256,
        1288,
        1320,
        1352,
        1416,
        1480,
        1544,
        1608,
        1672,
    ),
    *(1736, 1800, 1864, 1928, 2024, 2088, 2152, 2216, 2280, 2408, 2472, 2536, 2600, 2664, 2728, 2792, 2856, 2976, 3104),
    *(3240, 3368, 3496, 3624, 3752, 3824),
)


def _entries(table: int, transform_precoding: bool) -> tuple[McsEntry, ...]:
    tables = _TRANSFORM_TABLES if transform_precoding else _TABLES
    if table not in tables:
        clause = "TS 38.214 §6.1.4.1" if transform_precoding else "TS 38.214 §5.1.3.1"
        raise bad_value("mcs_table", table, f"{', '.join(map(str, tables))} ({clause})")
    return tables[table]


def num_mcs(table: int, transform_precoding: bool = False) -> int:
    """Number of MCS indices that have a code rate."""
    return len(_entries(table, transform_precoding))


def mcs(table: int, index: int, transform_precoding: bool = False, pi2_bpsk: bool = False) -> McsEntry:
    """The entry of an MCS table. Raises `InputError` for reserved indices, which have no code rate.

    table: 1 to 4 for TS 38.214 tables 5.1.3.1-1 to -4; with transform precoding 1, 2, 3 for 6.1.4.1-1, 5.1.3.1-2 and
    6.1.4.1-2. pi2_bpsk: q = 1 instead of 2 in those.
    """
    entries = _entries(table, transform_precoding)
    if not 0 <= index < len(entries):
        raise bad_value(f"mcs_index of MCS table {table}", index, f"0 to {len(entries) - 1} (TS 38.214 §5.1.3.1)")
    entry = entries[index]
    if entry.bits_per_symbol == 1 and not pi2_bpsk:
        return McsEntry(2, entry.target_rate_x1024 / 2)
    return entry


def limited_buffer_size(num_prb: int, bits_per_symbol: int, num_layers: int) -> int:
    """TBS_LBRM of TS 38.212 §5.4.2.1, Rel-18, in bits.

    num_prb: PRBs of the largest bandwidth part. bits_per_symbol: largest modulation order of the configured MCS table.
    num_layers: largest number of layers of a transport block, at most 4 count.
    """
    reference = next(n for n in _LBRM_PRB if num_prb <= n or n == _LBRM_PRB[-1])
    return transport_block_size(156 * reference, 948 / 1024, bits_per_symbol, min(num_layers, 4))


def num_re_for_tbs(num_prb: int, num_symbols: int, num_dmrs_re_per_prb: int, num_overhead_re_per_prb: int = 0) -> int:
    """N_RE of TS 38.214 §5.1.3.2 step 1: resource elements that count for the transport block size.

    num_dmrs_re_per_prb: REs of a PRB over the allocation that DM-RS take, those of CDM groups without data included.
    num_overhead_re_per_prb: xOverhead: 0, 6, 12 or 18.
    """
    per_prb = 12 * num_symbols - num_dmrs_re_per_prb - num_overhead_re_per_prb
    if num_prb < 1 or per_prb < 1:
        raise bad_value(
            "resource elements for data", f"{per_prb} in each of {num_prb} PRBs", "at least 1 in 1 or more PRBs"
        )
    return min(156, per_prb) * num_prb


def transport_block_size(num_re: float, target_rate: float, bits_per_symbol: int, num_layers: int = 1) -> int:
    """Transport block size in bits (TS 38.214 §5.1.3.2, Rel-18).

    num_re: N_RE, see `num_re_for_tbs`; times the scaling factor S where there is one. target_rate: R between 0 and 1.
    """
    if num_re <= 0:
        raise bad_value("num_re", num_re, "1 or more")
    if not 0 < target_rate < 1:
        raise bad_value("target_rate", target_rate, "between 0 and 1 (the MCS table's number over 1024)")
    if bits_per_symbol not in (1, 2, 4, 6, 8, 10):
        raise bad_value("bits_per_symbol", bits_per_symbol, "1, 2, 4, 6, 8, 10")
    if not 1 <= num_layers <= 4:
        raise bad_value("num_layers", num_layers, "1 to 4 on one transport block")
    num_info = num_re * target_rate * bits_per_symbol * num_layers
    if num_info <= 3824:
        step = 2 ** max(3, floor(log2(num_info)) - 6)
        quantised = max(24, step * floor(num_info / step))
        return next(size for size in _SMALL_SIZES if size >= quantised)
    step = 2 ** (floor(log2(num_info - 24)) - 5)
    quantised = max(3840, step * floor((num_info - 24) / step + 0.5))
    if target_rate <= 0.25:
        num_blocks = ceil((quantised + 24) / 3816)
    elif quantised > 8424:
        num_blocks = ceil((quantised + 24) / 8424)
    else:
        num_blocks = 1
    return 8 * num_blocks * ceil((quantised + 24) / (8 * num_blocks)) - 24
