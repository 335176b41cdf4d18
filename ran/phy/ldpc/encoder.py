"""LDPC encoding (TS 38.212 §5.3.2, Rel-18) for batches of code blocks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ran.errors import bad_value
from ran.phy.ldpc.base_graph import NUM_CORE_ROWS, NUM_PUNCTURED_COLUMNS, LdpcCode


@dataclass(frozen=True)
class _Wiring:
    """Edges of a code in the order of encoding, as (row or target column, column, shift).

    core: information columns in the core rows. parity: shift by core parity column for each core row.
    extension: columns that an extension row adds up to its own parity column.
    """

    core: tuple[tuple[int, int, int], ...]
    parity: tuple[dict[int, int], ...]
    extension: tuple[tuple[int, int, int], ...]


@lru_cache(maxsize=64)
def _wiring(code: LdpcCode) -> _Wiring:
    edges = list(zip(code.edges.row.tolist(), code.edges.column.tolist(), code.edges.shift.tolist(), strict=True))
    first_parity, num_core_columns = code.num_info_columns, code.num_info_columns + NUM_CORE_ROWS
    wanted = set(code.rows[NUM_CORE_ROWS:])
    return _Wiring(
        core=tuple(edge for edge in edges if edge[0] < NUM_CORE_ROWS and edge[1] < first_parity),
        parity=tuple(
            {column: shift for row, column, shift in edges if row == core_row and column >= first_parity}
            for core_row in range(NUM_CORE_ROWS)
        ),
        # The last entry of an extension row is its own parity column, with shift 0.
        extension=tuple(
            (first_parity + row, column, shift)
            for row, column, shift in edges
            if row in wanted and column < num_core_columns
        ),
    )


def encode(bits: npt.ArrayLike, code: LdpcCode) -> npt.NDArray[np.uint8]:
    """Encode code blocks.

    bits [batch, K'] of 0 and 1. Returns [batch, `code.num_coded_bits`] uint8: the information bits without the first
    2 Z, the fillers as zeros, the parity bits; parity of rows that `code.rows` leaves out is zero.
    Raises `InputError` for another shape and for values other than 0 and 1.

    A circulant times a vector is a cyclic shift, and a shift is a slice of the column written twice in a row.
    """
    info = np.asarray(bits, dtype=np.uint8)
    if info.ndim != 2 or info.shape[1] != code.num_info_bits:
        raise bad_value("shape of bits", info.shape, f"[batch, {code.num_info_bits}]")
    if info.size and info.max() > 1:
        raise bad_value("bits", int(info.max()), "0 and 1")
    batch, z, wiring = info.shape[0], code.lifting_size, _wiring(code)
    # [column, 2 Z, batch]: with the batch innermost every shifted column is one contiguous run of memory.
    packed = np.packbits(info, axis=0) if batch > 1 else info
    doubled = np.zeros((code.num_columns, 2 * z, packed.shape[0]), np.uint8)
    systematic = np.zeros((code.num_systematic_bits, packed.shape[0]), np.uint8)
    systematic[: code.num_info_bits] = packed.T
    doubled[: code.num_info_columns, :z] = systematic.reshape(code.num_info_columns, z, -1)
    doubled[: code.num_info_columns, z:] = doubled[: code.num_info_columns, :z]
    core_sums = np.zeros((NUM_CORE_ROWS, z, packed.shape[0]), np.uint8)
    for row, column, shift in wiring.core:
        core_sums[row] ^= doubled[column, shift : shift + z]
    _solve_core(core_sums, wiring.parity, doubled, code)
    for target, column, shift in wiring.extension:
        doubled[target, :z] ^= doubled[column, shift : shift + z]
    coded = doubled[NUM_PUNCTURED_COLUMNS:, :z].reshape(code.num_coded_bits, -1).T
    return np.unpackbits(coded, axis=0, count=batch) if batch > 1 else np.ascontiguousarray(coded)


def _solve_core(
    sums: npt.NDArray[np.uint8], parity: tuple[dict[int, int], ...], doubled: npt.NDArray[np.uint8], code: LdpcCode
) -> None:
    """Solve the four core checks for their parity columns, into `doubled`.

    sums [4, Z, ...]: the information part of each check. parity: shift by column for each check. The first parity
    column stands in three checks, twice with the same shift; the others in two. So the sum of all checks leaves the
    first column, shifted by what stands alone, and then each check in turn has a single unknown.
    """
    z = code.lifting_size
    first = code.num_info_columns

    def store(column: int, shift: int, value: npt.NDArray[np.uint8]) -> None:
        doubled[column, :z] = np.roll(value, shift, axis=0)
        doubled[column, z:] = doubled[column, :z]

    shifts = [columns[first] for columns in parity if first in columns]
    alone = next(shift for shift in shifts if shifts.count(shift) % 2)
    store(first, alone, np.bitwise_xor.reduce(sums, axis=0))
    known = {first}
    while len(known) < NUM_CORE_ROWS:
        for row, columns in enumerate(parity):
            unknown = [column for column in columns if column not in known]
            if len(unknown) != 1:
                continue
            value = sums[row].copy()
            for column in columns.keys() & known:
                value ^= doubled[column, columns[column] : columns[column] + z]
            store(unknown[0], columns[unknown[0]], value)
            known.add(unknown[0])
