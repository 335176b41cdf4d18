"""Pseudo-random sequences of TS 38.211 §5.2, Rel-18."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ran.errors import bad_value

_ADVANCE = 1600  # N_C of TS 38.211 §5.2.1


def gold_sequence(c_init: int, length: int) -> npt.NDArray[np.uint8]:
    """The length-31 Gold sequence c(0), ..., c(length - 1) as uint8 of 0 and 1 (TS 38.211 §5.2.1, Rel-18).

    c_init: start value of the second m-sequence, 0 to 2^31 - 1.
    """
    if not 0 <= c_init < 2**31:
        raise bad_value("c_init", c_init, "0 to 2147483647 (31 bits)")
    if length < 0:
        raise bad_value("length of a Gold sequence", length, "0 or more")
    # Rounded up so that a handful of stored sequences serves all lengths.
    stored = max(1024, 1 << (length - 1).bit_length()) if length else 1024
    start = (int(c_init) >> np.arange(31)) & 1
    second = _recursion(start.astype(np.uint8), (0, 1, 2, 3), _ADVANCE + length)
    return second[_ADVANCE:] ^ _first_m_sequence(stored)[:length]


@lru_cache(maxsize=4)
def _first_m_sequence(length: int) -> npt.NDArray[np.uint8]:
    start = np.zeros(31, np.uint8)
    start[0] = 1
    return _recursion(start, (0, 3), _ADVANCE + length)[_ADVANCE:]


def _recursion(start: npt.NDArray[np.uint8], taps: tuple[int, ...], length: int) -> npt.NDArray[np.uint8]:
    """x(n + 31) = XOR of x(n + tap), from x(0..30) = start.

    Squaring the characteristic polynomial doubles its exponents, so x(n + 31 m) = XOR of x(n + tap m) for every m = 2^k
    too. With 31 m values known, (31 - max tap) m new ones follow in one vector operation, and m doubles as the sequence
    grows.
    """
    reach = 31 - max(taps)
    x = np.empty(max(length, 31), np.uint8)
    x[:31] = start
    known, m = 31, 1
    while known < length:
        while known >= 62 * m:
            m *= 2
        count = min(reach * m, length - known)
        origin = known - 31 * m
        new = x[origin : origin + count].copy()
        for tap in taps[1:]:
            new ^= x[origin + tap * m : origin + tap * m + count]
        x[known : known + count] = new
        known += count
    return x[:length]
