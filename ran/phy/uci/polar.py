"""Polar codes of the uplink: construction, encoding, rate matching and successive cancellation list decoding.

Source: TS 38.212 §5.3.1 and §5.4.1, Rel-18; without the input interleaving of the downlink. The decoder is the
LLR-based list decoder of A. Balatsoukas-Stimming, M. Bastani Parizi and A. Burg (IEEE Trans. Signal Process. 63(19),
2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from math import ceil, log2
from typing import Any

import numpy as np
import numpy.typing as npt

from ran.errors import bad_value

_MAX_LOG_SIZE = 10
# TS 38.212 table 5.4.1.1-1
_SUB_BLOCKS = (
    *(0, 1, 2, 4, 3, 5, 6, 7, 8, 16, 9, 17, 10, 18, 11, 19),
    *(12, 20, 13, 21, 14, 22, 15, 23, 24, 25, 26, 28, 27, 29, 30, 31),
)


@lru_cache(maxsize=1)
def polar_sequence() -> npt.NDArray[np.int64]:
    """Bit indices of the mother code of 1024 bits from the least to the most reliable (table 5.3.1.2-1)."""
    text = (resources.files("ran.phy.uci") / "polar_sequence.csv").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return np.array([int(value) for line in lines for value in line.split(",")])


@dataclass(frozen=True)
class PolarCode:
    """Polar code of one code block with its rate matching.

    num_info_bits: K, CRC included. num_output_bits: E. Raises `InputError` for sizes that the standard does not have.
    """

    num_info_bits: int
    num_output_bits: int

    def __post_init__(self) -> None:
        if not 18 <= self.num_info_bits <= 1023:
            raise bad_value(
                "bits of a polar code block", self.num_info_bits, "18 to 1023, CRC included (TS 38.212 §5.3.1)"
            )
        if self.num_info_bits + self.num_parity_bits > self.num_output_bits:
            raise bad_value(
                "coded bits of a polar code block",
                self.num_output_bits,
                f"{self.num_info_bits + self.num_parity_bits} or more",
            )
        _ = self.info_positions

    @cached_property
    def log_size(self) -> int:
        """n of TS 38.212 §5.3.1: the mother code has N = 2^n bits."""
        k, e = self.num_info_bits, self.num_output_bits
        whole = ceil(log2(e))
        first = whole - 1 if 8 * e <= 9 * 2 ** (whole - 1) and 16 * k < 9 * e else whole
        return max(min(first, ceil(log2(8 * k)), _MAX_LOG_SIZE), 5)

    @property
    def size(self) -> int:
        """N, bits of the mother code."""
        return int(2**self.log_size)

    @property
    def num_parity_bits(self) -> int:
        """n_PC of TS 38.212 §6.3.1.3.1."""
        return 3 if 18 <= self.num_info_bits <= 25 else 0

    @cached_property
    def sub_blocks(self) -> npt.NDArray[np.int64]:
        """J(n) of §5.4.1.1: which bit of the mother code is n-th after sub-block interleaving."""
        part = self.size // 32
        n = np.arange(self.size)
        return np.array(_SUB_BLOCKS)[32 * n // self.size] * part + n % part

    @property
    def _punctures(self) -> bool:
        return 16 * self.num_info_bits <= 7 * self.num_output_bits

    @cached_property
    def info_positions(self) -> npt.NDArray[np.int64]:
        """Q_I of §5.3.1.2 with the parity-check bits, from the least to the most reliable."""
        size, e = self.size, self.num_output_bits
        frozen = np.zeros(size, bool)
        if e < size:
            if self._punctures:
                frozen[self.sub_blocks[: size - e]] = True
                # exact ceilings of 3N/4 - E/2 and 9N/16 - E/4
                until = -((2 * e - 3 * size) // 4) if 4 * e >= 3 * size else -((4 * e - 9 * size) // 16)
                frozen[: max(until, 0)] = True
            else:
                frozen[self.sub_blocks[e:]] = True
        order = polar_sequence()
        order = order[order < size]
        order = order[~frozen[order]]
        wanted = self.num_info_bits + self.num_parity_bits
        if len(order) < wanted:
            raise bad_value("coded bits of a polar code block", e, f"more, for {wanted} positions")
        return order[-wanted:]

    @cached_property
    def parity_positions(self) -> npt.NDArray[np.int64]:
        """Q_PC of §5.3.1.2."""
        if not self.num_parity_bits:
            return np.zeros(0, np.int64)
        by_weight = int(self.num_output_bits - self.num_info_bits > 189)
        least = self.info_positions[: self.num_parity_bits - by_weight]
        if not by_weight:
            return least
        # row weights of the transform are two to the number of ones of the index
        others = self.info_positions[self.num_parity_bits :]
        weights = np.array([int(index).bit_count() for index in others])
        return np.append(least, others[np.flatnonzero(weights == weights.min())[-1]])

    @cached_property
    def kinds(self) -> npt.NDArray[np.uint8]:
        """0 frozen, 1 information, 2 parity check, for every bit of the transform's input."""
        found = np.zeros(self.size, np.uint8)
        found[self.info_positions] = 1
        found[self.parity_positions] = 2
        return found

    def encode(self, bits: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """Bits [batch, K] to the mother code's [batch, N] uint8."""
        message = np.asarray(bits, np.uint8)
        if message.ndim != 2 or message.shape[1] != self.num_info_bits:
            raise bad_value("shape of bits", message.shape, f"[batch, {self.num_info_bits}]")
        u = np.zeros((len(message), self.size), np.uint8)
        register = np.zeros((5, len(message)), np.uint8)
        k = 0
        for n, kind in enumerate(self.kinds):
            register = np.roll(register, -1, axis=0)
            if kind == 2:
                u[:, n] = register[0]
            elif kind == 1:
                u[:, n] = message[:, k]
                register[0] ^= message[:, k]
                k += 1
        for stage in range(self.log_size):
            blocks = u.reshape(len(u), u.shape[1] >> (stage + 1), 2, 1 << stage)
            blocks[:, :, 0] ^= blocks[:, :, 1]
        return u

    @cached_property
    def selection(self) -> npt.NDArray[np.int64]:
        """Which bit of the mother code each output bit is, sub-block and channel interleaving included, [E]."""
        e, size = self.num_output_bits, self.size
        k = np.arange(e)
        chosen = k % size if e >= size else k + size - e if self._punctures else k
        return self.sub_blocks[chosen][triangle(e)]

    def rate_match(self, coded: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """[batch, N] to [batch, E] (§5.4.1, with the interleaving of coded bits)."""
        return np.ascontiguousarray(coded[:, self.selection])

    def rate_recover(self, llr: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """LLRs [batch, E] to those of the mother code [batch, N]: 0 where nothing was sent, certain of known zeros."""
        out = np.zeros((len(llr), self.size), np.float32)
        np.add.at(out.T, self.selection, llr.T)
        if self.num_output_bits < self.size and not self._punctures:
            # shortened bits are 0
            certain = 2 * np.abs(out).max(initial=1.0) * self.size
            out[:, self.sub_blocks[self.num_output_bits :]] = certain
        return out

    def decode(self, llr: npt.NDArray[np.float32], list_size: int = 8) -> npt.NDArray[np.uint8]:
        """LLRs [batch, E], positive for bit 0, to candidates uint8 [batch, list_size, K], the likeliest first."""
        from ran.phy.uci.list_decoder import list_decode

        mother = np.ascontiguousarray(self.rate_recover(np.asarray(llr, np.float32)))
        found: Any = list_decode(mother, self.kinds, list_size)
        return np.asarray(found[:, :, np.flatnonzero(self.kinds == 1)])


@lru_cache(maxsize=32)
def _triangle(size: int) -> npt.NDArray[np.int64]:
    rows = ceil((-1 + (1 + 8 * size) ** 0.5) / 2)
    table = np.full((rows, rows), -1)
    place = 0
    for row in range(rows):
        count = min(rows - row, max(size - place, 0))
        table[row, :count] = np.arange(place, place + count)
        place += rows - row
    flat = table.T.ravel()
    return flat[flat >= 0]


def triangle(size: int) -> npt.NDArray[np.int64]:
    """Interleaving of coded bits of §5.4.1.3: which bit comes n-th, [size]; written by rows, read by columns."""
    return _triangle(size)
