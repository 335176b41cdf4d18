"""HARQ: the transmissions of a transport block, and the soft bits that a receiver keeps of them (TS 38.212 §5.4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ran.errors import InputError
from ran.phy.codeword import Codeword
from ran.phy.config import Precision
from ran.phy.transport_block import TransportBlock, TransportBlockDecision


class HarqCombiner:
    """Adds up what the transmissions of a codeword brought, each with its redundancy version, and decodes the sum.

    codewords: one per transmission, in order. `InputError` when they are not of one transport block.
    """

    def __init__(self, codewords: Sequence[Codeword]) -> None:
        first = codewords[0].transport_block
        for attempt, codeword in enumerate(codewords):
            block = codeword.transport_block
            if block.tb_size != first.tb_size:
                raise InputError(
                    f"transport block of transmission {attempt + 1}: got {block.tb_size} bits; allowed: "
                    f"{first.tb_size} bits as in the first, since its soft bits are added to those (TS 38.321 §5.4.2.1)"
                )
            if (block.base_graph, block.num_code_blocks) != (first.base_graph, first.num_code_blocks):
                raise InputError(
                    f"target_rate of transmission {attempt + 1}: got {block.target_rate}; allowed: rates with the base "
                    "graph of the first transmission (TS 38.212 §6.2.2)"
                )
        self.codewords = tuple(codewords)
        every_row = {row for c in codewords for row in c.transport_block.code.rows}
        # the soft buffer has room for all versions; a decision takes only the rows that were sent until then
        self._into_buffer = [_with_rows(c.transport_block, every_row) for c in codewords]
        self._deciding, sent = [], set[int]()
        for codeword in codewords:
            sent |= set(codeword.transport_block.code.rows)
            self._deciding.append(_with_rows(codeword.transport_block, sent))

    def add(self, attempt: int, llr: np.ndarray, buffer: np.ndarray | None) -> np.ndarray:
        """The soft buffer after a transmission, [batch * num_users, C, N] float32, user fastest.

        llr [batch, num_users * num_layers, num_data_re, bits_per_symbol] float32, positive for bit 0.
        buffer: of the transmissions before, for the same blocks; changed in place. None for the first.
        """
        return self._into_buffer[attempt].combine(self.codewords[attempt].collect(llr), out=buffer)

    def decide(
        self, attempt: int, buffer: np.ndarray, num_iterations: int, precision: Precision
    ) -> TransportBlockDecision:
        """Decode what is known after the transmission number `attempt`, from 0."""
        block = self._deciding[attempt]
        known = np.ascontiguousarray(buffer[..., : block.code.num_coded_bits])
        return block.decide(known, num_iterations, precision=precision)


def _with_rows(block: TransportBlock, rows: set[int]) -> TransportBlock:
    return replace(block, code_rows=tuple(sorted(rows)))
