"""From UCI payloads to coded bits and back: CRC, segmentation, small blocks and polar codes (TS 38.212 §6.3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ran.errors import bad_value
from ran.phy import crc as crc_module
from ran.phy.crc import Polynomial
from ran.phy.uci.polar import PolarCode
from ran.phy.uci.small_block import decode_small, encode_small, share, small_pattern

_MOST_BITS = 1706


@dataclass(frozen=True)
class UciDecision:
    """bits uint8 [batch, A]; ok bool [batch]: the CRC of all code blocks holds, or without one true.

    metric float32 [batch]: for payloads without CRC how well the codeword fits, -1 to 1; 1 with a CRC that holds.
    """

    bits: npt.NDArray[np.uint8]
    ok: npt.NDArray[np.bool_]
    metric: npt.NDArray[np.float32]


@dataclass(frozen=True)
class UciCode:
    """Code of one kind of UCI: A payload bits to E coded bits (TS 38.212 §6.3.1.2 to §6.3.1.5, Rel-18).

    num_bits: A, 1 to 1706. num_coded_bits: E. bits_per_symbol: Q_m, which shapes codes of one and two bits.
    """

    num_bits: int
    num_coded_bits: int
    bits_per_symbol: int

    def __post_init__(self) -> None:
        if not 1 <= self.num_bits <= _MOST_BITS:
            raise bad_value("UCI bits", self.num_bits, f"1 to {_MOST_BITS} (TS 38.212 §6.3.1.2)")
        if self.num_coded_bits < 1:
            raise bad_value("coded bits of UCI", self.num_coded_bits, "1 or more")
        if self.num_bits > 11:
            _ = self.block

    @property
    def num_blocks(self) -> int:
        """C of §6.3.1.2.1."""
        a, e = self.num_bits, self.num_coded_bits
        return 2 if a >= 1013 or (a >= 360 and e >= 1088) else 1

    @property
    def crc_polynomial(self) -> Polynomial:
        """CRC of payloads from 12 bits on."""
        return "11" if self.num_bits >= 20 else "6"

    @cached_property
    def block(self) -> PolarCode:
        """Polar code of every code block."""
        size = -(-self.num_bits // self.num_blocks) + crc_length(self.num_bits)
        return PolarCode(size, self.num_coded_bits // self.num_blocks)

    @property
    def repeats(self) -> npt.NDArray[np.int64]:
        """Coded bits that are the placeholder Y, of codes of one and two bits."""
        pattern = small_pattern(self.num_bits, self.bits_per_symbol)
        return np.flatnonzero(pattern[np.arange(self.num_coded_bits) % len(pattern)] == 4)

    def segment(self, bits: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """Payloads [batch, A], A from 12, to code blocks with CRC [batch, C, K]."""
        payload = np.asarray(bits, np.uint8)
        filler = -self.num_bits % self.num_blocks
        padded = np.concatenate([np.zeros((len(payload), filler), np.uint8), payload], axis=1)
        blocks = padded.reshape(len(payload), self.num_blocks, padded.shape[1] // self.num_blocks)
        return np.concatenate([blocks, crc_module.crc(blocks, self.crc_polynomial)], axis=2)

    def encode(self, bits: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """Payloads [batch, A] to coded bits [batch, E], placeholders X and Y among them for one and two bits."""
        payload = np.asarray(bits, np.uint8)
        if payload.ndim != 2 or payload.shape[1] != self.num_bits:
            raise bad_value("shape of UCI bits", payload.shape, f"[batch, {self.num_bits}]")
        if self.num_bits <= 11:
            coded = encode_small(payload, self.bits_per_symbol)
            return np.ascontiguousarray(coded[:, np.arange(self.num_coded_bits) % coded.shape[1]])
        blocks = self.segment(payload)
        batch, count, size = blocks.shape
        sent = self.block.rate_match(self.block.encode(blocks.reshape(batch * count, size)))
        sent = sent.reshape(batch, count * self.block.num_output_bits)
        # a bit that is left over stays 0
        rest = self.num_coded_bits - sent.shape[1]
        return sent if not rest else np.concatenate([sent, np.zeros((batch, rest), np.uint8)], axis=1)

    def decode(self, llr: npt.NDArray[np.float32], list_size: int = 8) -> UciDecision:
        """LLRs [batch, E], descrambled, positive for bit 0. Those of Y have the sign of the bit before."""
        batch = len(llr)
        if self.num_bits <= 2:
            return self._decide_few(llr)
        if self.num_bits <= 11:
            bits, metric = decode_small(llr, self.num_bits)
            return UciDecision(bits, np.ones(batch, bool), metric)
        count = self.num_blocks
        size = self.block.num_output_bits
        per_block = llr[:, : count * size].reshape(batch * count, size)
        candidates = self.block.decode(per_block, list_size)
        holds = crc_module.crc_ok(candidates, self.crc_polynomial)
        first = np.where(holds.any(1), holds.argmax(1), 0)
        chosen = candidates[np.arange(len(candidates)), first]
        ok = np.asarray(holds.any(1).reshape(batch, count).all(1))
        size = chosen.shape[1] - crc_length(self.num_bits)
        payload = chosen[:, :size].reshape(batch, count * size)[:, -self.num_bits :]
        return UciDecision(np.ascontiguousarray(payload), ok, np.asarray(ok, np.float32))

    def _decide_few(self, llr: npt.NDArray[np.float32]) -> UciDecision:
        """One or two bits: the sum over all places of each of c_0, c_1, c_2. Y repeats the bit before it."""
        pattern = small_pattern(self.num_bits, self.bits_per_symbol)
        places = pattern[np.arange(self.num_coded_bits) % len(pattern)]
        places = np.where(places == 4, np.roll(places, 1), places)
        sums = np.stack([llr[:, places == c].sum(1) for c in range(3)], axis=1)
        words = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]], np.uint8)
        if self.num_bits == 1:
            words = np.array([[0, 0, 0], [1, 0, 0]], np.uint8)
        scores = sums @ (1 - 2 * words.astype(np.float32)).T
        if self.num_bits == 1:
            scores = sums[:, :1] * np.array([1, -1], np.float32)
        best = scores.argmax(1)
        energy = np.abs(llr[:, places < 3]).sum(1)
        metric = share(scores[np.arange(len(llr)), best], energy)
        return UciDecision(words[best, : self.num_bits], np.ones(len(llr), bool), metric)


def crc_length(num_bits: int) -> int:
    """CRC bits of a UCI payload: none up to 11 bits, 6 to 19, then 11 (TS 38.212 §6.3.1.2.1)."""
    return 0 if num_bits <= 11 else 6 if num_bits <= 19 else 11
