"""The SRS bandwidth configuration."""

from __future__ import annotations

from functools import cache
from importlib import resources

from ran.errors import bad_value

#: (m_SRS,b, N_b) for b = 0 to 3.
Levels = tuple[tuple[int, int], ...]


@cache
def _table() -> tuple[Levels, ...]:
    """TS 38.211 table 6.4.1.4.3-1, Rel-18.

    In every row m_SRS,b N_b = m_SRS,b-1.
    """
    lines = (resources.files("ran.phy.srs") / "bandwidth.csv").read_text().split()[1:]
    rows = [[int(value) for value in line.split(",")[1:]] for line in lines]
    return tuple(tuple(zip(row[0::2], row[1::2], strict=True)) for row in rows)


def bandwidth_levels(c_srs: int) -> Levels:
    """PRBs m_SRS,b and number N_b of parts of every level b = 0 to 3, a row of TS 38.211 table 6.4.1.4.3-1, Rel-18."""
    if not 0 <= c_srs <= 63:
        raise bad_value("c_srs", c_srs, "0 to 63 (TS 38.211 table 6.4.1.4.3-1)")
    return _table()[c_srs]


def widest_configuration(num_prb: int) -> int:
    """C_SRS of the most PRBs that fit into so many, the first row where several do."""
    if num_prb < 4:
        raise bad_value("num_prb", num_prb, "4 or more, the narrowest SRS (TS 38.211 table 6.4.1.4.3-1)")
    widest = max(levels[0][0] for levels in _table() if levels[0][0] <= num_prb)
    return next(row for row, levels in enumerate(_table()) if levels[0][0] == widest)
