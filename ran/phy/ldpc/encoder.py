"""LDPC encoding (TS 38.212 §5.3.2, Rel-18) for batches of code blocks."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ran.errors import bad_value
from ran.phy.ldpc.base_graph import NUM_CORE_ROWS, NUM_PUNCTURED_COLUMNS, LdpcCode
from ran.phy.ldpc.native import transmit_function

_VECTOR_BYTES = 64
_POINTER, _INTEGER = ctypes.c_void_p, ctypes.c_int64
_ARGUMENTS = (_POINTER, _POINTER, *[_INTEGER] * 6, _POINTER, _INTEGER, _POINTER, _POINTER)


@dataclass(frozen=True)
class _Recipe:
    """The sums that make the parity columns, for `kernel.transmit`.

    stride: bytes of a column in memory. num_columns: also intermediate ones.
    sums int32 [sums, 3]: start of the column that is made, first of its sources, one past the last.
    sources int32: where the columns that are added up are read.
    """

    stride: int
    num_columns: int
    sums: npt.NDArray[np.int32]
    sources: npt.NDArray[np.int32]


@lru_cache(maxsize=64)
def _recipe(code: LdpcCode) -> _Recipe:
    """A circulant times a vector is a cyclic shift, so every parity column is a sum of shifted columns.

    The first core parity column stands in three of the four core checks, twice with the same shift; the others in two.
    So the sum of all checks leaves the first column, shifted by what stands alone, and then each check in turn has a
    single unknown.
    """
    z, first = code.lifting_size, code.num_info_columns
    stride = -(-(2 * z + 2 * _VECTOR_BYTES) // _VECTOR_BYTES) * _VECTOR_BYTES
    sums: list[tuple[int, int, int]] = []
    sources: list[int] = []
    num_columns = code.num_columns

    def new_column() -> int:
        nonlocal num_columns
        num_columns += 1
        return num_columns - 1

    def make(column: int, parts: list[tuple[int, int]]) -> int:
        """column = sum of (column, shift) parts."""
        begin = len(sources)
        sources.extend(source * stride + shift for source, shift in parts)
        sums.append((column * stride, begin, len(sources)))
        return column

    entries: dict[int, dict[int, int]] = {row: {} for row in code.rows}
    edges = code.edges
    for row, column, shift in zip(edges.row.tolist(), edges.column.tolist(), edges.shift.tolist(), strict=True):
        if row in entries:
            entries[row][column] = shift
    core = [entries[row] for row in range(NUM_CORE_ROWS)]
    checks = [make(new_column(), [(c, s) for c, s in check.items() if c < first]) for check in core]
    shifts = [check[first] for check in core if first in check]
    alone = next(shift for shift in shifts if shifts.count(shift) % 2)
    every = make(new_column(), [(check, 0) for check in checks])
    make(first, [(every, -alone % z)])
    known = {first}
    while len(known) < NUM_CORE_ROWS:
        for check, sum_of_info in zip(core, checks, strict=True):
            parity = {c: s for c, s in check.items() if c >= first}
            unknown = [c for c in parity if c not in known]
            if len(unknown) != 1:
                continue
            rest = make(new_column(), [(sum_of_info, 0), *((c, s) for c, s in parity.items() if c in known)])
            make(unknown[0], [(rest, -parity[unknown[0]] % z)])
            known.add(unknown[0])
    for row in code.rows[NUM_CORE_ROWS:]:
        # The last entry of an extension row is its own parity column, with shift 0.
        make(first + row, [(c, s) for c, s in entries[row].items() if c < first + NUM_CORE_ROWS])
    return _Recipe(stride, num_columns, np.array(sums, np.int32), np.array(sources, np.int32))


def encode(bits: npt.ArrayLike, code: LdpcCode) -> npt.NDArray[np.uint8]:
    """Encode code blocks.

    bits [batch, K'] of 0 and 1. Returns [batch, `code.num_coded_bits`] uint8: the information bits without the first
    2 Z, the fillers as zeros, the parity bits; parity of rows that `code.rows` leaves out is zero.
    Raises `InputError` for another shape and for values other than 0 and 1.
    """
    info = np.ascontiguousarray(bits, dtype=np.uint8)
    if info.ndim != 2 or info.shape[1] != code.num_info_bits:
        raise bad_value("shape of bits", info.shape, f"[batch, {code.num_info_bits}]")
    if info.size and info.max() > 1:
        raise bad_value("bits", int(info.max()), "0 and 1")
    recipe = _recipe(code)
    coded = np.empty((info.shape[0], code.num_coded_bits), np.uint8)
    memory = np.zeros(recipe.num_columns * recipe.stride, np.uint8)
    transmit_function("encode", *_ARGUMENTS)(
        info.ctypes.data,
        coded.ctypes.data,
        info.shape[0],
        code.num_info_bits,
        code.num_columns,
        NUM_PUNCTURED_COLUMNS,
        code.lifting_size,
        recipe.stride,
        recipe.sums.ctypes.data,
        len(recipe.sums),
        recipe.sources.ctypes.data,
        memory.ctypes.data,
    )
    return coded
