"""Studies whose work is no chunk of a link: jobs over one set of workers into one store.

A study says what its results depend on, which jobs are missing given the results that are there, and how a worker does
one. Workers, a cluster, resuming, refusal of foreign folders, damage and progress are written here, once.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from safetensors.numpy import load, save

from ran.config.host import available_cores
from ran.sim.executor import Pool
from ran.sim.identity import digest
from ran.sim.in_process import InThisProcess
from ran.sim.store import Store
from ran.studies.folder import StudyFolder
from ran.studies.job import Arrays, Found, Job, JobProgram, JobWorker, JobWorkers, Results

#: The jobs that are missing, most urgent first, given the results that are there.
Plan = Callable[[Results], Iterable[Job]]


@dataclass(frozen=True, eq=False)
class JobStudy:
    """What is asked for.

    kind: names the study, and tells its folders from those of others. request: what `build` makes the worker of a
    process from; both are pickled. identity: plain values that all results of a folder depend on, beside their keys.
    named: from the request to plain values that tell whether another machine would name its results by the same keys
    and identity: versions and contents of files; pickled.
    stages: plans, one after the other; a plan is asked again when workers run out of jobs. pages: names of the
    files that the study writes into its folder. described: what a report of the request is made from, beside the
    results: plain values, written into the store. here: a worker that this process has already. before: called once
    before workers start, when anything is missing: to compile what all of them need.
    """

    kind: str
    request: Any
    build: Callable[[Any], JobWorker]
    identity: Mapping[str, Any]
    named: Callable[[Any], Mapping[str, Any]]
    stages: Sequence[Plan]
    pages: tuple[str, ...] = ()
    described: Mapping[str, Any] = field(default_factory=dict)
    here: JobWorker | None = None
    before: Callable[[], None] = lambda: None
    width: Callable[[Results], float] | None = None
    jobs_ahead: int | None = None

    @property
    def program(self) -> JobProgram:
        """What workers do, in processes or on a cluster."""
        return JobProgram(self.build, self.request, self.named)

    def worker(self) -> JobWorker:
        """The worker of this process."""
        return self.here or self.build(self.request)


@dataclass(frozen=True)
class JobStatus:
    """How far a study is: jobs done by this command, jobs known to be left, and the title of one being worked on."""

    done: int
    left: int
    title: str
    elapsed_s: float

    @property
    def least_left_s(self) -> float | None:
        return self.elapsed_s / self.done * self.left if self.done else None


class JobListener(Protocol):
    """Who wants to know how a study goes."""

    def say(self, text: str) -> None:
        """Something that happens once."""

    def update(self, status: JobStatus) -> None:
        """How far the study is; called several times a second."""


class Silent:
    """A listener that does nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def update(self, status: JobStatus) -> None:
        """Nothing."""


def run_jobs(
    study: JobStudy,
    out: Path | None,
    *,
    workers: int | None = None,
    listener: JobListener | None = None,
    executor: JobWorkers | None = None,
) -> dict[str, Arrays]:
    """Do the jobs whose results the folder `out` does not hold yet; returns all its results by key.

    out: None does them all in this process and stores nothing. workers: processes, by default one per core; with one,
    jobs are done here. executor: workers elsewhere, such as a cluster's.

    The number and place of workers change no result, nor does an interruption: what a job brought is stored at once, in
    one transaction, and the same call goes on from there. `InputError` for a folder of anything else.
    """
    listener = listener or Silent()
    if out is None:
        return _Driver(study, None, {}, listener).run(nullcontext(InThisProcess(study.worker().work, one_thread=False)))
    with StudyFolder(Path(out), study.kind, study.identity, study.pages) as folder:
        for line in folder.news:
            listener.say(f"warning: {line}")
        prefix = key_prefix(study.identity)
        stored = folder.content.jobs or {}
        known = unpacked(stored, prefix)
        folder.claim_jobs(study.identity, study.described)
        driver = _Driver(study, folder.store, known, listener, prefix)
        count = workers or available_cores()
        if executor is not None:
            return driver.run(nullcontext(executor))
        if count == 1:
            return driver.run(nullcontext(InThisProcess(study.worker().work)))
        return driver.run(_started(study.program, count, listener))


def key_prefix(identity: Mapping[str, Any]) -> str:
    """What keys begin with in the store, so that results of another identity are never taken for these."""
    return digest(identity)[:16] + " "


def unpacked(stored: Mapping[str, bytes], prefix: str) -> Found:
    """The results of a store whose keys begin with `prefix`, by what follows it."""
    return Found({key.removeprefix(prefix): load(blob) for key, blob in stored.items() if key.startswith(prefix)})


@contextmanager
def _started(program: JobProgram, count: int, listener: JobListener) -> Iterator[JobWorkers]:
    listener.say(f"starting {count} worker processes")
    pool: Pool[Job, Results] = Pool(program, count)
    with pool:
        yield pool


class _Driver:
    def __init__(
        self,
        study: JobStudy,
        store: Store | None,
        known: dict[str, Arrays],
        listener: JobListener,
        prefix: str = "",
    ) -> None:
        self._study, self._store, self._known, self._listener = study, store, known, listener
        self._prefix = prefix
        self._prepared: set[Any] = set()
        self._started = time.monotonic()
        self._done = 0
        meta = {} if store is None else store.meta()
        self._first_start = meta.get("started", _now())
        self._earlier_s = float(meta.get("wall_time_s", 0))

    def run(self, workers: AbstractContextManager[JobWorkers]) -> dict[str, Arrays]:
        """workers: entered only if there is something to do."""
        stages = list(self._study.stages)
        if any(self._missing(plan) for plan in stages):
            self._study.before()
            with workers as hands:
                for plan in stages:
                    self._stage(plan, hands)
        if self._store is not None:
            self._store.set_meta({"complete": "yes", "jobs_left": "0"})
        return self._known

    def _missing(self, plan: Plan) -> list[Job]:
        found = []
        for job in plan(self._known):
            done = all(key in self._known for key in job.keys) if job.keys else job.work in self._prepared
            if not done:
                found.append(job)
        return found

    def _stage(self, plan: Plan, hands: JobWorkers) -> None:
        waiting = self._waiting(plan, hands)
        while True:
            while hands.idle and waiting:
                hands.submit(waiting.popleft())
            if not hands.in_flight and not waiting:
                waiting = self._waiting(plan, hands)
                if not waiting:
                    return
                continue
            flying = hands.in_flight
            left, title = len(waiting) + len(flying), next((job.title for job in flying), "")
            self._listener.update(JobStatus(self._done, left, title, time.monotonic() - self._started))
            for job, results in hands.wait(0.25):
                left -= 1
                self._take(job, results, left, hands.workers)
            if hands.idle > len(waiting):
                # only now, so that long lists of jobs are not looked through after every one of them
                waiting = self._waiting(plan, hands)

    def _waiting(self, plan: Plan, hands: JobWorkers) -> deque[Job]:
        """Missing jobs that nobody works on, as many as are taken before the plan is asked again."""
        flying = hands.in_flight
        ahead = self._study.jobs_ahead
        wanted = (job for job in self._missing(plan) if job not in flying)
        return deque(islice(wanted, None if ahead is None else ahead * hands.workers))

    def _take(self, job: Job, results: Results, left: int, workers: int) -> None:
        if set(results) != set(job.keys):
            raise ValueError(f"job {job.title}: got results {sorted(results)}; allowed: {sorted(job.keys)}")
        if self._store is not None:
            # what another job has brought meanwhile is equal
            new = {key: arrays for key, arrays in results.items() if key not in self._known}
            blobs = {self._prefix + key: _bytes(arrays) for key, arrays in new.items()}
            self._store.add_jobs(blobs, self._times(left, workers))
        self._known.update(results)
        if not job.keys:
            self._prepared.add(job.work)
        self._done += 1

    def _times(self, left: int, workers: int) -> dict[str, str]:
        return {
            "complete": "no",
            "jobs_left": str(left),
            "started": self._first_start,
            "finished": _now(),
            "wall_time_s": f"{self._earlier_s + time.monotonic() - self._started:.1f}",
            "workers": str(workers),
        }


def _bytes(arrays: Arrays) -> bytes:
    return save({name: np.ascontiguousarray(values) for name, values in arrays.items()})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
