"""Have workers simulate experiments until every one of them is done."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from ran.sim.executor import ResilientExecutor, Workers
from ran.sim.experiment import Experiment
from ran.sim.failures import forgotten, stored_failures
from ran.sim.plan import Need
from ran.sim.processor import mixed_processors
from ran.sim.program import Lost
from ran.sim.segment import Segment, Task
from ran.sim.session import Session
from ran.sim.simulation import Build
from ran.sim.store import Store
from ran.sim.worker import Chunk, Done, NonFinite

#: Speed is measured over so many seconds.
_SPEED_WINDOW_S = 20.0


@dataclass(frozen=True)
class PointStatus:
    """How far one receiver is at the point that is being simulated."""

    receiver: str
    drops: int
    block_errors: int
    bler: float


@dataclass(frozen=True)
class Status:
    """How far a run is.

    esn0_db: the lowest point that is not finished; receivers: those that are not finished there.
    least_left_s: guess of the time for what is known to be missing; None before the speed is known.
    experiment: title of the experiment that this is about, among several. experiments_finished: of num_experiments.
    """

    esn0_db: float
    receivers: tuple[PointStatus, ...]
    points_finished: int
    slots_per_s: float | None
    elapsed_s: float
    least_left_s: float | None
    axis: tuple[str, str, str] = ("Es/N0", "Es/N0", "dB")
    experiment: str = ""
    experiments_finished: int = 0
    num_experiments: int = 1


class Listener(Protocol):
    """Who wants to know how a run goes."""

    def say(self, text: str) -> None:
        """Something that happens once."""

    def update(self, status: Status) -> None:
        """How far the run is; called several times a second."""


class Silence:
    """A listener that does nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def update(self, status: Status) -> None:
        """Nothing."""


#: Chooses the session that gets the next worker, among those that are not done.
Order = Callable[[Sequence[Session]], Session]


def in_order(open_sessions: Sequence[Session]) -> Session:
    """One experiment after the other."""
    return open_sessions[0]


def widest_first(open_sessions: Sequence[Session]) -> Session:
    """The experiment with the least certain point: one that has none before any that has."""
    return max(open_sessions, key=Session.widest_interval)


def executor_of(
    given: Workers | None, experiment: Experiment, build: Build, workers: int, listener: Listener
) -> AbstractContextManager[Workers]:
    """Workers that outlive the run, or else processes of its own."""
    if given is not None:
        return nullcontext(given)
    listener.say(f"starting {workers} worker process{'es' if workers > 1 else ''}")
    return ResilientExecutor(experiment, build, workers)


def drive(
    sessions: Sequence[Session],
    store: Store,
    executor: Workers,
    listener: Listener,
    order: Order = in_order,
    finished: Callable[[Session], None] = lambda session: None,
    processors: Collection[str] = (),
) -> None:
    """Simulate what `sessions` miss and store it chunk by chunk.

    order: who is served first; it changes no result. finished: called with every session when it is done, the ones that
    are done from the beginning included, in the order of `sessions` among those that are.
    processors: kinds of processor that the store has outcomes of; another one is named.
    """
    _Drive(sessions, store, executor, listener, order, finished, processors).run()


class _Drive:
    def __init__(
        self,
        sessions: Sequence[Session],
        store: Store,
        executor: Workers,
        listener: Listener,
        order: Order,
        finished: Callable[[Session], None],
        processors: Collection[str],
    ) -> None:
        self._sessions = list(sessions)
        self._by_task: dict[str, list[Session]] = {}
        for session in sessions:
            for task in {task.task_id for task in session.tasks.values()}:
                self._by_task.setdefault(task, []).append(session)
        self._open = list(sessions)
        self._store = store
        self._executor = executor
        self._listener = listener
        self._order = order
        self._finished = finished
        self._processors = set(processors)
        self._started = time.monotonic()
        meta = store.meta()
        self._earlier_s = float(meta.get("wall_time_s", 0))
        self._first_start = meta.get("started", _now())
        self._recent: deque[tuple[float, int]] = deque([(self._started, 0)])
        again: dict[str, str] = {}
        for session in sessions:
            again |= forgotten({title for title, _ in session.tasks}, meta, session.key)
        if again:
            store.set_meta(again)
        self._latest: Session | None = None
        self._flying: dict[int, tuple[Chunk, frozenset[str]]] = {}

    def run(self) -> None:
        while True:
            self._close()
            if not self._open:
                return
            self._hand_out()
            self._take(self._executor.wait(timeout_s=0.25))
            self._close()
            if self._open:
                self._listener.update(self._status())

    def _close(self) -> None:
        done = [session for session in self._open if not session.missing]
        self._open = [session for session in self._open if session.missing]
        for session in done:
            self._finished(session)

    def _hand_out(self) -> None:
        waiting = list(self._open)
        while self._executor.idle and waiting:
            session = self._order(waiting)
            chunk = session.next_chunk(self._in_flight())
            if chunk is None:
                waiting.remove(session)
                continue
            self._latest = session
            self._executor.submit(chunk)

    def _in_flight(self) -> list[tuple[Chunk, frozenset[str]]]:
        """Chunks that are being simulated, with their tasks; worked out once for each, as there may be thousands."""
        before, self._flying = self._flying, {}
        for chunk in self._executor.in_flight:
            known = before.get(id(chunk))
            if known is None and (own := self._of(chunk)) is not None:
                known = chunk, own.tasks_of(chunk)
            if known is not None:
                self._flying[id(chunk)] = known
        return list(self._flying.values())

    def _take(self, answers: Sequence[tuple[Chunk, Done | NonFinite | Lost]]) -> None:
        """Store the outcomes of the chunks that arrived, all at once, then count them."""
        taken: list[tuple[Session, Chunk, Done, dict[Task, Segment]]] = []
        failures: dict[str, str] = {}
        for chunk, answer in answers:
            session = self._of(chunk)
            if session is None:
                continue  # of a run before this one, with the same workers
            done = self._understood(session, chunk, answer)
            segments = session.stored_as(chunk, done)
            reasons = {title: session.reason(chunk, failure) for title, failure in done.failures.items()}
            for title, reason in reasons.items():
                self._listener.say(f"warning: receiver {title!r} failed, the others go on: {reason.line}")
            for segment in segments.values():
                self._meet(segment.processor)
            failures |= stored_failures(reasons, session.key)
            taken.append((session, chunk, done, segments))
        if not taken:
            return
        self._store.add_chunks([segments for *_, segments in taken], {**self._times(), **failures})
        for session, chunk, done, segments in taken:
            session.take(chunk, done)
            if done.failures:
                session.news()
            for task in segments:
                for sharing in self._by_task[task.task_id]:
                    sharing.news()
            simulated = max((segment.counts.drops for segment in segments.values()), default=0)
            self._recent.append((time.monotonic(), simulated))

    def _understood(self, session: Session, chunk: Chunk, answer: Done | NonFinite | Lost) -> Done:
        """An answer as what was simulated and which receivers failed."""
        if isinstance(answer, NonFinite):
            return Done({}, 0.0, {chunk.receivers[0]: answer})
        if isinstance(answer, Lost):
            lost = answer.reason
            answer = session.without_worker(chunk, answer)
            if not answer.failures:
                titles = ", ".join(repr(title) for title in chunk.receivers)
                self._listener.say(
                    f"warning: a worker process {lost}; what it was simulating ({titles}) is tried again, one receiver "
                    "at a time"
                )
        return answer

    def _meet(self, processor: str) -> None:
        """Warn once of a kind of processor that the store has no outcomes of, while it has some of others."""
        if processor not in self._processors:
            if self._processors:
                self._listener.say(f"warning: {mixed_processors([*sorted(self._processors), processor])}")
            self._processors.add(processor)

    def _of(self, chunk: Chunk) -> Session | None:
        return next((session for session in self._sessions if session.experiment is chunk.experiment), None)

    def _times(self) -> dict[str, str]:
        return {
            "started": self._first_start,
            "finished": _now(),
            "wall_time_s": f"{self._earlier_s + time.monotonic() - self._started:.1f}",
            "workers": str(self._executor.workers),
        }

    def _status(self) -> Status:
        session = self._latest if self._latest in self._open else self._open[0]
        assert session is not None
        open_needs = session.missing
        esn0_db = min(need.esn0_db for need in open_needs)
        speed = self._speed()
        left = sum(each.drops_left() for each in self._open)
        return Status(
            esn0_db=esn0_db,
            receivers=tuple(_point_status(session, need) for need in open_needs if need.esn0_db == esn0_db),
            points_finished=sum(point.finished for curve in session.curves for point in curve.points),
            slots_per_s=speed,
            elapsed_s=time.monotonic() - self._started,
            least_left_s=left / speed if speed else None,
            axis=session.experiment.point_axis,
            experiment=session.title,
            experiments_finished=len(self._sessions) - len(self._open),
            num_experiments=len(self._sessions),
        )

    def _speed(self) -> float | None:
        now = time.monotonic()
        while len(self._recent) > 2 and now - self._recent[1][0] > _SPEED_WINDOW_S:
            self._recent.popleft()
        drops = sum(count for _, count in list(self._recent)[1:])
        return drops / (now - self._recent[0][0]) if drops else None


def _point_status(session: Session, need: Need) -> PointStatus:
    drops, blocks, errors = session.so_far(need)
    return PointStatus(need.receiver, drops, errors, errors / blocks if blocks else float("nan"))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
