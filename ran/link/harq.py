"""HARQ over the slots of a drop: failed blocks are sent again over the same fading process, later in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import Tensor

from ran.link.batch import SlotBatch
from ran.link.link_budget import Received
from ran.link.outcomes import compare, counts_of
from ran.phy.config import Decoder
from ran.phy.shared_grid import SharedGrid
from ran.stats.counts import Counts
from receivers import Receiver


class _Process:
    """One receiver's HARQ processes of a batch of drops, a soft buffer per codeword."""

    def __init__(self, num_drops: int, grid: SharedGrid, num_transmissions: int) -> None:
        num_blocks = len(grid.block_sizes)
        self.drops = np.arange(num_drops)
        self._pending = np.ones((num_drops, num_blocks), bool)
        self._buffers = [c.transport_block.new_soft_buffer(num_drops * c.num_users) for c in grid.codewords]
        self._failures = np.zeros((num_drops, num_transmissions, num_blocks), bool)
        self._bit_errors = np.zeros(num_drops, np.int64)

    def take(self, attempt: int, llr: np.ndarray, sent: np.ndarray, grid: SharedGrid, decoder: Decoder) -> None:
        """Combine a transmission of the drops that are left, decode, and keep the drops with a block in error."""
        decisions = grid.decode_blocks(llr, decoder.num_iterations, decoder.precision, self._buffers)
        wrong, failed = compare(grid, decisions, sent)
        # a block that arrived once has arrived; it goes on being sent, as the load that the others meet
        self._pending &= failed
        self._failures[self.drops, attempt] = self._pending
        self._bit_errors[self.drops] = (wrong * self._pending).sum(-1)
        left = self._pending.any(-1)
        pairs = zip(self._buffers, grid.codewords, strict=True)
        self._buffers = [buffer.take(np.repeat(left, codeword.num_users)) for buffer, codeword in pairs]
        self._pending = self._pending[left]
        self.drops = self.drops[left]

    def counts(self, grid: SharedGrid, state: Received | None) -> Counts:
        return counts_of(self._failures, self._bit_errors, grid.has_two_codewords, state, grid.has_unlike_users)


def run_processes(
    receivers: Mapping[str, Receiver],
    num_drops: int,
    grids: Sequence[SharedGrid],
    decoder: Decoder,
    transmit: Callable[[int, list[int]], SlotBatch],
    receive: Callable[[str, SlotBatch, np.ndarray], Tensor],
    state: Received | None = None,
) -> dict[str, Counts]:
    """Counts of every receiver on the same processes.

    grids: of every transmission, with its redundancy version.
    transmit: the batch of a transmission (from 0) for some of the drops, by their place in the batch.
    receive: the LLRs of a receiver, by its label, for the drops at the places given. It is handed its own unfinished
        drops only, so that its numbers do not depend on who else takes part.
    state: the large-scale state of the users of these drops.
    """
    processes = {label: _Process(num_drops, grids[0], len(grids)) for label in receivers}
    for attempt, grid in enumerate(grids):
        wanted = sorted({int(drop) for process in processes.values() for drop in process.drops})
        if not wanted:
            break
        batch = transmit(attempt, wanted)
        for label, process in processes.items():
            if len(process.drops):
                mine = batch.select(np.searchsorted(wanted, process.drops))
                llr = receive(label, mine, process.drops).cpu().numpy()
                process.take(attempt, llr, mine.transport_blocks, grid, decoder)
    return {label: process.counts(grids[0], state) for label, process in processes.items()}
