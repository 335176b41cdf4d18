"""UCI in the codeword of a PUSCH: multiplexed when it is sent, taken out when it is received."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ran.phy.config.uci import Uci
from ran.phy.uci.coding import UciCode, UciDecision
from ran.phy.uci.multiplexing import KINDS, UciPlaces
from ran.phy.uci.small_block import X, Y


@dataclass(frozen=True)
class UciMultiplex:
    """UCI of a codeword: its codes by kind ("ack", "csi1", "csi2", those that there are), and their places."""

    uci: Uci
    places: UciPlaces
    codes: Mapping[str, UciCode]
    num_coded_bits: int

    @classmethod
    def build(cls, uci: Uci, places: UciPlaces, num_coded_bits: int, bits_per_symbol: int) -> UciMultiplex:
        """Codes that fill the places. num_coded_bits: of the whole codeword."""
        codes = {
            kind: UciCode(getattr(uci, f"num_{kind}_bits"), len(getattr(places, kind)), bits_per_symbol)
            for kind in KINDS
            if getattr(uci, f"num_{kind}_bits")
        }
        return cls(uci, places, codes, num_coded_bits)

    @property
    def num_ulsch_bits(self) -> int:
        """G of the UL-SCH: coded bits that are mapped, those under an ACK of one or two bits included."""
        return len(self.places.ulsch)

    def multiplex(
        self, ulsch: npt.NDArray[np.uint8], payloads: Mapping[str, npt.NDArray[np.uint8]]
    ) -> npt.NDArray[np.uint8]:
        """Codewords [batch, num_coded_bits] before scrambling, with the placeholders X and Y.

        ulsch [batch, num_ulsch_bits]: coded bits; payloads by kind [batch, bits]. What carries nothing is 0.
        """
        batch = len(next(iter(payloads.values()))) if payloads else len(ulsch)
        out = np.zeros((batch, self.num_coded_bits), np.uint8)
        out[:, self.places.ulsch] = ulsch
        for kind in ("csi1", "csi2", "ack"):
            if kind in self.codes:
                out[:, getattr(self.places, kind)] = self.codes[kind].encode(payloads[kind])
        return out

    def scramble(self, codewords: npt.NDArray[np.uint8], scrambling: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Scrambled bits: X becomes 1, Y the scrambled bit before it (TS 38.211 §6.3.1.1)."""
        out = np.where(codewords < X, codewords ^ scrambling, 1).astype(np.uint8)
        places = np.flatnonzero((codewords == Y).any(0))
        for place in places:
            repeats = codewords[:, place] == Y
            out[repeats, place] = out[repeats, place - 1]
        return out

    def ulsch_llr(self, llr: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """LLRs of the UL-SCH [batch, num_ulsch_bits] from descrambled ones of the codeword; 0 where the ACK is."""
        if 0 < self.uci.num_ack_bits <= 2:
            llr = llr.copy()
            llr[:, self.places.ack] = 0
        return np.ascontiguousarray(llr[:, self.places.ulsch])

    def decode(
        self, llr: npt.NDArray[np.float32], signs: npt.NDArray[np.float32], list_size: int = 8
    ) -> dict[str, UciDecision]:
        """Decisions by kind from LLRs [batch, num_coded_bits] as received; signs: -1 where scrambling turns a bit."""
        found = {}
        for kind, code in self.codes.items():
            at = getattr(self.places, kind)
            own = llr[:, at] * signs[:, at]
            if code.num_bits <= 2 and code.bits_per_symbol > 1:
                # Y repeats the scrambled bit before it, and so has its sign
                pattern = code.repeats
                own[:, pattern] = llr[:, at[pattern]] * signs[:, at[pattern] - 1]
            found[kind] = code.decode(own, list_size)
        return found
