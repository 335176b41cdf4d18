"""Antenna ports of a CSI-RS resource on a panel, and the beams of the codebooks on it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ran.errors import bad_value
from ran.phy.type_one_codebook import OVERSAMPLING

_TABLE, _LARGE_TABLE = "TS 38.214 table 5.2.2.2.1-2", "table 5.2.2.2.1a-1, Rel-19"
#: (N1, N2) of 48, 64 and 128 ports, which aggregated CSI-RS resources make: TS 38.214 table 5.2.2.2.1a-1 (Rel-19), the
#: values of n1-n2-r19 in TS 38.331. Of all of them (O1, O2) is (4, 4).
LARGE_LAYOUTS: dict[int, tuple[tuple[int, int], ...]] = {
    48: ((8, 3), (6, 4)),
    64: ((16, 2), (8, 4)),
    128: ((16, 4), (8, 8)),
}
_LARGE_OVERSAMPLING = (4, 4)
#: (N1, N2) by number of ports of one CSI-RS resource, TS 38.214 table 5.2.2.2.1-2.
LAYOUTS: dict[int, tuple[tuple[int, int], ...]] = {}
for _pair in OVERSAMPLING:
    LAYOUTS[2 * _pair[0] * _pair[1]] = (*LAYOUTS.get(2 * _pair[0] * _pair[1], ()), _pair)


def layouts_of(num_ports: int) -> tuple[tuple[int, int], ...]:
    """(N1, N2) that so many ports may have. `InputError` for a number without an entry (TS 38.214 tables 5.2.2.2.1-2
    and 5.2.2.2.1a-1)."""
    every = LAYOUTS | LARGE_LAYOUTS
    if num_ports not in every:
        raise bad_value("num_ports", num_ports, f"{', '.join(map(str, sorted(every)))} ({_TABLE}; {_LARGE_TABLE})")
    return every[num_ports]


def is_large(n1: int, n2: int) -> bool:
    """Whether a layout has more ports than one CSI-RS resource, and with them the codebooks of Rel-19."""
    return (n1, n2) in LARGE_LAYOUTS.get(2 * n1 * n2, ())


def oversampling(n1: int, n2: int) -> tuple[int, int]:
    """(O1, O2) of a layout. `InputError` for one that the tables do not have."""
    if is_large(n1, n2):
        return _LARGE_OVERSAMPLING
    if (n1, n2) not in OVERSAMPLING:
        large = [pair for pairs in LARGE_LAYOUTS.values() for pair in pairs]
        raise bad_value("n1, n2", (n1, n2), f"{sorted(OVERSAMPLING)} ({_TABLE}), {large} ({_LARGE_TABLE})")
    return OVERSAMPLING[n1, n2]


def check_one_resource(n1: int, n2: int, codebook: str) -> None:
    """`InputError` for layouts of more ports than one CSI-RS resource has, with a codebook that is for fewer."""
    oversampling(n1, n2)
    if is_large(n1, n2):
        raise bad_value("n1, n2", (n1, n2), f"up to 32 ports with {codebook} ({_TABLE})")


@lru_cache(maxsize=16)
def orthogonal_beams(n1: int, n2: int) -> np.ndarray:
    """The O1 O2 groups of N1 N2 orthogonal DFT beams, complex128 [O1, O2, N1 N2, N1 N2], read-only.

    [q1, q2, n, :] is v_{m1, m2} of TS 38.214 §5.2.2.2.3 with m1 = O1 n1 + q1, m2 = O2 n2 + q2 and n = N1 n2 + n1, of
    squared norm N1 N2.
    """
    o1, o2 = oversampling(n1, n2)
    columns, rows = np.arange(n1), np.arange(n2)
    # [q1, n1, element] and [q2, n2, element]
    across = np.exp(2j * np.pi * (o1 * columns[:, None] + np.arange(o1)[:, None, None]) * columns / (o1 * n1))
    up = np.exp(2j * np.pi * (o2 * rows[:, None] + np.arange(o2)[:, None, None]) * rows / (o2 * n2))
    # [q1, q2, n2, n1, element 1, element 2]
    beams = across[:, None, None, :, :, None] * up[None, :, :, None, None, :]
    found: np.ndarray = beams.reshape(o1, o2, n1 * n2, n1 * n2)
    found.flags.writeable = False
    return found
