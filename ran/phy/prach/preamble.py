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
    """Shifts of a root first, then the next logical root."""
    length, num_cs = prach.sequence_length, num_cyclic_shifts(prach)
    per_root = length // num_cs if num_cs else 1
    number = np.arange(NUM_PREAMBLES)
    count = int(number[-1]) // per_root + 1
    roots = tuple(root_of(length, prach.root_sequence_index + n) for n in range(count))
    return PreambleSet(length, roots, number // per_root, number % per_root * num_cs, num_cs)


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
