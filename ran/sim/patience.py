"""How long workers may take for their work before nobody believes in an answer any more."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

#: A gap between two looks counts as at most so many seconds: a driver that was suspended was not waiting.
_MOST_PER_LOOK_S = 1.0


@dataclass
class Patience:
    """Adds up what each of several workers has taken, look by look. clock: seconds."""

    clock: Callable[[], float] = time.monotonic
    _left: dict[Hashable, float] = field(default_factory=dict)
    _looked: float | None = None

    def start(self, worker: Hashable, limit_s: float | None) -> None:
        """A worker has begun something that may take so long; None: any time."""
        if limit_s is not None:
            self._left[worker] = limit_s

    def stop(self, worker: Hashable) -> None:
        """A worker is done, or gone."""
        self._left.pop(worker, None)

    def overdue(self) -> list[Hashable]:
        """The workers that have taken longer than they may; to be asked several times a second."""
        now = self.clock()
        passed = 0.0 if self._looked is None else min(now - self._looked, _MOST_PER_LOOK_S)
        self._looked = now
        for worker in self._left:
            self._left[worker] -= passed
        return [worker for worker, left in self._left.items() if left <= 0]
