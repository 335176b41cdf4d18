"""HARQ over the slots of a drop: failed blocks are sent again over the same fading process, later in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from ran.phy.codeword import Codeword
from ran.phy.config import Decoder
from ran.phy.harq import SoftBuffer
from receivers import Receiver

if TYPE_CHECKING:
    from ran.link.link import SlotBatch


@dataclass(frozen=True)
class ProcessOutcomes:
    """What became of the blocks of some drops, for one receiver.

    failures int32 [drops, transmissions]: blocks, over the users of a drop, that were still in error after each
        transmission. bit_errors int64 [drops]: wrong bits of the blocks that never arrived.
    """

    failures: np.ndarray
    bit_errors: np.ndarray


class _Process:
    """One receiver's HARQ processes of a batch of drops."""

    def __init__(self, num_drops: int, num_users: int, num_transmissions: int) -> None:
        self.drops = np.arange(num_drops)
        self._pending = np.ones((num_drops, num_users), bool)
        self._buffer: SoftBuffer | None = None
        self._failures = np.zeros((num_drops, num_transmissions), np.int32)
        self._bit_errors = np.zeros(num_drops, np.int64)

    def take(self, attempt: int, llr: np.ndarray, sent: np.ndarray, codeword: Codeword, decoder: Decoder) -> None:
        """Combine a transmission of the drops that are left, decode, and keep the drops with a block in error."""
        if self._buffer is None:
            self._buffer = codeword.transport_block.new_soft_buffer(self._pending.size)
        decision = codeword.decode(llr, decoder.num_iterations, decoder.precision, self._buffer)
        wrong = (decision.bits.reshape(sent.shape) != sent).sum(-1, dtype=np.int64)
        # a block that arrived once has arrived; its user goes on sending, as the load that the others meet
        self._pending &= (wrong > 0) | ~decision.crc_ok.reshape(wrong.shape)
        self._failures[self.drops, attempt] = self._pending.sum(-1)
        self._bit_errors[self.drops] = (wrong * self._pending).sum(-1)
        left = self._pending.any(-1)
        self._buffer = self._buffer.take(np.repeat(left, sent.shape[1]))
        self._pending = self._pending[left]
        self.drops = self.drops[left]

    @property
    def outcomes(self) -> ProcessOutcomes:
        return ProcessOutcomes(self._failures, self._bit_errors)


def run_processes(
    receivers: Mapping[str, Receiver],
    num_drops: int,
    num_users: int,
    codewords: Sequence[Codeword],
    decoder: Decoder,
    transmit: Callable[[int, list[int]], SlotBatch],
    receive: Callable[[str, SlotBatch, np.ndarray], Tensor],
) -> dict[str, ProcessOutcomes]:
    """Outcomes of every receiver on the same processes.

    codewords: of every transmission, with its redundancy version.
    transmit: the batch of a transmission (from 0) for some of the drops, by their place in the batch.
    receive: the LLRs of a receiver, by its label, for the drops at the places given. It is handed its own unfinished
        drops only, so that its numbers do not depend on who else takes part.
    """
    transmissions = len(codewords)
    processes = {label: _Process(num_drops, num_users, transmissions) for label in receivers}
    for attempt in range(transmissions):
        wanted = sorted({int(drop) for process in processes.values() for drop in process.drops})
        if not wanted:
            break
        batch = transmit(attempt, wanted)
        for label, process in processes.items():
            if len(process.drops):
                mine = batch.select(np.searchsorted(wanted, process.drops))
                llr = receive(label, mine, process.drops).cpu().numpy()
                process.take(attempt, llr, mine.transport_blocks, codewords[attempt], decoder)
    return {label: process.outcomes for label, process in processes.items()}
