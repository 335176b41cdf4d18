"""What `ran sim --replay KEY` prints."""

from __future__ import annotations

from ran.cli.answer import answer
from ran.sim.executor import RunStopped
from ran.sim.experiment import Experiment
from ran.sim.replay import replay
from ran.sim.simulation import Build


def print_replay(experiment: Experiment, key: str, build: Build) -> None:
    """Simulate the drop again and say what every receiver made of it. RunStopped when a number was not finite or a
    receiver raised an exception."""
    found = replay(experiment, key, build)
    axis, _, unit = experiment.point_axis
    print(f"experiment {experiment.name}, scenario {found.scenario_id}, seed {experiment.seed}")
    print(
        f"drop {found.drop} at {axis} {found.esn0_db:g} {unit}, simulated in the batch of drops "
        f"{found.batch.start} to {found.batch.stop - 1}: {found.blocks} block(s), {found.bits} information bits"
    )
    for outcome in found.outcomes:
        if outcome.non_finite:
            print(f"  {outcome.receiver}: non-finite numbers in {outcome.non_finite}, drop {outcome.drop}")
        elif outcome.failure is not None:
            print(f"  {outcome.receiver}: {outcome.failure.line}")
            print(outcome.failure.traceback, end="")
        else:
            print(f"  {outcome.receiver}: {outcome.block_errors} block errors, {outcome.bit_errors} bit errors")
    answer(drop=found.drop, esn0_db=found.esn0_db, outcomes=list(found.outcomes))
    if bad := [outcome.receiver for outcome in found.outcomes if outcome.non_finite]:
        raise RunStopped(f"non-finite numbers with {', '.join(bad)}")
    if failed := [outcome.receiver for outcome in found.outcomes if outcome.failure is not None]:
        raise RunStopped(f"exception with {', '.join(failed)}")
