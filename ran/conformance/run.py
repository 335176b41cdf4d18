"""Run the rows of the standard one after the other, each as an experiment in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ran.conformance.outcome import RowOutcome, row_outcome
from ran.conformance.requirements import Offsets, Requirement, Variant, experiment
from ran.errors import InputError, ReceiverRefused
from ran.sim.executor import Executor, available_cores
from ran.sim.run import Listener, Silence, run
from ran.sim.run_folder import claim_folder
from ran.sim.simulation import Build, build_simulation

#: Marks a folder as one of ours.
MARK = "conformance.csv"


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
) -> tuple[RowOutcome, ...]:
    """Simulate what the folder `out` does not hold yet; returns every row's outcome and hands each to `show`.

    Outcomes come row by row, and of a row receiver by receiver. A row that a receiver cannot take is not an error: its
    outcome says why. `InputError` for a folder of something else, and for a receiver that can take no row at all.
    Interrupted, the same call goes on.
    """
    listener = listener or Silence()
    claim_folder(out, MARK, "conformance", "ran conformance")
    outcomes: list[RowOutcome] = []
    executor: Executor | None = None
    try:
        for number, row in enumerate(request.rows, 1):
            listener.say(
                f"row {number} of {len(request.rows)}: {row.name}, {row.modulation} {row.num_layers}x{row.num_rx}"
            )
            for receiver in request.receivers:
                tested = experiment(row, [receiver], request.variant, request.max_slots, request.offsets)
                title = tested.receivers[0].title
                try:
                    build(tested)
                except ReceiverRefused as error:
                    outcome = RowOutcome(row, request.variant, title, (), str(error))
                else:
                    if executor is None:
                        executor = Executor(tested, build, workers or available_cores()).__enter__()
                    folder = out / row.name if len(request.receivers) == 1 else out / row.name / title
                    results = run(tested, folder, listener=listener, build=build, executor=executor)
                    outcome = row_outcome(row, request.variant, results)
                outcomes.append(outcome)
                show(outcome)
    finally:
        if executor is not None:
            executor.close()
    for title in dict.fromkeys(outcome.receiver for outcome in outcomes):
        of_receiver = [outcome for outcome in outcomes if outcome.receiver == title]
        if all(outcome.verdict == "refused" for outcome in of_receiver):
            raise InputError(f"{of_receiver[0].reason} (and no other row can be taken)")
    return tuple(outcomes)


def passed(outcomes: Sequence[RowOutcome]) -> bool:
    """Whether every row passed. One that a receiver refused, or that stayed undecided, did not."""
    return all(outcome.verdict == "pass" for outcome in outcomes)
