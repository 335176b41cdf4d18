"""Run an experiment: plan, schedule, workers and store put together."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from ran.sim.budget_results import BUDGET_CSV, write_budget_csv
from ran.sim.device import device_kind
from ran.sim.executor import Executor, RunStopped, Workers, available_cores
from ran.sim.experiment import Experiment
from ran.sim.identity import receiver_identity, replay_key
from ran.sim.outcomes import TaskOutcomes
from ran.sim.plan import Curve, Need, Plan
from ran.sim.processor import mixed_processors
from ran.sim.results import RunResults, load_results, write_csv
from ran.sim.run_folder import CSV, RunFolder
from ran.sim.schedule import Schedule
from ran.sim.segment import Segment, Task
from ran.sim.simulation import Build, Simulation, build_simulation
from ran.sim.worker import Chunk, Done, NonFinite

#: Speed is measured over so many seconds.
_SPEED_WINDOW_S = 20.0


class NonFiniteStop(RunStopped):
    """A NaN or an infinity appeared; `key` replays its drop."""

    def __init__(self, stage: str, drop: int, esn0_db: float, key: str, unit: str = "dB") -> None:
        super().__init__(
            f"non-finite numbers in {stage}, drop {drop} at {esn0_db:g} {unit}; "
            f"the same command with --replay {key} shows it again"
        )
        self.key = key


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
    """

    esn0_db: float
    receivers: tuple[PointStatus, ...]
    points_finished: int
    slots_per_s: float | None
    elapsed_s: float
    least_left_s: float | None
    axis: tuple[str, str, str] = ("Es/N0", "Es/N0", "dB")


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


def run(
    experiment: Experiment,
    out: Path,
    *,
    workers: int | None = None,
    chunk_slots: int | None = None,
    listener: Listener | None = None,
    build: Build = build_simulation,
    executor: Workers | None = None,
) -> RunResults:
    """Simulate what the run folder `out` does not hold yet of `experiment`; write `results.csv`; return the results.

    workers: processes, by default one per core, or one for a GPU. chunk_slots: slots per chunk, by default about 1.5 s
    worth. Neither changes any result, nor does an interruption: every finished chunk is stored, and the same call goes
    on from there.
    build: makes the simulation, here and in every worker. executor: workers that outlive this run, made with the same
    `build`, here or on a cluster; by default the run has its own processes.
    Raises InputError for input that does not fit, RunStopped when the run cannot go on, WorkerCrashed for a bug.
    """
    listener = listener or Silence()
    simulation = build(experiment)
    blocks = {receiver.title: receiver for receiver in experiment.receivers}
    device = simulation.device
    receivers = {t: receiver_identity(block, simulation.fingerprints[t], device) for t, block in blocks.items()}
    with RunFolder(Path(out), experiment, simulation, receivers) as folder:
        for news in folder.news:
            listener.say(f"note: {news}")
        for note in simulation.notes:
            listener.say(f"note: {note}")
        simulation.warm_up(listener.say)
        # a GPU is shared by all processes: one keeps it busy
        cores = available_cores() if device_kind(device) == "cpu" else 1
        count = workers or cores if executor is None else executor.workers
        session = _Session(experiment, folder, simulation, count, chunk_slots, listener)
        if session.missing():
            session.simulate(build, executor)
    results = load_results(Path(out))
    write_csv(results, Path(out) / CSV)
    if experiment.link_budget is not None:
        write_budget_csv(results, Path(out) / BUDGET_CSV)
    return results


class _Session:
    """One call of `run`, between opening the folder and closing it."""

    def __init__(
        self,
        experiment: Experiment,
        folder: RunFolder,
        simulation: Simulation,
        workers: int,
        chunk_slots: int | None,
        listener: Listener,
    ) -> None:
        self._experiment = experiment
        self._store = folder.store
        self._tasks = folder.tasks
        self._listener = listener
        self._processors = folder.processors
        self._processor = simulation.processor
        self._workers = workers
        self._blocks_per_drop = simulation.link.blocks_per_drop
        self._outcomes = folder.outcomes
        self._plan = Plan(experiment, simulation.link.bits_per_block)
        self._scenarios = {esn0_db: task.scenario_id for (_, esn0_db), task in folder.tasks.items()}
        self._schedule = Schedule(
            simulation.link.batch_drops, workers, self._scenarios.__getitem__, chunk_drops=chunk_slots
        )
        self._started = time.monotonic()
        meta = folder.store.meta()
        self._earlier_s = float(meta.get("wall_time_s", 0))
        self._first_start = meta.get("started", _now())
        self._recent: deque[tuple[float, int]] = deque()

    def missing(self) -> list[Need]:
        """What the run cannot end without."""
        return [need for need in _needs(self._plan.curves(self._outcomes)) if need.certain]

    def simulate(self, build: Build, executor: Workers | None) -> None:
        if executor is not None:
            executor.turn_to(self._experiment)
            self._simulate(executor)
            return
        self._meet(self._processor)
        self._listener.say(f"starting {self._workers} worker process{'es' if self._workers > 1 else ''}")
        with Executor(self._experiment, build, self._workers) as own:
            self._simulate(own)

    def _simulate(self, executor: Workers) -> None:
        self._recent.append((time.monotonic(), 0))
        while True:
            curves = self._plan.curves(self._outcomes)
            if not any(need.certain for need in _needs(curves)):
                return
            self._hand_out(executor, _needs(curves))
            for chunk, answer in executor.wait(timeout_s=0.25):
                self._take(chunk, answer)
            self._listener.update(self._status(curves))

    def _hand_out(self, executor: Workers, needs: list[Need]) -> None:
        while executor.idle:
            chunk = self._schedule.next_chunk(needs, self._outcomes, executor.in_flight)
            if chunk is None:
                return
            executor.submit(chunk)

    def _take(self, chunk: Chunk, answer: Done | NonFinite) -> None:
        """Store the outcomes of a chunk, then count them."""
        if isinstance(answer, NonFinite):
            key = replay_key(self._experiment, chunk.esn0_db, answer.drop)
            raise NonFiniteStop(answer.stage, answer.drop, chunk.esn0_db, key, self._experiment.point_axis[2])
        segments = answer.outcomes
        # receivers that are equal but for their label share their outcomes
        by_task: dict[str, tuple[Task, Segment]] = {}
        for title, segment in segments.items():
            task = self._tasks[title, chunk.esn0_db]
            by_task[task.task_id] = task, segment
            self._meet(segment.processor)
        self._store.add(dict(by_task.values()), self._times())
        for title, segment in segments.items():
            self._outcomes.setdefault((title, chunk.esn0_db), TaskOutcomes()).add(segment)
        self._schedule.took(chunk, answer.seconds)
        self._recent.append((time.monotonic(), len(chunk.drops)))

    def _meet(self, processor: str) -> None:
        """Warn once of a kind of processor that the folder has no outcomes of, while it has some of others."""
        if processor not in self._processors:
            if self._processors:
                self._listener.say(f"warning: {mixed_processors([*sorted(self._processors), processor])}")
            self._processors.add(processor)

    def _times(self) -> dict[str, str]:
        return {
            "started": self._first_start,
            "finished": _now(),
            "wall_time_s": f"{self._earlier_s + time.monotonic() - self._started:.1f}",
            "workers": str(self._workers),
        }

    def _status(self, curves: Iterable[Curve]) -> Status:
        open_needs = [need for need in _needs(curves) if need.certain]
        esn0_db = min(need.esn0_db for need in open_needs)
        speed = self._speed()
        left = self._drops_left(_needs(curves))
        return Status(
            esn0_db=esn0_db,
            receivers=tuple(self._point_status(need) for need in open_needs if need.esn0_db == esn0_db),
            points_finished=sum(point.finished for curve in curves for point in curve.points),
            slots_per_s=speed,
            elapsed_s=time.monotonic() - self._started,
            least_left_s=left / speed if speed else None,
            axis=self._experiment.point_axis,
        )

    def _point_status(self, need: Need) -> PointStatus:
        known = self._outcomes.get((need.receiver, need.esn0_db)) or TaskOutcomes()
        errors = int(known.block_errors.sum())
        blocks = known.prefix * self._blocks_per_drop
        return PointStatus(need.receiver, known.prefix, errors, errors / blocks if blocks else float("nan"))

    def _speed(self) -> float | None:
        now = time.monotonic()
        while len(self._recent) > 2 and now - self._recent[1][0] > _SPEED_WINDOW_S:
            self._recent.popleft()
        drops = sum(count for _, count in list(self._recent)[1:])
        return drops / (now - self._recent[0][0]) if drops else None

    def _drops_left(self, needs: Iterable[Need]) -> int:
        left: dict[float, int] = {}
        for need in needs:
            known = self._outcomes.get((need.receiver, need.esn0_db)) or TaskOutcomes()
            left[need.esn0_db] = max(left.get(need.esn0_db, 0), need.expected - known.prefix)
        return sum(left.values())


def _needs(curves: Iterable[Curve]) -> list[Need]:
    return [need for curve in curves for need in curve.needs]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
