"""Sweeps over experiments of studies made of jobs: all combinations over one set of workers into one folder."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import chain, zip_longest
from typing import Any

from ran.errors import InputError
from ran.sim.loading import read_values
from ran.studies.folder import JobsFound
from ran.studies.job import Arrays, Found, Job, JobWorker, MissingResult, Results
from ran.studies.jobs import JobListener, JobStudy, Plan, key_prefix, unpacked
from ran.studies.kind import EXPERIMENTS, StudyKind, study_kind
from ran.studies.sweep.request import combinations_of

_SWEEP_OF = "sweep of a "
#: Files that the sweep writes into its folder, beside a folder with the report of every combination.
PAGES = CSV, JSON, PAGE, SVG, PNG = "sweep.csv", "sweep.json", "sweep.html", "sweep.svg", "sweep.png"
#: Workers of combinations that a process keeps, the ones used last: channels, receivers and drops take memory.
_MOST = 4
#: Jobs per worker between two looks at which combination is least certain: a look costs little beside as many jobs.
_AHEAD = 2


@dataclass(frozen=True)
class JobPart:
    """One combination. key: a file name. facts: swept values by key."""

    key: str
    title: str
    facts: Mapping[str, Any]
    experiment: Any


@dataclass(frozen=True)
class JobSweep:
    """An experiment with its sweep. keys: short names of the swept keys."""

    name: str
    description: str
    keys: tuple[str, ...]
    parts: tuple[JobPart, ...]


@dataclass(frozen=True)
class PartFound:
    """What became of a combination. results: of the kind; None where jobs of it are missing. drops: of combinations
    with common random numbers the same name."""

    key: str
    title: str
    facts: Mapping[str, Any]
    results: Any
    drops: str


@dataclass(frozen=True)
class SweepFound:
    """What a sweep came to."""

    kind: StudyKind
    name: str
    description: str
    keys: tuple[str, ...]
    parts: tuple[PartFound, ...]


def load_any(kind: str, name_or_path: str, overrides: Iterable[str] = ()) -> Any:
    """The experiment of that name or file, with `overrides` applied; a `JobSweep` where it has a block `sweep`. kind:
    its name, one of `ran.studies.kind.EXPERIMENTS`.

    `InputError` in one line for everything that is wrong, in any combination.
    """
    of_kind = import_module(EXPERIMENTS[kind])
    values, folder = read_values(name_or_path, overrides, of_kind.built_in_experiments())
    if "sweep" not in values:
        return of_kind.validated(values, folder, name_or_path)
    keys, combinations = combinations_of(values, name_or_path)
    parts = tuple(
        JobPart(one.key, one.title, one.facts, of_kind.validated(one.values, folder, one.source))
        for one in combinations
    )
    twice = {part.title for part in parts if sum(part.key == other.key for other in parts) > 1}
    if twice:
        raise InputError(f"{name_or_path}: sweep: got {sorted(twice)[0]!r} twice; allowed: every combination once")
    first = parts[0].experiment
    return JobSweep(first.name, first.description, tuple(keys.values()), parts)


def study_of(kind: StudyKind, sweep: JobSweep, listener: JobListener) -> JobStudy:
    """The jobs of all combinations; what they share is done once.

    Those of one stage take turns, so that an interrupted sweep is everywhere equally far. With a stopping rule they go
    where the interval is widest, so that it is everywhere equally certain. The order changes no result.
    """
    studies: list[JobStudy] = []
    for number, part in enumerate(sweep.parts, 1):
        listener.say(f"checking {number} of {len(sweep.parts)}: {part.title}")
        try:
            studies.append(kind.study(part.experiment, listener))
        except InputError as error:
            raise InputError(f"{part.title}: {error}") from None
    stages = [_stage(studies, [p.title for p in sweep.parts], number) for number in range(len(studies[0].stages))]
    described = {
        "name": sweep.name,
        "description": sweep.description,
        "keys": list(sweep.keys),
        "parts": [
            {
                "key": part.key,
                "title": part.title,
                "facts": dict(part.facts),
                "identity": dict(study.identity),
                "described": dict(study.described),
            }
            for part, study in zip(sweep.parts, studies, strict=True)
        ],
    }
    request = SweepRequest(tuple((study.build, study.request, study.named) for study in studies))
    return JobStudy(
        _SWEEP_OF + kind.name,
        request,
        SweepWorker,
        {"sweep": kind.name},
        named,
        stages,
        PAGES,
        described,
        SweepWorker(request, [study.here for study in studies]),
        studies[0].before,
        jobs_ahead=_AHEAD if any(study.width for study in studies) else None,
    )


def results_of(kind: StudyKind, described: Mapping[str, Any], known: Results) -> SweepFound:
    """What the last request of a sweep came to, from what its folder holds; combinations with missing jobs have no
    results."""
    parts = []
    for part in described["parts"]:
        try:
            results = kind.results(part["described"], _own(known, part["identity"]))
        except MissingResult:
            results = None
        drops = key_prefix(part["identity"])
        parts.append(PartFound(part["key"], part["title"], part["facts"], results, drops))
    return SweepFound(kind, described["name"], described["description"], tuple(described["keys"]), tuple(parts))


def sweep_in(name: str, found: JobsFound) -> SweepFound | None:
    """What the folder of a sweep holds, from its store alone; None where `name` is no sweep of a shipped kind."""
    kind = study_kind(name.removeprefix(_SWEEP_OF)) if name.startswith(_SWEEP_OF) else None
    if kind is None:
        return None
    return results_of(kind, found.described, unpacked(found.results, key_prefix(found.identity)))


def _own(known: Results, identity: Mapping[str, Any]) -> Found:
    """The results of a combination, by the keys that it has alone."""
    prefix = key_prefix(identity)
    return Found({key.removeprefix(prefix): values for key, values in known.items() if key.startswith(prefix)})


def _stage(studies: Sequence[JobStudy], titles: Sequence[str], stage: int) -> Plan:
    prefixes = [key_prefix(study.identity) for study in studies]

    def plan(known: Results) -> list[Job]:
        own: dict[str, dict[str, Arrays]] = {prefix: {} for prefix in prefixes}
        for key, values in known.items():
            prefix = key[: len(prefixes[0])]
            if prefix in own:
                own[prefix][key.removeprefix(prefix)] = values
        wanted: list[tuple[float, list[Job]]] = []
        seen: set[Any] = set()
        for number, (study, prefix) in enumerate(zip(studies, prefixes, strict=True)):
            jobs = []
            for job in study.stages[stage](own[prefix]):
                # without keys a job prepares something, and its work names what
                names = job.keys or (job.work,)
                if all((prefix, name) in seen for name in names):
                    continue
                seen.update((prefix, name) for name in names)
                title = f"{titles[number]}: {job.title}"
                jobs.append(Job(tuple(prefix + key for key in job.keys), PartJob(number, job), title))
            if jobs:
                wanted.append((study.width(own[prefix]) if study.width else math.inf, jobs))
        return widest_first(wanted)

    return plan


def widest_first(wanted: Sequence[tuple[float, Sequence[Job]]]) -> list[Job]:
    """Jobs of combinations, by how wide the interval of each is: those that have none yet, or look at none, take turns;
    then come the others, the least certain first."""
    found = list(chain.from_iterable(zip_longest(*(jobs for width, jobs in wanted if math.isinf(width)))))
    for _, jobs in sorted((entry for entry in wanted if not math.isinf(entry[0])), key=lambda entry: -entry[0]):
        found += jobs
    return [job for job in found if job is not None]


@dataclass(frozen=True)
class PartJob:
    """A job of a combination, by its number."""

    part: int
    job: Job


@dataclass(frozen=True)
class SweepRequest:
    """Of every combination `build`, `request` and `named` of its study."""

    parts: tuple[tuple[Any, Any, Any], ...]


def named(request: SweepRequest) -> dict[str, Any]:
    """What results are named by on this machine."""
    return {f"combination {number}": of(part) for number, (_, part, of) in enumerate(request.parts, 1)}


class SweepWorker:
    """Does jobs of all combinations (`ran.studies.job.JobWorker`)."""

    def __init__(self, request: SweepRequest, here: Sequence[JobWorker | None] = ()) -> None:
        """here: workers of combinations that this process has already."""
        self._request = request
        self._here = list(here)
        self._built: dict[int, JobWorker] = {}

    def work(self, job: Job) -> Results:
        wanted: PartJob = job.work
        found = self._worker(wanted.part).work(wanted.job)
        return {key: found[own] for key, own in zip(job.keys, wanted.job.keys, strict=True)}

    def _worker(self, part: int) -> JobWorker:
        if part < len(self._here) and (there := self._here[part]) is not None:
            return there
        build, request, _ = self._request.parts[part]
        worker: JobWorker = self._built.pop(part) if part in self._built else build(request)
        self._built[part] = worker  # the one used last is the last one
        if len(self._built) > _MOST:
            del self._built[next(iter(self._built))]
        return worker
