"""Outcomes of PUCCH, PRACH and URLLC rows in the folder of the study: a row that is done there stays done."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ran.sim.files import write_text
from ran.sim.identity import SIMULATION_VERSION, digest
from ran.sim.run_folder import STORE
from ran.studies.conformance.control import ControlOutcome, ControlRow, as_csv
from ran.studies.conformance.run import KIND
from ran.studies.folder import StudyFolder, text_in


@dataclass(frozen=True)
class Job:
    """A row to be simulated. name: of all that its outcome depends on."""

    name: str
    run: Callable[[], ControlOutcome]


def name_of(row: ControlRow, max_trials: int, seed: int, receiver: Mapping[str, Any] | str) -> str:
    """Names an outcome by all that it depends on. receiver: its identity."""
    about = {"row": asdict(row), "max_trials": max_trials, "seed": seed, "receiver": receiver}
    return digest({**about, "version": SIMULATION_VERSION})


def run_jobs(
    jobs: Sequence[Job], out: Path, table: str, show: Callable[[ControlOutcome], None]
) -> tuple[ControlOutcome, ...]:
    """Outcomes of all, in this process, each kept when it is there; the table, a file of `out`, grows with each.

    Without jobs a folder of an earlier request forgets that it wanted some, and none is made.
    """
    if not jobs and not (out / STORE).is_file():
        return ()
    outcomes: list[ControlOutcome] = []
    with StudyFolder(out, KIND) as study:
        known = study.content.meta
        study.store.set_meta({table: json.dumps([job.name for job in jobs])})
        for job in jobs:
            key = f"{table} {job.name}"
            if key in known:
                outcomes.append(_from_text(known[key]))
            else:
                outcomes.append(job.run())
                study.store.set_meta({key: json.dumps(asdict(outcomes[-1]))})
            write_text(out / table, as_csv(outcomes))
            show(outcomes[-1])
    return tuple(outcomes)


def outcomes_in(folder: Path, table: str) -> tuple[ControlOutcome, ...]:
    """What the rows of the last request came to, as far as they are done; from the store alone."""
    text = text_in(folder)
    keys = [f"{table} {name}" for name in json.loads(text.get(table, "[]"))]
    return tuple(_from_text(text[key]) for key in keys if key in text)


def _from_text(text: str) -> ControlOutcome:
    values = json.loads(text)
    return ControlOutcome(**{**values, "row": ControlRow(**values["row"])})
