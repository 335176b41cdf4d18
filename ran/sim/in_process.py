"""A worker that is this process: for scripts, notebooks and debuggers, and for studies with one worker."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Generic, TypeVar

Work = TypeVar("Work")
Got = TypeVar("Got")


class InThisProcess(Generic[Work, Got]):
    """`ran.sim.executor.WorkersFor` with one worker, the caller's own process; the answers are those of any other.

    answer: what does a piece of work. An exception in it leaves `wait` as it is, with its own traceback.
    one_thread: work has one thread, as in a worker process, so that sums are always taken in the same order.
    """

    workers = 1

    def __init__(self, answer: Callable[[Work], Got], one_thread: bool = True) -> None:
        self._answer = answer
        self._one_thread = one_thread
        self._waiting: list[Work] = []

    @property
    def idle(self) -> int:
        return self.workers - len(self._waiting)

    @property
    def in_flight(self) -> tuple[Work, ...]:
        return tuple(self._waiting)

    def submit(self, work: Work) -> None:
        """Take a piece of work; `wait` does it."""
        self._waiting.append(work)

    def wait(self, timeout_s: float | None) -> list[tuple[Work, Got]]:
        """Do the work that was taken."""
        if not self._waiting:
            return []
        work = self._waiting.pop()
        with _one_thread() if self._one_thread else nullcontext():
            return [(work, self._answer(work))]


@contextmanager
def _one_thread() -> Iterator[None]:
    """As in a worker process. The caller gets its threads back."""
    torch, numba = sys.modules.get("torch"), sys.modules.get("numba")
    before = torch.get_num_threads() if torch else 0, numba.get_num_threads() if numba else 0
    if torch:
        torch.set_num_threads(1)
    if numba:
        numba.set_num_threads(1)
    try:
        yield
    finally:
        if torch:
            torch.set_num_threads(before[0])
        if numba:
            numba.set_num_threads(before[1])
