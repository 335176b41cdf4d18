"""Which MCS are simulated at an SNR: from one that practically always arrives to one that practically never does."""

from __future__ import annotations

from collections.abc import Mapping

#: Share of blocks in error above which a higher MCS brings nothing.
ALWAYS = 0.99


class Window:
    """Grows from `start` downwards until every receiver's BLER is at most `seldom`, and upwards until it is `ALWAYS`.

    The loops choose within it: below, a lower MCS could not save many slots, and above, none would arrive. It follows
    from the error rates alone, so it is the same however the work was cut up.
    """

    def __init__(self, start: int, num_mcs: int, seldom: float) -> None:
        self._start = min(max(start, 0), num_mcs - 1)
        self._last = num_mcs - 1
        self._seldom = seldom

    def missing(self, blers: Mapping[int, tuple[float, ...]]) -> list[int]:
        """MCS to simulate next; none when the window is complete. blers: of every receiver, per MCS simulated."""
        if self._start not in blers:
            return [self._start]
        return [m for m in (self._low(blers), self._high(blers)) if m not in blers]

    def range(self, blers: Mapping[int, tuple[float, ...]]) -> range:
        """The MCS of a complete window."""
        return range(self._low(blers), self._high(blers) + 1)

    def _low(self, blers: Mapping[int, tuple[float, ...]]) -> int:
        low = self._start
        while low > 0 and low in blers and max(blers[low]) > self._seldom:
            low -= 1
        return low

    def _high(self, blers: Mapping[int, tuple[float, ...]]) -> int:
        high = self._start
        while high < self._last and high in blers and min(blers[high]) < ALWAYS:
            high += 1
        return high
