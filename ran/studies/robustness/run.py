"""Try receivers under conditions, each as an experiment of one study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ran.errors import InputError
from ran.sim.drive import Listener, Silence
from ran.sim.executor import Workers
from ran.sim.simulation import Build, build_simulation
from ran.studies.folder import load_parts
from ran.studies.part import Part, PartResult
from ran.studies.robustness.conditions import Condition, Conditions
from ran.studies.robustness.outcome import BASELINE, FLOOR, Outcome, outcomes_of
from ran.studies.study import run_study

KIND = "robustness study"


@dataclass(frozen=True)
class Request:
    """What is tried: conditions of a set, receivers (`{"name": ..., options}`), most slots per point.

    `FLOOR` and `BASELINE` of `ran.studies.robustness.outcome` have to be among the receivers.
    """

    conditions: Conditions
    chosen: tuple[Condition, ...]
    receivers: tuple[dict[str, Any], ...]
    max_slots: int = 192


def run_conditions(
    request: Request,
    out: Path,
    *,
    workers: int | None = None,
    listener: Listener | None = None,
    show: Callable[[tuple[Outcome, ...]], None] = lambda outcomes: None,
    build: Build = build_simulation,
    executor: Workers | None = None,
) -> tuple[Outcome, ...]:
    """Simulate what the folder `out` does not hold yet; returns all outcomes and hands those of a condition to `show`.

    Another receiver or condition can join later in the same folder. A condition that a receiver cannot take is not an
    error: its outcome says why. `InputError` for a folder of something else, and where none of the receivers that are
    tried can take any. Interrupted, the same call goes on. executor: workers that outlive the study, here or on a
    cluster.
    """
    listener = listener or Silence()
    parts = parts_of(request)
    by_name = {condition.name: condition for condition in request.chosen}
    of_condition = {part.key: by_name[part.facts["condition"]["name"]] for part in parts}
    waiting = {condition.name: len(request.receivers) for condition in request.chosen}
    there: dict[str, list[PartResult]] = {condition.name: [] for condition in request.chosen}

    def finished(result: PartResult) -> None:
        condition = of_condition[result.key]
        there[condition.name].append(result)
        if len(there[condition.name]) == waiting[condition.name]:
            show(_outcomes(condition, in_order(there[condition.name])))

    def in_order(results: Sequence[PartResult]) -> list[PartResult]:
        keys = [part.key for part in parts]
        return sorted(results, key=lambda result: keys.index(result.key))

    results = run_study(
        KIND, parts, out, workers=workers, listener=listener, show=finished, build=build, executor=executor
    )
    return outcomes_of_parts(request, results)


def parts_of(request: Request) -> list[Part]:
    """An experiment per condition and receiver."""
    parts = []
    for condition in request.chosen:
        for receiver in request.receivers:
            tried = request.conditions.experiment(condition, receiver, request.max_slots)
            title = tried.receivers[0].title
            facts = {"condition": condition.model_dump(mode="json"), "receiver": title}
            parts.append(Part(f"{condition.name} {title}", f"{condition.title}, {title}", tried, facts))
    return parts


def outcomes_of_parts(request: Request, results: Sequence[PartResult]) -> tuple[Outcome, ...]:
    """Outcomes of all conditions; `InputError` where none of the receivers that are tried can take any."""
    outcomes: list[Outcome] = []
    for condition in request.chosen:
        outcomes += _outcomes(condition, [r for r in results if r.facts["condition"]["name"] == condition.name])
    _check_any_taken(outcomes)
    return tuple(outcomes)


def outcomes_in(folder: Path) -> tuple[Outcome, ...]:
    """What the last request in the folder of a study came to, finished or not, from its store alone."""
    of_condition: dict[str, tuple[Condition, list[PartResult]]] = {}
    for result in load_parts(folder):
        if not isinstance(result.facts["condition"], dict):
            raise InputError(
                f"{folder}: an earlier version wrote it; allowed: after `ran robustness` has run in it again"
            )
        condition = Condition.model_validate(result.facts["condition"])
        of_condition.setdefault(condition.name, (condition, []))[1].append(result)
    return tuple(outcome for condition, results in of_condition.values() for outcome in _outcomes(condition, results))


def _outcomes(condition: Condition, results: Sequence[PartResult]) -> tuple[Outcome, ...]:
    """Outcomes of a condition from the results of its receivers."""
    runs = {str(r.facts["receiver"]): r.results for r in results if r.results is not None}
    refused = {title: reason for r in results for title, reason in r.refused.items()}
    return outcomes_of(condition, runs, refused)


def _check_any_taken(outcomes: list[Outcome]) -> None:
    """`InputError` where none of the receivers that are tried can take any condition."""
    tried = [outcome for outcome in outcomes if outcome.receiver not in (FLOOR, BASELINE)]
    if tried and all(outcome.verdict == "refused" for outcome in tried):
        raise InputError(f"{tried[0].reason} (and no other condition can be taken)")
