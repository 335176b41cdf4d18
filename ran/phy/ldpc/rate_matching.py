"""LDPC rate matching and its inverse (TS 38.212 §5.4.2, Rel-18)."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ran.errors import bad_value
from ran.phy.ldpc.base_graph import NUM_PUNCTURED_COLUMNS, LdpcCode
from ran.phy.ldpc.native import transmit_function

RedundancyVersion = Literal[0, 1, 2, 3]

_POINTER, _INTEGER = ctypes.c_void_p, ctypes.c_int64
_SELECT_ARGUMENTS = (*[_POINTER] * 4, *[_INTEGER] * 9, _POINTER, _INTEGER)
_RECOVER_ARGUMENTS = (*_SELECT_ARGUMENTS, _INTEGER, _POINTER, _INTEGER)
# TS 38.212 table 5.4.2.1-2: start of each redundancy version in columns of a full circular buffer.
_START_COLUMN = {1: (0, 17, 33, 56), 2: (0, 13, 25, 43)}


@dataclass(frozen=True)
class RateMatching:
    """Bit selection and interleaving of one code block.

    code: the LDPC code, with all rows whose parity is sent.
    num_output_bits: E. bits_per_symbol: Q_m, divides E. rv: redundancy version.
    num_buffer_bits: N_cb, length of the circular buffer; default N. Shorter with limited buffer rate matching.
    """

    code: LdpcCode
    num_output_bits: int
    bits_per_symbol: int
    rv: RedundancyVersion = 0
    num_buffer_bits: int | None = None

    def __post_init__(self) -> None:
        if self.bits_per_symbol not in (1, 2, 4, 6, 8, 10):
            raise bad_value("bits_per_symbol", self.bits_per_symbol, "1, 2, 4, 6, 8, 10")
        if self.num_output_bits < 1 or self.num_output_bits % self.bits_per_symbol:
            raise bad_value(
                "num_output_bits", self.num_output_bits, f"positive multiples of bits_per_symbol {self.bits_per_symbol}"
            )
        if self.rv not in (0, 1, 2, 3):
            raise bad_value("rv", self.rv, "0, 1, 2, 3")
        if self.num_buffer_bits is not None:
            # A buffer that ends before the parity bits would send nothing but information bits, or nothing at all.
            lowest, highest = self.code.filler_range[1] + 1, self.code.num_mother_bits
            if not lowest <= self.num_buffer_bits <= highest:
                raise bad_value("num_buffer_bits", self.num_buffer_bits, f"{lowest} to {highest}")
        last_sent = max(position + length for _, position, length in self.segments)
        if last_sent > self.code.num_coded_bits:
            last_row = -(-last_sent // self.code.lifting_size) + NUM_PUNCTURED_COLUMNS - self.code.num_info_columns - 1
            raise bad_value("rows of the code", self.code.rows, f"with row {last_row}, whose parity is sent")

    @cached_property
    def segments(self) -> tuple[tuple[int, int, int], ...]:
        """Runs (start in the output before interleaving, start in the N coded bits, length) of the selected bits."""
        z, size = self.code.lifting_size, self.num_buffer_bits or self.code.num_mother_bits
        start_column = _START_COLUMN[self.code.base_graph][self.rv]
        position = start_column * size // self.code.num_mother_bits * z
        filler_start, filler_end = self.code.filler_range
        runs: list[tuple[int, int, int]] = []
        done = 0
        while done < self.num_output_bits:
            if filler_start <= position < filler_end:
                position = filler_end
            if position >= size:
                position = 0
                continue
            end = filler_start if position < filler_start else size
            length = min(end - position, self.num_output_bits - done)
            if length:
                runs.append((done, position, length))
            done += length
            position += length
        return tuple(runs)

    @cached_property
    def sent_columns(self) -> npt.NDArray[np.int64]:
        """Columns of the base graph of which at least one bit is sent."""
        z = self.code.lifting_size
        columns: set[int] = set()
        for _, position, length in self.segments:
            columns.update(range(position // z, (position + length - 1) // z + 1))
        return np.array(sorted(columns), dtype=np.int64) + NUM_PUNCTURED_COLUMNS

    def select(self, coded_bits: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Bit selection and interleaving, [..., `code.num_coded_bits`] -> [..., E]."""
        self._check_last_axis("coded_bits", coded_bits, self.code.num_coded_bits)
        if coded_bits.dtype == np.uint8:
            blocks = coded_bits.reshape(-1, 1, coded_bits.shape[-1])
            out = np.empty((len(blocks), self.num_output_bits), np.uint8)
            self.select_blocks(blocks, out)
            return out.reshape(*coded_bits.shape[:-1], self.num_output_bits)
        selected = np.empty((*coded_bits.shape[:-1], self.num_output_bits), coded_bits.dtype)
        for start, position, length in self.segments:
            selected[..., start : start + length] = coded_bits[..., position : position + length]
        q = self.bits_per_symbol
        # [..., Q_m, E / Q_m] -> [..., E / Q_m, Q_m]: written row by row, read column by column (TS 38.212 §5.4.2.2).
        run = self.num_output_bits // q
        by_row = selected.reshape(*selected.shape[:-1], q, run)
        return np.ascontiguousarray(np.swapaxes(by_row, -1, -2)).reshape(selected.shape)

    def combine(
        self, llr: npt.NDArray[np.float32], out: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[np.float32]:
        """Inverse of `select` for LLRs, [..., E] -> [..., `code.num_coded_bits`] float32.

        What was sent more than once is summed; bits that were not sent get 0, as do fillers. A float32 torch tensor
        gives a tensor on the same device.
        `out`, of the shape that is returned, holds LLRs of earlier transmissions to add to, in place.
        """
        self._check_last_axis("llr", llr, self.num_output_bits)
        if isinstance(llr, np.ndarray) and llr.dtype == np.float32:
            return self._combine_array(llr, out)
        q, run = self.bits_per_symbol, self.num_output_bits // self.bits_per_symbol
        by_symbol = llr.reshape(*llr.shape[:-1], run, q)
        selected = _new((*llr.shape[:-1], q, run), llr)
        for bit in range(q):
            selected[..., bit, :] = by_symbol[..., bit]
        selected = selected.reshape(llr.shape)
        filled = 0
        if out is None:
            # The first pass over the buffer can be copied instead of added.
            out = _new((*llr.shape[:-1], self.code.num_coded_bits), llr)
            out[...] = 0
            filled = self._num_first_visits
        else:
            self._check_last_axis("out", out, self.code.num_coded_bits)
        for i, (start, position, length) in enumerate(self.segments):
            part = selected[..., start : start + length]
            if i < filled:
                out[..., position : position + length] = part
            else:
                out[..., position : position + length] += part
        return out

    def _combine_array(
        self, llr: npt.NDArray[np.float32], out: npt.NDArray[np.float32] | None
    ) -> npt.NDArray[np.float32]:
        shape, fresh = (*llr.shape[:-1], self.code.num_coded_bits), out is None
        if out is None:
            out = np.empty(shape, np.float32)
        else:
            self._check_last_axis("out", out, self.code.num_coded_bits)
        blocks = out.reshape(-1, 1, shape[-1])
        self.recover_blocks(np.ascontiguousarray(llr).reshape(-1, self.num_output_bits), blocks, fresh=fresh)
        if not np.shares_memory(blocks, out):
            out[...] = blocks.reshape(shape)
        return out

    def select_blocks(
        self,
        coded_bits: npt.NDArray[np.uint8],
        out: npt.NDArray[np.uint8],
        scrambling: npt.NDArray[np.uint8] | None = None,
    ) -> None:
        """`select` for all code blocks of transport blocks, scrambled on the way, into place.

        coded_bits [batch, count, `code.num_coded_bits`] of 0 and 1, contiguous along the last axis; out [batch,
        count * E], likewise; scrambling [num_users, count * E] of 0 and 1, of transport block i that of user
        i % num_users, by default none.
        """
        q, segments = self.bits_per_symbol, self._segment_table
        turns, user_stride, block_stride = self._turns(scrambling)
        scratch = np.empty(self.num_output_bits, np.uint8)
        transmit_function(f"select_{q}", *_SELECT_ARGUMENTS)(
            coded_bits.ctypes.data,
            turns.ctypes.data,
            out.ctypes.data,
            scratch.ctypes.data,
            *coded_bits.shape[:2],
            *coded_bits.strides[:2],
            out.strides[0],
            self.num_output_bits,
            len(turns),
            user_stride,
            block_stride,
            segments.ctypes.data,
            len(segments),
        )

    def recover_blocks(
        self,
        llr: npt.NDArray[np.float32],
        out: npt.NDArray[np.float32],
        scrambling: npt.NDArray[np.uint8] | None = None,
        *,
        fresh: bool = True,
    ) -> None:
        """`combine` for all code blocks of transport blocks, descrambled on the way, into place.

        llr [batch, count * E] and out [batch, count, `code.num_coded_bits`], both contiguous along the last axis;
        scrambling as in `select_blocks`. fresh: whether `out` holds nothing yet; else LLRs are added to it.
        """
        q, segments, gaps = self.bits_per_symbol, self._segment_table, self._gaps
        turns, user_stride, block_stride = self._turns(scrambling)
        scratch = np.empty(self.num_output_bits, np.float32)
        transmit_function(f"recover_{q}", *_RECOVER_ARGUMENTS)(
            llr.ctypes.data,
            turns.ctypes.data,
            out.ctypes.data,
            scratch.ctypes.data,
            *out.shape[:2],
            llr.strides[0] // 4,
            *(stride // 4 for stride in out.strides[:2]),
            self.num_output_bits,
            len(turns),
            user_stride,
            block_stride,
            segments.ctypes.data,
            len(segments),
            self._num_first_visits if fresh else 0,
            gaps.ctypes.data,
            len(gaps) if fresh else 0,
        )

    def _turns(self, scrambling: npt.NDArray[np.uint8] | None) -> tuple[npt.NDArray[np.uint8], int, int]:
        """Scrambling sequences, and bytes from one user and one code block to the next."""
        if scrambling is None:
            return self._no_scrambling, 0, 0
        return scrambling, scrambling.strides[0], self.num_output_bits

    @cached_property
    def _no_scrambling(self) -> npt.NDArray[np.uint8]:
        return np.zeros((1, self.num_output_bits), np.uint8)

    @cached_property
    def _segment_table(self) -> npt.NDArray[np.int64]:
        return np.array(self.segments, np.int64)

    @cached_property
    def _gaps(self) -> npt.NDArray[np.int64]:
        """Runs (start, length) of coded bits that none of the first segments touches."""
        gaps, end = [], 0
        for _, position, length in sorted(self.segments[: self._num_first_visits], key=lambda segment: segment[1]):
            gaps.append((end, position - end))
            end = position + length
        gaps.append((end, self.code.num_coded_bits - end))
        return np.array([gap for gap in gaps if gap[1]] or np.empty((0, 2)), np.int64)

    @cached_property
    def _num_first_visits(self) -> int:
        """How many leading segments touch only positions that no segment before them touched."""
        seen: list[tuple[int, int]] = []
        for i, (_, position, length) in enumerate(self.segments):
            if any(position < end and start < position + length for start, end in seen):
                return i
            seen.append((position, position + length))
        return len(self.segments)

    @staticmethod
    def _check_last_axis(what: str, array: npt.NDArray[np.generic], length: int) -> None:
        if array.ndim < 1 or array.shape[-1] != length:
            raise bad_value(f"shape of {what}", array.shape, f"[..., {length}]")


def _new(shape: tuple[int, ...], like: Any) -> Any:
    """Memory for float32 numbers: a torch tensor where `like` is one, else an array."""
    return np.empty(shape, np.float32) if isinstance(like, np.ndarray) else like.new_empty(shape)
