"""What is known about the drops of a run while it goes on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ran.sim.store import Segment


class TaskOutcomes:
    """Outcomes of one task: stored segments, which may leave gaps, and their prefix, which does not.

    Only the prefix counts: the drops 0, 1, 2, ... up to the first one that is missing.
    """

    def __init__(self, segments: Iterable[Segment] = ()) -> None:
        self._beyond = {segment.first_drop: segment for segment in segments}
        self.block_errors = np.zeros(0, np.int64)
        self.bit_errors = np.zeros(0, np.int64)
        self.earlier_errors = np.zeros((0, 0), np.int64)
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

    @property
    def prefix(self) -> int:
        """Number of drops known without a gap."""
        return len(self.block_errors)

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
