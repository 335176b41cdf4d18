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

# With a kernel of their own, in `kernel.transmit`.
_INTERLEAVED_BITS = (2, 4, 6, 8)
_INTERLEAVE_ARGUMENTS = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
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
        selected = np.empty((*coded_bits.shape[:-1], self.num_output_bits), coded_bits.dtype)
        for start, position, length in self.segments:
            selected[..., start : start + length] = coded_bits[..., position : position + length]
        q = self.bits_per_symbol
        # [..., Q_m, E / Q_m] -> [..., E / Q_m, Q_m]: written row by row, read column by column (TS 38.212 §5.4.2.2).
        run = self.num_output_bits // q
        if selected.dtype == np.uint8 and q in _INTERLEAVED_BITS:
            interleaved = np.empty_like(selected)
            function = transmit_function(f"interleave_{q}", *_INTERLEAVE_ARGUMENTS)
            function(selected.ctypes.data, interleaved.ctypes.data, selected.size // self.num_output_bits, run)
            return interleaved
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
