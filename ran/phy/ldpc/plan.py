"""What the decoder kernel is told about a code: every address and every shift, worked out once.

Memory of a group of frames (1, 2 or 4 code blocks decoded together, interleaved bit by bit so that short blocks fill
the lanes of a vector; a shift by s becomes a shift by s times the number of frames):

- Each column has two slots. Serving a check reads the column from one slot, cyclically shifted, and writes it back to
  the other without a shift, so that all writes are aligned and nothing is ever moved just to be shifted: the column
  then simply starts at the bit where this check starts, and the next check reads it with the difference of the two
  shifts. Behind a slot its first vector is repeated, so that reads may run over the end.
- Which slot and which difference follows from the code alone, alternating between even and odd iterations where a
  column is served an odd number of times. Hence two tables of addresses, for even and for odd iterations. The largest,
  for 52 slots of 384 + 64 messages, fits 16 bits.
- The parity column of an extension row belongs to that row alone: its channel value never changes and is read in place.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import IntEnum, auto
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from ran.phy.ldpc.base_graph import NUM_CORE_ROWS, NUM_PUNCTURED_COLUMNS, LdpcCode

#: Check kernels: number of shared columns in a check, and whether it has a parity column of its own. All that occur in
#: the two base graphs, also with the columns left out that only hold fillers (see `_columns_in_use`).
CHECK_KERNELS: tuple[tuple[int, bool], ...] = (
    *((degree, False) for degree in (6, 7, 8, 9, 10, 19)),
    *((degree, True) for degree in range(1, 10)),
)


#: How many frames a kernel can interleave. More than one only where the lowest byte of a word comes first in memory.
FRAME_COUNTS: dict[str, tuple[int, ...]] = {"int8": (1, 2, 4) if sys.byteorder == "little" else (1,), "float32": (1,)}
#: Width of loops over received LLRs, on every CPU: sums depend on the order of addition.
INPUT_LANES = 16
# About so many LLRs of a frame decide on its scaling.
_NUM_SCALE_SAMPLES = 512


class Field(IntEnum):
    """Index into `Plan.header`. Lengths and offsets count elements (messages) unless they say bytes."""

    LLR_STRIDE = 0
    COLUMN_LENGTH = auto()
    NUM_BLOCKS = auto()
    LAST_BLOCK_LANES = auto()
    NUM_ROWS = auto()
    NUM_EDGES = auto()
    NUM_RUNS = auto()
    SAMPLE_STEP = auto()
    ROUNDING = auto()
    NUM_COLUMNS = auto()
    NUM_INFO_BITS = auto()
    FILLER_START = auto()
    FILLER_LENGTH = auto()
    NUM_MESSAGES = auto()
    SLOT_BYTES = auto()
    MESSAGE_BYTES = auto()
    CHANNEL_BYTES = auto()
    PARITY_BYTES = auto()
    BITS_BYTES = auto()


@dataclass(frozen=True)
class Plan:
    """Tables for the decoder kernel.

    header int64 [len(Field)].
    rows int32 [rows, 4]: index of the check kernel, first entry, degree, start of the row's own parity in the channel
    area or -1. reads uint16 [2, edges x blocks]: where each vector is read, for even and for odd iterations; rows in
    order, in them blocks, in
        them edges. writes uint16 [2, edges]: where the slot written to starts.
    checks uint16 [2, edges x blocks]: as `reads`, for the syndrome after an even and after an odd iteration.
    columns int32 [columns, 5]: start in the channel area, shift at the start of an iteration, slot at the start of even
    and of odd
        iterations, first information bit.
    runs int64 [runs, 3]: received LLRs that are used: start in the frame, start in the channel area, length.
    workspace_bytes: memory that the kernel needs.
    """

    num_frames: int
    header: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int32]
    reads: npt.NDArray[np.uint16]
    writes: npt.NDArray[np.uint16]
    checks: npt.NDArray[np.uint16]
    columns: npt.NDArray[np.int32]
    runs: npt.NDArray[np.int64]
    workspace_bytes: int

    @cached_property
    def addresses(self) -> tuple[int, ...]:
        """Of the tables, in the order in which the kernel takes them."""
        tables = (self.header, self.rows, self.reads, self.writes, self.checks, self.columns, self.runs)
        return tuple(table.ctypes.data for table in tables)


def frames_per_group(code: LdpcCode, lanes: int, batch: int, allowed: tuple[int, ...]) -> int:
    """How many frames to interleave: as few as fill the vectors to 80 %, or else what fills them best."""

    def vectors_per_frame(frames: int) -> float:
        return -(-code.lifting_size * frames // lanes) / frames

    useful = [frames for frames in allowed if frames < 2 * batch] or [1]
    for frames in useful:
        if code.lifting_size / (lanes * vectors_per_frame(frames)) >= 0.8:
            return frames
    return min(useful, key=vectors_per_frame)


def int8_rounding(code: LdpcCode) -> int:
    """How int8 messages m become 0.75 m = m - (m + rounding) // 4: rounded down (3), or from rate 0.8 to nearest (2).

    Min-sum claims more than it knows, the more so the lower the rate. Rounding down tempers that, by up to 0.4 dB at
    rate 1/3; at high rates it costs 0.05 dB. Rounding up would let messages grow by feeding on themselves: errors in
    nearly every block.
    """
    rate = code.num_info_columns / (code.num_columns - NUM_PUNCTURED_COLUMNS)
    return 2 if rate >= 0.8 else 3


@lru_cache(maxsize=64)
def make_plan(code: LdpcCode, lanes: int, message_bytes: int, num_frames: int) -> Plan:
    """The plan for a code, vectors of `lanes` messages of `message_bytes` each, and a number of interleaved frames."""
    z, length = code.lifting_size, code.lifting_size * num_frames
    num_blocks = -(-length // lanes)
    columns = _columns_in_use(code)
    slot_stride = num_blocks * lanes + lanes
    slot = {column: 2 * i * slot_stride for i, column in enumerate(columns)}

    served = [(row, [(column, shift * num_frames) for column, shift in members]) for row, members in served_rows(code)]
    num_edges = sum(len(edges) for _, edges in served)
    visits = dict.fromkeys(columns, 0)
    last_shift = dict.fromkeys(columns, 0)
    for _, edges in served:
        for column, shift in edges:
            visits[column] += 1
            last_shift[column] = shift

    block_starts = np.arange(num_blocks) * lanes

    def read_row(
        edges: list[tuple[int, int]], shift_now: dict[int, int], second: dict[int, int]
    ) -> npt.NDArray[np.int64]:
        """Where a row reads its columns, [blocks x edges]."""
        start = np.array([slot[column] + second[column] * slot_stride for column, _ in edges])
        ahead = np.array([shift - shift_now[column] for column, shift in edges])
        return (start + (ahead + block_starts[:, None]) % length).ravel()

    reads: list[npt.NDArray[np.int64]] = []
    checks: list[npt.NDArray[np.int64]] = []
    writes: list[int] = []
    for parity in (0, 1):
        second = {column: parity * visits[column] % 2 for column in columns}
        shift_now = dict(last_shift)
        for _, edges in served:
            reads.append(read_row(edges, shift_now, second))
            for column, shift in edges:
                second[column], shift_now[column] = 1 - second[column], shift
                writes.append(slot[column] + second[column] * slot_stride)
        checks += [read_row(edges, last_shift, second) for _, edges in served]

    rows = np.zeros((len(served), 4), np.int32)
    first = 0
    for i, (row, edges) in enumerate(served):
        own = row >= NUM_CORE_ROWS
        start = (code.num_info_columns + row) * length if own else -1
        rows[i] = CHECK_KERNELS.index((len(edges), own)), first, len(edges), start
        first += len(edges)

    table = [
        (
            column * length,
            last_shift[column],
            slot[column],
            slot[column] + visits[column] % 2 * slot_stride,
            column * z,
        )
        for column in columns
    ]
    sizes = {
        Field.SLOT_BYTES: 2 * len(columns) * slot_stride * message_bytes,
        Field.MESSAGE_BYTES: num_edges * num_blocks * lanes * message_bytes,
        Field.CHANNEL_BYTES: (code.num_columns * length + lanes + INPUT_LANES * num_frames) * message_bytes,
        Field.PARITY_BYTES: len(served) * num_blocks * lanes * message_bytes,
        Field.BITS_BYTES: code.num_systematic_bits + 64,
    }
    header = np.zeros(len(Field), np.int64)
    header[Field.LLR_STRIDE] = code.num_coded_bits
    header[Field.COLUMN_LENGTH] = length
    header[Field.NUM_BLOCKS] = num_blocks
    header[Field.LAST_BLOCK_LANES] = length - (num_blocks - 1) * lanes
    header[Field.NUM_ROWS] = len(served)
    header[Field.NUM_EDGES] = num_edges
    header[Field.ROUNDING] = int8_rounding(code)
    header[Field.NUM_COLUMNS] = len(columns)
    header[Field.NUM_INFO_BITS] = code.num_info_bits
    header[Field.FILLER_START] = code.num_info_bits * num_frames
    header[Field.FILLER_LENGTH] = code.num_filler_bits * num_frames
    header[Field.NUM_MESSAGES] = num_edges * num_blocks * lanes
    offset = 0
    for name, size in sizes.items():
        header[name] = offset
        offset += -(-size // 64) * 64
    runs = received_runs(code, num_frames)
    header[Field.NUM_RUNS] = len(runs)
    header[Field.SAMPLE_STEP] = sample_step(runs)
    return Plan(
        num_frames,
        header,
        rows,
        np.concatenate(reads).astype(np.uint16),
        np.array(writes, np.uint16),
        np.concatenate(checks).astype(np.uint16),
        np.array(table, np.int32),
        runs,
        offset,
    )


def served_rows(code: LdpcCode) -> list[tuple[int, list[tuple[int, int]]]]:
    """Rows that a decoder serves and the columns (with their shifts) that each shares with other rows."""
    in_use = set(_columns_in_use(code))
    served = []
    for row in code.rows:
        members = code.edges.row == row
        pairs = zip(code.edges.column[members].tolist(), code.edges.shift[members].tolist(), strict=True)
        served.append((row, [(column, shift) for column, shift in pairs if column in in_use]))
    return [(row, members) for row, members in served if members]


def sample_step(runs: npt.NDArray[np.int64]) -> int:
    """Distance between the vectors of received LLRs that decide on the scaling."""
    return INPUT_LANES * max(1, int(runs[:, 2].sum()) // _NUM_SCALE_SAMPLES)


def _columns_in_use(code: LdpcCode) -> list[int]:
    """Columns that checks share, without the last information columns of base graph 2 where they hold only fillers.

    A column of known zeros adds nothing to a check: its sign is positive and its magnitude never the smallest.
    """
    core_end = code.num_info_columns + NUM_CORE_ROWS
    unused = range(0)
    if code.base_graph == 2:
        unused = range(max(6, -(-code.num_info_bits // code.lifting_size)), code.num_info_columns)
    return [column for column in range(core_end) if column not in unused]


def received_runs(code: LdpcCode, num_frames: int = 1) -> npt.NDArray[np.int64]:
    """Runs of LLRs to take from a frame: information, core parity, and the parity columns of the rows in use.

    int64 [runs, 3]: start in the frame, start in the channel area of `num_frames` interleaved frames, length.
    """
    rows = [row for row, _ in served_rows(code)]
    z = code.lifting_size
    punctured = NUM_PUNCTURED_COLUMNS * z
    core = (code.num_systematic_bits, code.num_systematic_bits + NUM_CORE_ROWS * z)
    runs = [(punctured, code.num_info_bits), core] if code.num_info_bits > punctured else [core]
    for row in rows:
        if row >= NUM_CORE_ROWS:
            start = (code.num_info_columns + row) * z
            if runs[-1][1] == start:
                runs[-1] = (runs[-1][0], start + z)
            else:
                runs.append((start, start + z))
    return np.array([(start - punctured, start * num_frames, end - start) for start, end in runs], np.int64)
