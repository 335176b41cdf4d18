"""The LDPC codes of TS 38.212 §5.3.2, Rel-18: base graphs, lifting sizes, one description that all of coding shares."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from typing import Literal

import numpy as np
import numpy.typing as npt

from ran.errors import bad_value

BaseGraph = Literal[1, 2]

#: TS 38.212 table 5.3.2-1: lifting sizes of each set index i_LS.
LIFTING_SIZE_SETS: tuple[tuple[int, ...], ...] = (
    (2, 4, 8, 16, 32, 64, 128, 256),
    (3, 6, 12, 24, 48, 96, 192, 384),
    (5, 10, 20, 40, 80, 160, 320),
    (7, 14, 28, 56, 112, 224),
    (9, 18, 36, 72, 144, 288),
    (11, 22, 44, 88, 176, 352),
    (13, 26, 52, 104, 208),
    (15, 30, 60, 120, 240),
)
LIFTING_SIZES: tuple[int, ...] = tuple(sorted(size for sizes in LIFTING_SIZE_SETS for size in sizes))

#: Rows of the base graphs whose parity bits are not one check each: the "core", always needed.
NUM_CORE_ROWS = 4
#: Leading information columns that are never sent.
NUM_PUNCTURED_COLUMNS = 2

_NUM_ROWS = {1: 46, 2: 42}
_NUM_INFO_COLUMNS = {1: 22, 2: 10}
_NUM_EDGES = {1: 316, 2: 197}


@dataclass(frozen=True)
class Edges:
    """Non-zero entries of a lifted base graph, sorted by row, then column: three int64 arrays of one length.

    Entry i says: check row[i] lane z contains bit (z + shift[i]) mod Z of column[i].
    """

    row: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    shift: npt.NDArray[np.int64]


@cache
def _table() -> npt.NDArray[np.int64]:
    """TS 38.212 tables 5.3.2-2 and 5.3.2-3: rows of (base graph, row, column, V for i_LS = 0..7)."""
    text = files("ran.phy.ldpc").joinpath("base_graphs.csv").read_text(encoding="ascii").splitlines()
    return np.array([[int(value) for value in line] for line in csv.reader(text[1:])], dtype=np.int64)


@cache
def base_graph_edges(base_graph: BaseGraph, lifting_size: int) -> Edges:
    """All edges of a base graph for a lifting size: shift = V mod Z (TS 38.212 §5.3.2)."""
    if base_graph not in _NUM_ROWS:
        raise bad_value("base_graph", base_graph, "1 or 2")
    if lifting_size not in LIFTING_SIZES:
        raise bad_value("lifting_size", lifting_size, ", ".join(map(str, LIFTING_SIZES)))
    set_index = next(i for i, sizes in enumerate(LIFTING_SIZE_SETS) if lifting_size in sizes)
    table = _table()
    table = table[table[:, 0] == base_graph]
    edges = Edges(table[:, 1].copy(), table[:, 2].copy(), table[:, 3 + set_index] % lifting_size)
    for array in (edges.row, edges.column, edges.shift):
        array.setflags(write=False)
    return edges


@dataclass(frozen=True)
class LdpcCode:
    """One LDPC code: what encoder, rate matching and decoders need to know. Hashable; equal when its fields are.

    base_graph: 1 or 2. lifting_size: Z, one of `LIFTING_SIZES`.
    num_info_bits: K', bits of a code block with its CRC and without fillers.
    rows: rows of the base graph that a decoder processes, ascending; default all. A row whose own parity column was
    never
        sent says nothing about other bits, so that leaving it out changes no decision; see `with_sent_columns`.
    """

    base_graph: BaseGraph
    lifting_size: int
    num_info_bits: int
    rows: tuple[int, ...] = field(default=())

    def __post_init__(self) -> None:
        base_graph_edges(self.base_graph, self.lifting_size)
        if not 1 <= self.num_info_bits <= self.num_systematic_bits:
            raise bad_value(
                f"num_info_bits at base graph {self.base_graph} and lifting size {self.lifting_size}",
                self.num_info_bits,
                f"1 to {self.num_systematic_bits}",
            )
        if not self.rows:
            object.__setattr__(self, "rows", tuple(range(self.num_rows)))
        core = tuple(range(NUM_CORE_ROWS))
        ascending = all(a < b for a, b in zip(self.rows, self.rows[1:], strict=False))
        if self.rows[:NUM_CORE_ROWS] != core or not ascending or self.rows[-1] >= self.num_rows:
            raise bad_value("rows", self.rows, f"0, 1, 2, 3 and then ascending numbers up to {self.num_rows - 1}")

    @property
    def num_rows(self) -> int:
        """Rows of the base graph, 46 or 42."""
        return _NUM_ROWS[self.base_graph]

    @property
    def num_info_columns(self) -> int:
        """Columns of the base graph that hold information and filler bits, 22 or 10."""
        return _NUM_INFO_COLUMNS[self.base_graph]

    @property
    def num_columns(self) -> int:
        """Columns of the base graph up to the parity column of the last of `rows`; 68 or 52 with all rows."""
        return self.num_info_columns + self.rows[-1] + 1

    @property
    def num_systematic_bits(self) -> int:
        """K = 22 Z or 10 Z: information and filler bits."""
        return self.num_info_columns * self.lifting_size

    @property
    def num_filler_bits(self) -> int:
        """F = K - K'."""
        return self.num_systematic_bits - self.num_info_bits

    @property
    def num_mother_bits(self) -> int:
        """N = 66 Z or 50 Z of TS 38.212: all coded bits, fillers included, without the two punctured columns."""
        return (self.num_info_columns + self.num_rows - NUM_PUNCTURED_COLUMNS) * self.lifting_size

    @property
    def num_coded_bits(self) -> int:
        """The coded bits up to the last of `rows`: what encoder and decoder handle. N where no row is left out."""
        return (self.num_columns - NUM_PUNCTURED_COLUMNS) * self.lifting_size

    @property
    def filler_range(self) -> tuple[int, int]:
        """First and one past the last filler position within the N coded bits."""
        punctured = NUM_PUNCTURED_COLUMNS * self.lifting_size
        return max(0, self.num_info_bits - punctured), self.num_systematic_bits - punctured

    @cached_property
    def edges(self) -> Edges:
        """Edges of all rows of the base graph."""
        return base_graph_edges(self.base_graph, self.lifting_size)

    def with_sent_columns(self, columns: npt.ArrayLike) -> LdpcCode:
        """The same code with only the rows that matter when just these columns were sent."""
        sent = {int(column) for column in np.asarray(columns).ravel()}
        extension = (row for row in range(NUM_CORE_ROWS, self.num_rows) if self.num_info_columns + row in sent)
        rows = (*range(NUM_CORE_ROWS), *extension)
        return LdpcCode(self.base_graph, self.lifting_size, self.num_info_bits, rows)


def select_lifting_size(base_graph: BaseGraph, num_info_bits: int, num_bits_before_segmentation: int) -> int:
    """Smallest Z with K_b Z >= K' (TS 38.212 §5.2.2).

    num_bits_before_segmentation: B of the same clause, transport block with its CRC; sets K_b of base graph 2.
    """
    info_columns = 22
    if base_graph == 2:
        b = num_bits_before_segmentation
        info_columns = 10 if b > 640 else 9 if b > 560 else 8 if b > 192 else 6
    for size in LIFTING_SIZES:
        if info_columns * size >= num_info_bits:
            return size
    raise bad_value("num_info_bits of a code block", num_info_bits, f"up to {info_columns * LIFTING_SIZES[-1]}")
