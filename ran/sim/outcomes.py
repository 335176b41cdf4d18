"""What is known about the drops of a run while it goes on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ran.sim.segment import NUM_RECEIVED, Segment
from ran.sim.throughput import Stream


class TaskOutcomes:
    """Outcomes of one task: stored segments, which may leave gaps, and their prefix, which does not.

    Only the prefix counts: the drops 0, 1, 2, ... up to the first one that is missing.
    """

    def __init__(self, segments: Iterable[Segment] = ()) -> None:
        self._beyond = {segment.first_drop: segment for segment in segments}
        self._prefix: list[Segment] = []
        self._known = 0
        self._processors: list[tuple[int, str]] = []  # from which drop on, by which kind
        self._close_gaps()

    def add(self, segment: Segment) -> None:
        """Take in the drops of a chunk."""
        self._beyond[segment.first_drop] = segment
        self._close_gaps()

    def _close_gaps(self) -> None:
        while (segment := self._beyond.pop(self._known, None)) is not None:
            if len(segment.block_errors) == 0:
                continue
            self._prefix.append(segment)
            self._processors.append((self._known, segment.processor))
            self._known += len(segment.block_errors)

    def _joined(self) -> Segment | None:
        """The prefix as one segment. Parts are joined when somebody looks, so that loading takes linear time."""
        if len(self._prefix) > 1:
            blocks, bits, earlier, second, received = (
                np.concatenate([getattr(segment, name) for segment in self._prefix])
                for name in ("block_errors", "bit_errors", "earlier_errors", "second_errors", "received")
            )
            self._prefix = [Segment(0, blocks, bits, earlier, second, received)]
        return self._prefix[0] if self._prefix else None

    @property
    def block_errors(self) -> np.ndarray:
        """int64 [drops] of the prefix; `bit_errors` likewise."""
        joined = self._joined()
        return np.zeros(0, np.int64) if joined is None else joined.block_errors

    @property
    def bit_errors(self) -> np.ndarray:
        joined = self._joined()
        return np.zeros(0, np.int64) if joined is None else joined.bit_errors

    @property
    def earlier_errors(self) -> np.ndarray:
        """int64 [drops, transmissions - 1], see `Segment`; `second_errors` [drops, transmissions]."""
        joined = self._joined()
        return np.zeros((0, 0), np.int64) if joined is None else joined.earlier_errors

    @property
    def second_errors(self) -> np.ndarray:
        joined = self._joined()
        return np.zeros((0, 0), np.int64) if joined is None else joined.second_errors

    @property
    def received(self) -> np.ndarray:
        """float32 [drops, users, NUM_RECEIVED], see `Segment`."""
        joined = self._joined()
        return np.zeros((0, 0, NUM_RECEIVED), np.float32) if joined is None else joined.received

    @property
    def prefix(self) -> int:
        """Number of drops known without a gap."""
        return self._known

    def processors(self, drops: int) -> tuple[str, ...]:
        """Kinds of processor that simulated the first drops, in their order."""
        return tuple(dict.fromkeys(kind for first, kind in self._processors if first < drops))

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
