"""Try receivers under conditions one after the other, each in a run folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ran.errors import InputError, ReceiverRefused
from ran.generalisation.conditions import Condition, Conditions
from ran.generalisation.outcome import BASELINE, FLOOR, Outcome, outcomes_of
from ran.sim.executor import Executor, available_cores
from ran.sim.experiment import Experiment
from ran.sim.results import RunResults
from ran.sim.run import Listener, Silence, run
from ran.sim.run_folder import claim_folder
from ran.sim.simulation import Build, build_simulation

#: Marks a folder as one of ours.
MARK = "generalisation.csv"


@dataclass(frozen=True)
class Request:
    """What is tried: conditions of a set, receivers (`{"name": ..., options}`), most slots per point.

    `FLOOR` and `BASELINE` of `ran.generalisation.outcome` have to be among the receivers.
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
) -> tuple[Outcome, ...]:
    """Simulate what the folder `out` does not hold yet; returns all outcomes and hands those of a condition to `show`.

    Every receiver has its own folder CONDITION/RECEIVER, so that another one can join later. A condition that a
    receiver cannot take is not an error: its outcome says why. `InputError` for a folder of something else, and where
    none of the receivers that are tried can take any. Interrupted, the same call goes on.
    """
    listener = listener or Silence()
    claim_folder(out, MARK, "generalisation", "ran generalise")
    outcomes: list[Outcome] = []
    executor: Executor | None = None
    try:
        for number, condition in enumerate(request.chosen, 1):
            listener.say(f"condition {number} of {len(request.chosen)}: {condition.name}, {condition.title}")
            runs: dict[str, RunResults] = {}
            refused: dict[str, str] = {}
            for receiver in request.receivers:
                tried = request.conditions.experiment(condition, receiver, request.max_slots)
                title = tried.receivers[0].title
                if reason := _refusal(tried, build):
                    refused[title] = reason
                    continue
                if executor is None:
                    executor = Executor(tried, build, workers or available_cores()).__enter__()
                runs[title] = run(
                    tried, out / condition.name / title, listener=listener, build=build, executor=executor
                )
            found = outcomes_of(condition, runs, refused)
            outcomes += found
            show(found)
    finally:
        if executor is not None:
            executor.close()
    _check_any_taken(outcomes)
    return tuple(outcomes)


def _refusal(tried: Experiment, build: Build) -> str:
    """Why a receiver cannot take a condition; empty when it can. Other bad input is an error."""
    try:
        build(tried)
    except ReceiverRefused as error:
        return str(error)
    return ""


def _check_any_taken(outcomes: list[Outcome]) -> None:
    """`InputError` where none of the receivers that are tried can take any condition."""
    tried = [outcome for outcome in outcomes if outcome.receiver not in (FLOOR, BASELINE)]
    if tried and all(outcome.verdict == "refused" for outcome in tried):
        raise InputError(f"{tried[0].reason} (and no other condition can be taken)")
