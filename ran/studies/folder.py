"""The folder of a study: one store for all of its experiments, with what is needed to report on them."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from ran.errors import InputError
from ran.sim.failures import failures_in
from ran.sim.identity import first_difference, run_identity
from ran.sim.results import nothing_in, results_of
from ran.sim.run_folder import LEFTOVERS, STORE, described, lock_folder, named_tasks
from ran.sim.segment import Content
from ran.sim.simulation import Simulation
from ran.sim.store import Store
from ran.studies.part import Part, PartResult

#: Keys of the store's text about the study: its kind, the parts of the last request in order, and each part.
_KIND, _ORDER, _PART = "study", "parts", "part "
#: Of a study made of jobs: what all of its results depend on.
_IDENTITY = "jobs_identity"
#: Of a study made of jobs: what a report of the last request is made from, beside the results.
_DESCRIBED = "jobs_request"


#: A part, its simulation (None where no receiver takes it), the `receiver_identity` of its receivers by title, and the
#: reasons of those that refused.
Described = tuple[Part, Simulation | None, Mapping[str, dict[str, Any]], dict[str, str]]


class StudyFolder:
    """A study's folder that this process writes to. A context manager: it holds a lock while it is open.

    content: what the store held when it was opened. news: what a user should know of that, a sentence each.
    """

    def __init__(
        self, path: Path, kind: str, identity: Mapping[str, Any] | None = None, pages: Collection[str] = ()
    ) -> None:
        """Create the folder, or continue in it when a study of this kind was run there. `InputError`, with nothing
        written, when it holds anything else, is used by another process or cannot be written.

        identity: of a study made of jobs, what all of its results depend on; a folder of another one is refused.
        pages: names of files that may be there already, because the study writes them from its results.
        """
        self.path = path
        self.news: list[str] = []
        check_folder(path, kind, pages)
        self._lock = lock_folder(path)
        try:
            self.store, self.content = self._open(kind, identity)
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self, kind: str, identity: Mapping[str, Any] | None) -> tuple[Store, Content]:
        file = self.path / STORE
        if file.exists():
            store = Store(file)
        else:
            store = Store.create(file, {_KIND: kind, _ORDER: "[]"}, jobs=identity is not None)
        content = store.content()
        if identity is not None and (before := content.meta.get(_IDENTITY)) is not None:
            self._check_identity(kind, json.loads(before), identity)
        if content.damage or store.is_old:
            store, aside = store.rebuild(content)
            self.news += [f"{file.name}: damaged: {line}" for line in content.damage]
            if aside is not None:
                self.news.append(f"the damaged store is kept as {aside.name}; what is missing is simulated again")
        return store, content

    def _check_identity(self, kind: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        if difference := first_difference(before, now):
            raise InputError(
                f"{self.path}: holds a {kind} of a different experiment: {difference}; allowed: the same experiment, "
                "or another folder by --out"
            )

    def claim_jobs(self, identity: Mapping[str, Any], described: Mapping[str, Any]) -> None:
        """Write down what all results of the study's jobs depend on, and what a report of this request is made from."""
        self.store.set_meta({_IDENTITY: json.dumps(identity), _DESCRIBED: json.dumps(described)})

    def describe(self, parts: Iterable[Described]) -> None:
        """Write down the parts of a request.

        A part that is there already must be the same but for its stopping rule and its receivers: `InputError`
        otherwise.
        """
        values: dict[str, str] = {}
        order = []
        for part, simulation, receivers, refused in parts:
            order.append(part.key)
            values[_PART + part.key] = json.dumps(self._part(part, simulation, receivers, refused))
            if (before := self.content.meta.get(_PART + part.key)) is not None:
                self._check_same(part, json.loads(before), json.loads(values[_PART + part.key]))
        self.store.set_meta({**values, _ORDER: json.dumps(order)})

    def _part(
        self,
        part: Part,
        simulation: Simulation | None,
        receivers: Mapping[str, dict[str, Any]],
        refused: Mapping[str, str],
    ) -> dict[str, Any]:
        found: dict[str, Any] = {"title": part.title, "facts": dict(part.facts), "refused": dict(refused)}
        if simulation is not None:
            identity = run_identity(part.experiment, receivers)
            found["run"] = {
                **described(part.experiment, simulation, dict(receivers)),
                "tasks": json.dumps([task.task_id for task in named_tasks(part.experiment, receivers).values()]),
                "run_identity": json.dumps(identity),
            }
        return found

    def _check_same(self, part: Part, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        if "run" not in before or "run" not in now:
            return
        stored, given = (json.loads(values["run"]["run_identity"]) for values in (before, now))
        # receivers come and go: what each has simulated is named by its own identity
        for identity in (stored, given):
            identity.pop("receivers", None)
        if difference := first_difference(stored, given):
            raise InputError(
                f"{self.path}: holds {part.title!r} of a different study: {difference}; "
                "allowed: the same study, more of it, or another folder by --out"
            )

    def __enter__(self) -> StudyFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.store.close()
        os.close(self._lock)


def check_folder(path: Path, kind: str, pages: Collection[str] = ()) -> None:
    """`InputError` for a folder that a study of this kind cannot be written to; nothing is touched. pages: as of
    `StudyFolder`. Files that begin with the name of the study are its own, too."""
    allowed = f"allowed: a new or empty folder, or one with a {kind}"
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: is a file; {allowed}")
    file = path / STORE
    if not file.exists():
        names = sorted(p.name for p in path.iterdir()) if path.is_dir() else []
        known = {*LEFTOVERS, *pages}
        strangers = [name for name in names if name not in known and not name.startswith(f"{kind}-")]
        if strangers:
            raise InputError(f"{path}: holds {strangers[0]!r} and is no folder of a study; {allowed}")
        return
    found = kind_of(path)
    if found != kind:
        raise InputError(f"{path}: holds {f'a {found}' if found else 'a run of one experiment'}; {allowed}")


def kind_of(path: Path) -> str | None:
    """Which study a folder holds; None where it holds none."""
    if not (path / STORE).is_file():
        return None
    store = Store(path / STORE)
    try:
        return store.meta().get(_KIND)
    finally:
        store.close()


@dataclass(frozen=True)
class JobsFound:
    """What the folder of a study made of jobs holds: results by key, and the study's text.

    damage: what cannot be read, a sentence each.
    """

    results: Mapping[str, bytes]
    meta: Mapping[str, str]
    damage: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        return self.meta.get("complete") == "yes"

    @property
    def left(self) -> int:
        """Jobs that were known to be missing when the last result was stored."""
        return int(self.meta.get("jobs_left", 0))

    @property
    def identity(self) -> dict[str, Any]:
        """What all results depend on."""
        return dict(json.loads(self.meta[_IDENTITY]))

    @property
    def described(self) -> dict[str, Any]:
        """What a report of the last request is made from, beside the results."""
        return dict(json.loads(self.meta.get(_DESCRIBED, "{}")))


def load_jobs(path: Path) -> JobsFound | None:
    """What a study's folder holds, finished or not; None where the study is made of experiments."""
    store = Store(path / STORE)
    try:
        content = store.content()
    finally:
        store.close()
    return None if content.jobs is None else JobsFound(content.jobs, content.meta, tuple(content.damage))


def load_parts(path: Path, every: bool = False) -> tuple[PartResult, ...]:
    """What the parts of the last request in a study's folder came to, finished or not; from the store alone.

    every: those of all requests, by key.
    """
    if not (path / STORE).is_file():
        raise nothing_in(path)
    store = Store(path / STORE)
    try:
        content = store.content()
    finally:
        store.close()
    if _KIND not in content.meta:
        raise InputError(f"{path}: holds a run of one experiment; allowed: the folder of a study")
    try:
        keys = json.loads(content.meta[_ORDER])
        if every:
            keys = sorted(key.removeprefix(_PART) for key in content.meta if key.startswith(_PART))
        return tuple(_loaded(path / STORE, content, key) for key in keys)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path / STORE}: damaged: {type(error).__name__} {error}; allowed: a store that this version wrote"
        ) from None


def text_in(path: Path) -> dict[str, str]:
    """The text about a study that its folder holds, by key."""
    store = Store(path / STORE)
    try:
        return store.meta()
    finally:
        store.close()


def load_part(store: Store, key: str) -> PartResult:
    """What one part came to, from a store that is open."""
    return _loaded(store.path, store.content(), key)


def _loaded(path: Path, content: Content, key: str) -> PartResult:
    values = json.loads(content.meta[_PART + key])
    results = None
    if "run" in values:
        times = {k: v for k, v in content.meta.items() if k in ("started", "finished", "workers", "wall_time_s")}
        own = set(json.loads(values["run"]["tasks"]))
        tasks = {name: task for name, task in content.tasks.items() if name in own}
        segments = {name: content.segments[name] for name in own if name in content.segments}
        of_part = Content(content.meta, tasks, segments, content.damage)
        results = results_of(path, of_part, {**values["run"], **times}, failures=failures_in(content.meta, key))
    return PartResult(key, values["title"], values["facts"], results, values["refused"])
