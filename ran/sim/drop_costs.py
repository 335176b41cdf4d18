"""What a drop takes: what all receivers share, and each receiver by itself. It decides what is simulated next."""

from __future__ import annotations

from collections.abc import Collection

from ran.sim.worker import Done

#: From so many times the shared part on a receiver is simulated apart: making its drops anew then adds at most 5 %.
_APART = 20.0


class DropCosts:
    """Learned from finished chunks, in seconds. Before the first one nothing is known."""

    def __init__(self) -> None:
        self._shared: float | None = None
        self._own: dict[str, float] = {}

    def learn(self, answer: Done) -> None:
        """Take in a finished chunk; one in which a receiver failed says nothing of the others' speed."""
        if answer.failures or not answer.outcomes:
            return
        drops = {title: max(1, segment.counts.drops) for title, segment in answer.outcomes.items()}
        shared = max(0.0, answer.seconds - sum(answer.receiver_seconds.values())) / max(drops.values())
        self._shared = shared if self._shared is None else 0.5 * (self._shared + shared)
        for title, seconds in answer.receiver_seconds.items():
            found = seconds / drops[title]
            before = self._own.get(title)
            self._own[title] = found if before is None else 0.5 * (before + found)

    def seconds(self, receivers: Collection[str]) -> float | None:
        """What a drop takes with these receivers; None before anything is known. A new one counts as the slowest."""
        if self._shared is None:
            return None
        slowest = max(self._own.values(), default=0.0)
        return self._shared + sum(self._own.get(title, slowest) for title in receivers)

    def is_slow(self, receiver: str) -> bool:
        """Whether a receiver is so much slower than the making of its drops that others need not wait for it."""
        return self._shared is not None and self._own.get(receiver, 0.0) > _APART * self._shared
