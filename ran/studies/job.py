"""A job of a study, who does it, and the workers that do jobs here or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from ran.errors import InputError
from ran.sim.executor import WorkersFor
from ran.sim.identity import first_difference

#: One result: arrays by name.
Arrays = dict[str, NDArray[Any]]
#: Results of jobs, by key.
Results = Mapping[str, Arrays]


class MissingResult(KeyError):
    """The result of a job that is not done yet."""


class Found(dict[str, Arrays]):
    """Results that a folder holds; one that it does not is a `MissingResult`, which no other lookup raises."""

    def __missing__(self, key: str) -> Arrays:
        raise MissingResult(key)


@dataclass(frozen=True)
class Job:
    """A piece of work. It is pickled to a worker.

    keys: of the results that it brings; none where it only prepares something for jobs after it, such as the cache.
    work: what is to be done, in the study's own terms. title: in words, for whoever watches.
    """

    keys: tuple[str, ...]
    work: Any
    title: str = ""


class JobWorker(Protocol):
    """What a process holds that does jobs of a study."""

    def work(self, job: Job) -> Results:
        """The results of a job, by its keys. It depends on the study's identity and the keys alone."""


@dataclass(frozen=True)
class JobProgram:
    """Do jobs of one study (`ran.sim.program.Program`). first: the study's request. named: as of
    `ran.studies.jobs.JobStudy`."""

    build: Callable[[Any], JobWorker]
    first: Any
    named: Callable[[Any], Mapping[str, Any]]

    def start(self) -> JobStation:
        return JobStation(self)

    def context_of(self, work: Job) -> Any:
        return self.first

    def key(self, context: Any) -> str:
        return ""

    def check(self, node: str, there: Any, here: Any) -> None:
        if difference := first_difference(there, here):
            raise InputError(
                f"--cluster: {node} has other files or another version: {difference}; allowed: those that are here"
            )


class JobStation:
    """What a worker holds that does jobs of a study."""

    def __init__(self, program: JobProgram) -> None:
        self._program = program
        self._worker: JobWorker | None = None

    def prepare(self, context: Any) -> None:
        self._worker = self._worker or self._program.build(context)

    def named(self, context: Any) -> Mapping[str, Any]:
        """What results of the study are named by, by this machine's files and version."""
        return self._program.named(context)

    def answer(self, work: Job) -> Results:
        self.prepare(self._program.first)
        assert self._worker is not None
        return self._worker.work(work)


#: Workers that do jobs: `ran.sim.in_process.InThisProcess`, `ran.sim.executor.Pool` or `ran.sim.cluster.ClusterPool`.
JobWorkers = WorkersFor[Job, Results]
