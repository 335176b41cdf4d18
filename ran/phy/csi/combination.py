"""Combinatorial coefficients: a set of indices as one number (TS 38.214 §5.2.2.2.3 and §5.2.2.2.5, Rel-16)."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

from ran.errors import bad_value


def rank_of(indices: Sequence[int], size: int) -> int:
    """Number of a set of different indices below `size`, 0 to C(size, len(indices)) - 1.

    Sum over i of C(size - 1 - n_i, count - i) with n ascending: as i_1,2 numbers beams and i_1,6,l taps.
    """
    count = len(indices)
    ordered = sorted(indices)
    if len(set(ordered)) != count or (ordered and not 0 <= ordered[0] <= ordered[-1] < size):
        raise bad_value("indices", list(indices), f"different numbers from 0 to {size - 1}")
    return sum(comb(size - 1 - n, count - i) for i, n in enumerate(ordered))


def set_of(number: int, count: int, size: int) -> tuple[int, ...]:
    """The ascending set of `count` indices below `size` with this number: the inverse of `rank_of`."""
    if not 0 <= number < comb(size, count):
        raise bad_value("combination", number, f"0 to {comb(size, count) - 1}, C({size}, {count}) sets")
    found = []
    for i in range(count):
        x = next(x for x in range(size - 1 - i, count - 2 - i, -1) if comb(x, count - i) <= number)
        number -= comb(x, count - i)
        found.append(size - 1 - x)
    return tuple(found)
