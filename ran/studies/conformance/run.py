"""Run the rows of the standard, each as an experiment of one study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ran.errors import InputError
from ran.sim.drive import Listener, Silence
from ran.sim.executor import Workers
from ran.sim.simulation import Build, build_simulation
from ran.studies.conformance.outcome import RowOutcome, row_outcome
from ran.studies.conformance.requirements import Offsets, Requirement, Variant, experiment, select
from ran.studies.folder import load_parts
from ran.studies.part import Part, PartResult
from ran.studies.study import run_study

KIND = "conformance"


@dataclass(frozen=True)
class Request:
    """What is to be tested: rows, receivers (`{"name": ..., options}`), variant, most slots per point, offsets."""

    rows: tuple[Requirement, ...]
    receivers: tuple[dict[str, Any], ...]
    variant: Variant = "38.104"
    max_slots: int = 4096
    offsets: Offsets | None = None


def run_rows(
    request: Request,
    out: Path,
    *,
    workers: int | None = None,
    listener: Listener | None = None,
    show: Callable[[RowOutcome], None] = lambda outcome: None,
    build: Build = build_simulation,
    executor: Workers | None = None,
) -> tuple[RowOutcome, ...]:
    """Simulate what the folder `out` does not hold yet; returns every row's outcome and hands each to `show`.

    Outcomes come row by row, and of a row receiver by receiver. A row that a receiver cannot take is not an error: its
    outcome says why. `InputError` for a folder of something else, and for a receiver that can take no row at all.
    Interrupted, the same call goes on. executor: workers that outlive the study, here or on a cluster.
    """
    listener = listener or Silence()
    tested: dict[str, tuple[Requirement, str]] = {}
    parts = []
    for row in request.rows:
        for receiver in request.receivers:
            of_row = experiment(row, [receiver], request.variant, request.max_slots, request.offsets)
            title = of_row.receivers[0].title
            key = f"{row.name} {title}"
            tested[key] = row, title
            signal = f"{row.modulation} {row.num_layers}x{row.num_rx}"
            facts = {"row": row.name, "receiver": title, "variant": request.variant}
            parts.append(Part(key, f"{row.name}, {signal}", of_row, facts))

    def outcome_of(result: PartResult) -> RowOutcome:
        row, title = tested[result.key]
        if result.results is None:
            return RowOutcome(row, request.variant, title, (), result.refused[title])
        return row_outcome(row, request.variant, result.results)

    results = run_study(
        KIND,
        parts,
        out,
        workers=workers,
        listener=listener,
        show=lambda result: show(outcome_of(result)),
        build=build,
        executor=executor,
    )
    outcomes = [outcome_of(result) for result in results]
    for title in dict.fromkeys(outcome.receiver for outcome in outcomes):
        of_receiver = [outcome for outcome in outcomes if outcome.receiver == title]
        if all(outcome.verdict == "refused" for outcome in of_receiver):
            raise InputError(f"{of_receiver[0].reason} (and no other row can be taken)")
    return tuple(outcomes)


def outcomes_in(folder: Path) -> tuple[RowOutcome, ...]:
    """What the last request in the folder of a study came to, finished or not, from its store alone."""
    found = []
    for result in load_parts(folder):
        title, variant = result.facts["receiver"], result.facts.get("variant")
        if variant is None:
            raise InputError(
                f"{folder}: an earlier version wrote it; allowed: after `ran conformance` has run in it again"
            )
        (row,) = select([result.facts["row"]])
        if result.results is None:
            found.append(RowOutcome(row, variant, title, (), result.refused[title]))
        else:
            found.append(row_outcome(row, variant, result.results))
    return tuple(found)


def passed(outcomes: Sequence[RowOutcome]) -> bool:
    """Whether every row passed. One that a receiver refused, or that stayed undecided, did not."""
    return all(outcome.verdict == "pass" for outcome in outcomes)
