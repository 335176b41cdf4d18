"""What is known about the drops of a run while it goes on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ran.sim.store import NUM_RECEIVED, Segment
from ran.sim.throughput import Stream


class TaskOutcomes:
    """Outcomes of one task: stored segments, which may leave gaps, and their prefix, which does not.

    Only the prefix counts: the drops 0, 1, 2, ... up to the first one that is missing.
    """

    def __init__(self, segments: Iterable[Segment] = ()) -> None:
        self._beyond = {segment.first_drop: segment for segment in segments}
        self.block_errors = np.zeros(0, np.int64)
        self.bit_errors = np.zeros(0, np.int64)
        self.earlier_errors = np.zeros((0, 0), np.int64)
        self.second_errors = np.zeros((0, 0), np.int64)
        self.received = np.zeros((0, 0, NUM_RECEIVED), np.float32)
        self._close_gaps()

    def add(self, segment: Segment) -> None:
        """Take in the drops of a chunk."""
        self._beyond[segment.first_drop] = segment
        self._close_gaps()

    def _close_gaps(self) -> None:
        while (segment := self._beyond.pop(len(self.block_errors), None)) is not None:
            self.block_errors = np.concatenate([self.block_errors, segment.block_errors])
            self.bit_errors = np.concatenate([self.bit_errors, segment.bit_errors])
            earlier = self.earlier_errors if len(self.earlier_errors) else segment.earlier_errors[:0]
            self.earlier_errors = np.concatenate([earlier, segment.earlier_errors])
            second = self.second_errors if len(self.second_errors) else segment.second_errors[:0]
            self.second_errors = np.concatenate([second, segment.second_errors])
            received = self.received if len(self.received) else segment.received[:0]
            self.received = np.concatenate([received, segment.received])

    @property
    def prefix(self) -> int:
        """Number of drops known without a gap."""
        return len(self.block_errors)

    def streams(self, bits_per_block: Sequence[int], drops: int | None = None) -> tuple[Stream, ...]:
        """Blocks that arrived and transmissions that it took: of all users together, or of either codeword.

        bits_per_block: transport block sizes of a drop.
        """
        number = len(bits_per_block)
        delivered, transmissions = self.delivered(number, drops), self.transmissions(number, drops)
        second = self.second_errors[:drops]
        if not second.shape[1]:
            return (Stream(delivered, transmissions, number, bits_per_block[0]),)
        of_second = Stream(1 - second[:, -1], 1 + second[:, :-1].sum(1), 1, bits_per_block[1])
        rest = Stream(delivered - of_second.delivered, transmissions - of_second.transmissions, 1, bits_per_block[0])
        return rest, of_second

    def delivered(self, blocks_per_drop: int, drops: int | None = None) -> np.ndarray:
        """Blocks that arrived, int64 [drops]."""
        return np.asarray(blocks_per_drop - self.block_errors[:drops])

    def transmissions(self, blocks_per_drop: int, drops: int | None = None) -> np.ndarray:
        """Transmissions of blocks, int64 [drops]: every block's first, and one after each failure but the last."""
        return np.asarray(blocks_per_drop + self.earlier_errors[:drops].sum(1))

    @property
    def ranges_beyond(self) -> list[range]:
        """Known drops after the first gap, ascending."""
        return [range(first, first + len(s.block_errors)) for first, s in sorted(self._beyond.items())]
