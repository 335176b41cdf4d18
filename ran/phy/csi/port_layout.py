"""Antenna ports of a CSI-RS resource on a panel, and the beams of the codebooks on it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ran.errors import bad_value
from ran.phy.type_one_codebook import OVERSAMPLING

#: (N1, N2) by number of ports, TS 38.214 table 5.2.2.2.1-2.
LAYOUTS: dict[int, tuple[tuple[int, int], ...]] = {}
for _pair in OVERSAMPLING:
    LAYOUTS[2 * _pair[0] * _pair[1]] = (*LAYOUTS.get(2 * _pair[0] * _pair[1], ()), _pair)


def layouts_of(num_ports: int) -> tuple[tuple[int, int], ...]:
    """(N1, N2) that so many ports may have. `InputError` for a number without an entry (TS 38.214 table
    5.2.2.2.1-2)."""
    if num_ports not in LAYOUTS:
        raise bad_value("num_ports", num_ports, f"{', '.join(map(str, sorted(LAYOUTS)))} (TS 38.214 table 5.2.2.2.1-2)")
    return LAYOUTS[num_ports]


def oversampling(n1: int, n2: int) -> tuple[int, int]:
    """(O1, O2) of a layout. `InputError` for one that the table does not have."""
    if (n1, n2) not in OVERSAMPLING:
        raise bad_value("n1, n2", (n1, n2), f"{sorted(OVERSAMPLING)} (TS 38.214 table 5.2.2.2.1-2)")
    return OVERSAMPLING[n1, n2]


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
