"""The folder of a run: whose it is, and what is in it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from ran import __version__
from ran.errors import InputError
from ran.sim.device import device_title
from ran.sim.experiment import Experiment
from ran.sim.files import write_text
from ran.sim.identity import digest, filled_in, first_difference, physics, run_identity
from ran.sim.lock import lock
from ran.sim.provenance import versions
from ran.sim.simulation import Simulation
from ran.sim.store import Store
from ran.sim.yaml_file import dump

STORE = "results.sqlite"
CSV = "results.csv"
EXPERIMENT = "experiment.yaml"
REPORT = "report.html"

_LEFTOVERS = (f"{STORE}.new", f"{STORE}.new-journal", f".{EXPERIMENT}.new")


class RunFolder:
    """A run folder that this process writes to. A context manager: it holds a lock on the folder while it is open."""

    def __init__(
        self, path: Path, experiment: Experiment, simulation: Simulation, receivers: dict[str, dict[str, Any]]
    ) -> None:
        """Create the folder, or continue in it when the same experiment was run there.

        receivers: `receiver_identity` by title. Another stopping rule or description continues; everything else that
        differs is refused. InputError, with nothing written, when the folder holds anything else, is used by another
        process or cannot be written.
        """
        self.path = path
        identity = run_identity(experiment, receivers)
        self._lock = _make_and_lock(path)
        try:
            self.store = self._open_store(identity)
            self.store.set_meta(_description(experiment, simulation, receivers))
            text = dump(filled_in(experiment), allow_unicode=True, width=120)
            write_text(path / EXPERIMENT, f"# Resolved by ran {__version__}: every default filled in.\n{text}")
        except BaseException:
            os.close(self._lock)
            raise

    def _open_store(self, identity: dict[str, Any]) -> Store:
        file = self.path / STORE
        if not file.exists():
            strangers = sorted(p.name for p in self.path.iterdir() if p.name not in _LEFTOVERS)
            if strangers:
                more = f" and {len(strangers) - 1} more" if len(strangers) > 1 else ""
                raise InputError(
                    f"{self.path}: holds {strangers[0]!r}{more} and is no run folder; "
                    "allowed: a new or empty folder, or one with a run of the same experiment"
                )
            return Store.create(file, {"run_identity": json.dumps(identity)})
        store = Store(file)
        difference = first_difference(_json(store, "run_identity"), identity)
        if difference:
            store.close()
            raise InputError(
                f"{self.path}: holds a run of a different experiment: {difference}; "
                "allowed: the same experiment, or another folder by --out"
            )
        return store

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


def _make_and_lock(path: Path) -> int:
    """Make the folder and lock it against other processes; the lock ends with the process, however it ends."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        return lock(path)
    except FileExistsError:
        raise InputError(f"{path}: is a file; allowed: a new or empty folder, or one with a run") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


def _description(
    experiment: Experiment, simulation: Simulation, receivers: dict[str, dict[str, Any]]
) -> dict[str, str]:
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


def _json(store: Store, key: str) -> Any:
    with suppress(KeyError, ValueError):
        return json.loads(store.meta()[key])
    raise InputError(f"{store.path}: damaged: no readable {key!r}; allowed: a results.sqlite that ran wrote")
