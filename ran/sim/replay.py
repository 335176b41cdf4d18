"""Simulate one drop again, in the batch that it was simulated in."""

from __future__ import annotations

from dataclasses import dataclass

from ran.sim.executor import ResilientExecutor
from ran.sim.experiment import Experiment
from ran.sim.identity import parse_replay_key, scenario_id
from ran.sim.program import Lost
from ran.sim.simulation import Build, build_simulation
from ran.sim.worker import Chunk, Failure, NonFinite


@dataclass(frozen=True)
class Outcome:
    """What a receiver made of the drop; or, with `non_finite` set, where the drop `drop` of its batch went wrong; or,
    with `failure` set, the exception that it raised."""

    receiver: str
    drop: int
    block_errors: int = 0
    bit_errors: int = 0
    non_finite: str = ""
    failure: Failure | None = None


@dataclass(frozen=True)
class Replay:
    """One drop again: its place, what it carries, and the outcome of every receiver."""

    esn0_db: float
    drop: int
    batch: range
    scenario_id: str
    blocks: int
    bits: int
    outcomes: tuple[Outcome, ...]


def replay(experiment: Experiment, key: str, build: Build = build_simulation) -> Replay:
    """Every receiver by itself on the drop that `key` names, in a worker process as in the run.

    InputError when the key is malformed or belongs to another experiment.
    """
    esn0_db, drop = parse_replay_key(key, experiment)
    link = (simulation := build(experiment)).link
    first = drop // link.batch_drops * link.batch_drops
    batch = range(first, first + link.batch_drops)
    scenario = scenario_id(experiment, esn0_db)
    outcomes = []
    with ResilientExecutor(experiment, build, workers=1) as executor:
        for title in simulation.receivers:
            executor.submit(Chunk(esn0_db, scenario, batch, (title,)))
            [(_, answer)] = executor.wait(None)
            if isinstance(answer, Lost):
                failure = Failure(f"its worker process {answer.reason}", "")
                outcomes.append(Outcome(title, drop, failure=failure))
            elif isinstance(answer, NonFinite):
                outcomes.append(Outcome(title, answer.drop, non_finite=answer.stage))
            elif isinstance(failed := answer.failures.get(title), Failure):
                outcomes.append(Outcome(title, drop, failure=failed))
            else:
                found, place = answer.outcomes[title].counts, drop - first
                errors = int(found.block_errors[place]), int(found.bit_errors[place])
                outcomes.append(Outcome(title, drop, *errors))
    blocks = link.blocks_per_drop
    return Replay(esn0_db, drop, batch, scenario, blocks, sum(link.bits_per_block), tuple(outcomes))
