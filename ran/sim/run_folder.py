"""The folder of a run: whose it is, and what is in it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from ran import __version__
from ran.config.provenance import versions
from ran.config.yaml_file import dump
from ran.errors import InputError
from ran.sim.device import device_title
from ran.sim.experiment import Experiment
from ran.sim.files import write_text
from ran.sim.identity import digest, filled_in, first_difference, physics, run_identity, scenario_ids, task_ids
from ran.sim.lock import lock
from ran.sim.outcomes import TaskOutcomes
from ran.sim.past_receivers import PAST_RECEIVERS, changes, past_after
from ran.sim.segment import Content, Task
from ran.sim.simulation import Simulation
from ran.sim.store import Store

STORE = "results.sqlite"
CSV = "results.csv"
EXPERIMENT = "experiment.yaml"
REPORT = "report.html"

LEFTOVERS = (f"{STORE}.new", f"{STORE}.new-journal", f".{EXPERIMENT}.new")


class RunFolder:
    """A run folder that this process writes to. A context manager: it holds a lock on the folder while it is open.

    outcomes: what the store knows of the experiment, by receiver title and Es/N0 in dB. tasks: their names, likewise.
    news: what a user should know of how the folder was found, a sentence each. processors: kinds that it holds.
    """

    def __init__(
        self, path: Path, experiment: Experiment, simulation: Simulation, receivers: dict[str, dict[str, Any]]
    ) -> None:
        """Create the folder, or continue in it when the same experiment was run there.

        receivers: `receiver_identity` by title. Another stopping rule, description or other receivers continue: the
        outcomes of a receiver that has changed or is not asked for any more stay in the store. Everything else that
        differs is refused. InputError, with nothing written, when the folder holds anything else, is used by another
        process or cannot be written.
        """
        self.path = path
        self.news: list[str] = []
        identity = run_identity(experiment, receivers)
        self.tasks = named_tasks(experiment, receivers)
        self._lock = lock_folder(path)
        try:
            self.store, content = self._open_store(identity)
            self.news += changes(content.meta, receivers)
            self.store.set_meta(
                {
                    **described(experiment, simulation, receivers),
                    "run_identity": json.dumps(identity),
                    PAST_RECEIVERS: past_after(content.meta, receivers),
                }
            )
            known = {task.task_id: task for task in self.tasks.values() if task.task_id in content.segments}
            self.store.name({name: task for name, task in known.items() if content.tasks.get(name) != task})
            text = dump(filled_in(experiment), allow_unicode=True, width=120)
            write_text(path / EXPERIMENT, f"# Resolved by ran {__version__}: every default filled in.\n{text}")
        except BaseException:
            os.close(self._lock)
            raise
        self.outcomes = {
            place: TaskOutcomes(content.segments[task.task_id])
            for place, task in self.tasks.items()
            if task.task_id in content.segments
        }
        self.processors = {segment.processor for name in known for segment in content.segments[name]}

    def _open_store(self, identity: dict[str, Any]) -> tuple[Store, Content]:
        file = self.path / STORE
        if not file.exists():
            strangers = sorted(p.name for p in self.path.iterdir() if p.name not in LEFTOVERS)
            if strangers:
                more = f" and {len(strangers) - 1} more" if len(strangers) > 1 else ""
                raise InputError(
                    f"{self.path}: holds {strangers[0]!r}{more} and is no run folder; "
                    "allowed: a new or empty folder, or one with a run of the same experiment"
                )
            store = Store.create(file, {"run_identity": json.dumps(identity)})
            return store, store.content()
        store = Store(file)
        try:
            content = store.content()
            if kind := content.meta.get("study"):
                raise InputError(f"{self.path}: holds a {kind}; allowed: a new or empty folder, or one with a run")
            self._check_same(content, identity)
            if content.damage or store.is_old:
                store, aside = store.rebuild(content)
                if aside is not None:
                    self.news += [f"{file.name}: damaged: {line}" for line in content.damage]
                    self.news.append(
                        f"the damaged store is kept as {aside.name}, everything intact goes on, and what is missing is "
                        "simulated again"
                    )
        except BaseException:
            store.close()
            raise
        return store, content

    def _check_same(self, content: Content, identity: dict[str, Any]) -> None:
        """InputError when the store holds another experiment's outcomes."""
        if "run_identity" not in content.meta and content.damage:
            # its row is damaged; a task is named by everything but the receivers of other tasks
            if any(task.task_id in content.segments for task in self.tasks.values()):
                return
            raise InputError(f"{self.path / STORE}: damaged: {content.damage[0]}; allowed: another folder by --out")
        stored = _json(self.path / STORE, content.meta, "run_identity")
        difference = first_difference(_without_receivers(stored), _without_receivers(identity))
        if difference:
            raise InputError(
                f"{self.path}: holds a run of a different experiment: {difference}; "
                "allowed: the same experiment, or another folder by --out"
            )

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.store.close()
        os.close(self._lock)


def claim_folder(out: Path, mark: str, kind: str, command: str) -> None:
    """Make a folder that holds several runs, or accept one of the same command; a file `mark` tells it from others.

    InputError for any other folder, or one that cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        names = sorted(path.name for path in out.iterdir())
        if mark not in names:
            if names:
                raise InputError(
                    f"{out}: holds {names[0]!r} and is no {kind} folder; allowed: a new or empty folder, or one "
                    f"that `{command}` wrote"
                )
            write_text(out / mark, "")
    except FileExistsError:
        raise InputError(f"{out}: is a file; allowed: a new or empty folder") from None
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror or error}") from None


def lock_folder(path: Path) -> int:
    """Make the folder and lock it against other processes; the lock ends with the process, however it ends."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        return lock(path)
    except FileExistsError:
        raise InputError(f"{path}: is a file; allowed: a new or empty folder, or one with a run") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


def described(experiment: Experiment, simulation: Simulation, receivers: dict[str, dict[str, Any]]) -> dict[str, str]:
    """What `load_results` needs so that it can do without the link and the receivers."""
    link = simulation.link
    sizes = list(link.bits_per_block)
    return {
        "experiment": json.dumps(experiment.resolved()),
        "receivers": json.dumps(receivers),
        "scenario": digest(physics(experiment)),
        "genies": json.dumps(sorted(simulation.genies)),
        "blocks_per_drop": json.dumps(link.blocks_per_drop),
        "bits_per_block": json.dumps(sizes[0] if len(set(sizes)) == 1 else sizes),
        "slot_duration_s": json.dumps(link.slot_duration_s),
        **({"notes": json.dumps(list(simulation.notes))} if simulation.notes else {}),
        "versions": json.dumps({**versions(), "device": device_title(simulation.device)}),
    }


def named_tasks(experiment: Experiment, receivers: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, float], Task]:
    """The task of every receiver at every Es/N0 in dB. receivers: `receiver_identity` by title."""
    scenarios = scenario_ids(experiment)
    digests = {title: digest(identity) for title, identity in receivers.items()}
    return {
        (title, esn0_db): Task(task, scenarios[esn0_db], title, float(esn0_db), digests[title])
        for (title, esn0_db), task in task_ids(experiment, receivers, scenarios).items()
    }


def _without_receivers(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Of a run identity what may not change in a folder: no receivers, but the device that they all run on."""
    devices = sorted({receiver.get("device", "cpu") for receiver in identity["receivers"].values()})
    return {**{key: value for key, value in identity.items() if key != "receivers"}, "device": devices}


def _json(path: Path, meta: Mapping[str, str], key: str) -> Any:
    with suppress(KeyError, ValueError):
        return json.loads(meta[key])
    raise InputError(f"{path}: damaged: no readable {key!r}; allowed: a results.sqlite that ran wrote")
