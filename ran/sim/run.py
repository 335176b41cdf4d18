"""Run an experiment: plan, schedule, workers and store put together."""

from __future__ import annotations

from pathlib import Path

from ran.config.host import available_cores
from ran.sim.budget_results import BUDGET_CSV, write_budget_csv
from ran.sim.device import device_kind
from ran.sim.drive import Listener, PointStatus, Silence, Status, drive, executor_of
from ran.sim.executor import Workers
from ran.sim.experiment import Experiment
from ran.sim.failures import TRACEBACKS, ReceiversFailed, tracebacks
from ran.sim.files import write_text
from ran.sim.identity import receiver_identity
from ran.sim.results import RunResults, load_results
from ran.sim.results_csv import write_csv
from ran.sim.run_folder import CSV, RunFolder
from ran.sim.session import Known, Session
from ran.sim.simulation import Build, build_simulation

__all__ = ["Listener", "PointStatus", "Silence", "Status", "run"]


def run(
    experiment: Experiment,
    out: Path,
    *,
    workers: int | None = None,
    chunk_slots: int | None = None,
    listener: Listener | None = None,
    build: Build = build_simulation,
    executor: Workers | None = None,
) -> RunResults:
    """Simulate what the run folder `out` does not hold yet of `experiment`; write `results.csv`; return the results.

    workers: processes, by default one per core, or one for a GPU. chunk_slots: slots per chunk, by default about 1.5 s
    worth. Neither changes any result, nor does an interruption: every finished chunk is stored, and the same call goes
    on from there.
    build: makes the simulation, here and in every worker. executor: workers that outlive this run, made with the same
    `build`, here or on a cluster; by default the run has its own processes.
    A receiver that fails on the way (an exception, a NaN, the end of its worker process, no answer in time) fails
    alone: the others go on, then `ReceiversFailed` names it and holds the results. Otherwise raises InputError for
    input that does not fit, RunStopped when the run cannot go on, WorkerCrashed for a bug.
    """
    listener = listener or Silence()
    simulation = build(experiment)
    blocks = {receiver.title: receiver for receiver in experiment.receivers}
    device = simulation.device
    receivers = {t: receiver_identity(block, simulation.fingerprints[t], device) for t, block in blocks.items()}
    with RunFolder(Path(out), experiment, simulation, receivers) as folder:
        for news in folder.news:
            listener.say(f"note: {news}")
        for note in simulation.notes:
            listener.say(f"note: {note}")
        simulation.warm_up(listener.say)
        # a GPU is shared by all processes: one keeps it busy
        cores = available_cores() if device_kind(device) == "cpu" else 1
        count = workers or cores if executor is None else executor.workers
        known: Known = {folder.tasks[place].task_id: found for place, found in folder.outcomes.items()}
        session = Session(experiment, simulation, folder.tasks, known, count, chunk_slots)
        if session.missing:
            with executor_of(executor, experiment, build, count, listener) as hands:
                drive([session], folder.store, hands, listener, processors=folder.processors)
    results = load_results(Path(out))
    write_csv(results, Path(out) / CSV)
    if results.failures:
        write_text(Path(out) / TRACEBACKS, tracebacks(results.failures))
    if experiment.link_budget is not None:
        write_budget_csv(results, Path(out) / BUDGET_CSV)
    if results.failures:
        raise ReceiversFailed(results.failures, results)
    return results
