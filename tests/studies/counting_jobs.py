"""A study of jobs that are over at once: `python counting_jobs.py FOLDER WORKERS SLEEP_S` runs it from a command."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ran.errors import InputError
from ran.sim.program import RunStopped
from ran.studies.job import Arrays, Job, Results
from ran.studies.jobs import JobListener, JobStudy, JobWorkers, run_jobs

KIND = "counting study"


@dataclass(frozen=True)
class Request:
    """count: jobs of the first round; a second round follows from the results of the first. fail: which job does."""

    count: int = 8
    seed: int = 1
    sleep_s: float = 0.0
    fail: tuple[int, str] | None = None


class Counter:
    """Draws numbers of a job's own stream."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def work(self, job: Job) -> Results:
        time.sleep(self._request.sleep_s)
        if self._request.fail is not None and job.work == self._request.fail[0]:
            if self._request.fail[1] == "refuse":
                raise InputError("job: got 3; allowed: others")
            if self._request.fail[1] == "stop":
                raise RunStopped("non-finite numbers in job 3")
            raise ZeroDivisionError("a bug")
        generator = np.random.default_rng([self._request.seed, job.work])
        values: Arrays = {"drawn": generator.random((2, 3)), "flags": np.arange(3) % 2 == 0}
        return {key: {**values, "place": np.array([place])} for place, key in enumerate(job.keys)}


def named(request: Request) -> dict[str, Any]:
    return {"seed": request.seed}


def study(request: Request) -> JobStudy:
    def first(known: Results) -> list[Job]:
        wanted = [Job((f"{i} a", f"{i} b"), i, f"job {i}") for i in range(request.count)]
        return [job for job in wanted if any(key not in known for key in job.keys)]

    def second(known: Results) -> list[Job]:
        """One job for every small number of the first round."""
        small = [i for i in range(request.count) if f"{i} a" in known and known[f"{i} a"]["drawn"][0, 0] < 0.7]
        return [Job((f"small {i}",), 1000 + i) for i in small if f"small {i}" not in known]

    return JobStudy(KIND, request, Counter, named(request), named, (first, second), ("page.html",))


def run(
    out: Path | None,
    request: Request | None = None,
    workers: int = 1,
    listener: JobListener | None = None,
    executor: JobWorkers | None = None,
) -> dict[str, Arrays]:
    return run_jobs(study(request or Request()), out, workers=workers, listener=listener, executor=executor)


if __name__ == "__main__":
    run(Path(sys.argv[1]), Request(sleep_s=float(sys.argv[3])), int(sys.argv[2]))
