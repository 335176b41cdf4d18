"""Random access preambles: Zadoff-Chu sequences, the cell's 64 roots and cyclic shifts (TS 38.211 §6.3.3.1, Rel-18)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ran.errors import bad_value
from ran.phy.config import Prach
from ran.phy.prach.tables import num_cyclic_shifts, root_of

#: Preambles of a cell.
NUM_PREAMBLES = 64


@dataclass(frozen=True)
class PreambleSet:
    """The 64 preambles of a cell.

    roots [num_roots]: sequence numbers u in the order of use. root_index [64]: of each preamble, into `roots`.
    cyclic_shifts [64]: C_v. num_cs: N_CS, 0 for one preamble per root.
    """

    sequence_length: int
    roots: tuple[int, ...]
    root_index: npt.NDArray[np.int64]
    cyclic_shifts: npt.NDArray[np.int64]
    num_cs: int


def preamble_set(prach: Prach) -> PreambleSet:
    """Shifts of a root first, then the next logical root. `InputError` where the roots that there are have fewer."""
    length, num_cs = prach.sequence_length, num_cyclic_shifts(prach)
    roots: list[int] = []
    found: list[tuple[int, int]] = []
    for logical in range(prach.root_sequence_index, prach.root_sequence_index + length - 1):
        root = root_of(length, logical)
        shifts = cyclic_shifts(length, root, num_cs, prach.restricted_set == "A")
        if shifts:
            found += [(len(roots), shift) for shift in shifts]
            roots.append(root)
        if len(found) >= NUM_PREAMBLES:
            break
    else:
        raise bad_value("preambles of the PRACH", len(found), f"{NUM_PREAMBLES} (TS 38.211 §6.3.3.1)")
    places = np.array(found[:NUM_PREAMBLES])
    return PreambleSet(length, tuple(roots), places[:, 0], places[:, 1], num_cs)


def doppler_shift(length: int, root: int) -> int:
    """d_u: cyclic shift that a frequency offset of one subcarrier looks like."""
    inverse = pow(root, -1, length)
    return min(inverse, length - inverse)


def cyclic_shifts(length: int, root: int, num_cs: int, restricted: bool = False) -> list[int]:
    """All C_v of a root, of the unrestricted set or of the restricted one of type A, where there may be none.

    Source: TS 38.211 §6.3.3.1, Rel-18.
    """
    if not restricted:
        return [v * num_cs for v in range(length // num_cs if num_cs else 1)]
    d_u = doppler_shift(length, root)
    if num_cs <= d_u and 3 * d_u < length:
        num_shift = d_u // num_cs
        start = 2 * d_u + num_shift * num_cs
        num_group = length // start
        rest = max((length - 2 * d_u - num_group * start) // num_cs, 0)
    elif length <= 3 * d_u and 2 * d_u <= length - num_cs:
        num_shift = (length - 2 * d_u) // num_cs
        start = length - 2 * d_u + num_shift * num_cs
        num_group = d_u // start
        rest = min(max((d_u - num_group * start) // num_cs, 0), num_shift)
    else:
        return []
    return [start * (v // num_shift) + v % num_shift * num_cs for v in range(num_shift * num_group + rest)]


def root_sequence(length: int, root: int) -> npt.NDArray[np.complex128]:
    """x_u in the time domain, complex128 [length], unit modulus. length: 839 or 139, a prime; root: 1 to length - 1."""
    if length not in (839, 139):
        raise bad_value("length of a PRACH sequence", length, "839, 139 (TS 38.211 §6.3.3.1)")
    if not 1 <= root < length:
        raise bad_value("root of a PRACH sequence", root, f"1 to {length - 1}")
    n = np.arange(length)
    return np.asarray(np.exp(-1j * np.pi * (root * n * (n + 1) % (2 * length)) / length), np.complex128)


def preamble(prach: Prach) -> npt.NDArray[np.complex64]:
    """The preamble on the subcarriers of the PRACH, complex64 [L_RA], unit modulus: y_u,v divided by sqrt(L_RA)."""
    cell = preamble_set(prach)
    root = cell.roots[cell.root_index[prach.preamble_index]]
    sequence = root_sequence(cell.sequence_length, root)
    shifted = np.roll(sequence, -int(cell.cyclic_shifts[prach.preamble_index]))
    return np.asarray(np.fft.fft(shifted, norm="ortho"), np.complex64)
