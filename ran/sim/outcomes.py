"""What is known about the drops of a run while it goes on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ran.sim.segment import Segment
from ran.sim.throughput import Stream
from ran.stats.counts import Counts
from ran.stats.user_counters import of_users

#: Of no drops.
_NOTHING = Counts.of([], [])


class TaskOutcomes:
    """Outcomes of one task: stored segments, which may leave gaps, and their prefix, which does not.

    Only the prefix counts: the drops 0, 1, 2, ... up to the first one that is missing.
    """

    def __init__(self, segments: Iterable[Segment] = ()) -> None:
        self._beyond = {segment.first_drop: segment for segment in segments}
        self._parts: list[Counts] = []
        self._known = 0
        self._processors: list[tuple[int, str]] = []  # from which drop on, by which kind
        self._close_gaps()

    def add(self, segment: Segment) -> None:
        """Take in the drops of a chunk."""
        self._beyond[segment.first_drop] = segment
        self._close_gaps()

    def _close_gaps(self) -> None:
        while (segment := self._beyond.pop(self._known, None)) is not None:
            if segment.counts.drops == 0:
                continue
            self._parts.append(segment.counts)
            self._processors.append((self._known, segment.processor))
            self._known += segment.counts.drops

    @property
    def counts(self) -> Counts:
        """Of the prefix. Parts are joined when somebody looks, so that loading takes linear time."""
        if not self._parts:
            return _NOTHING
        self._parts = [Counts.joined(self._parts)]
        return self._parts[0]

    @property
    def prefix(self) -> int:
        """Number of drops known without a gap."""
        return self._known

    def processors(self, drops: int) -> tuple[str, ...]:
        """Kinds of processor that simulated the first drops, in their order."""
        return tuple(dict.fromkeys(kind for first, kind in self._processors if first < drops))

    def streams(self, bits_per_block: Sequence[int], drops: int | None = None) -> tuple[Stream, ...]:
        """Blocks that arrived and transmissions that it took: of all users together, of each where their blocks differ
        in size, or of either codeword.

        bits_per_block: transport block sizes of a drop.
        """
        number = len(bits_per_block)
        delivered, transmissions = self.delivered(number, drops), self.transmissions(number, drops)
        second = self.counts.second_errors[:drops]
        if len(set(bits_per_block)) > 1 and (users := of_users(self.counts.counters, number)) is not None:
            return tuple(
                Stream(1 - errors[:drops], sent[:drops], 1, bits)
                for (errors, sent), bits in zip(users, bits_per_block, strict=True)
            )
        if not second.shape[1]:
            return (Stream(delivered, transmissions, number, bits_per_block[0]),)
        of_second = Stream(1 - second[:, -1], 1 + second[:, :-1].sum(1), 1, bits_per_block[1])
        rest = Stream(delivered - of_second.delivered, transmissions - of_second.transmissions, 1, bits_per_block[0])
        return rest, of_second

    def delivered(self, blocks_per_drop: int, drops: int | None = None) -> np.ndarray:
        """Blocks that arrived, int64 [drops]."""
        return np.asarray(blocks_per_drop - self.counts.block_errors[:drops])

    def transmissions(self, blocks_per_drop: int, drops: int | None = None) -> np.ndarray:
        """Transmissions of blocks, int64 [drops]: every block's first, and one after each failure but the last."""
        return np.asarray(blocks_per_drop + self.counts.earlier_errors[:drops].sum(1))

    @property
    def ranges_beyond(self) -> list[range]:
        """Known drops after the first gap, ascending."""
        return [range(first, first + s.counts.drops) for first, s in sorted(self._beyond.items())]
