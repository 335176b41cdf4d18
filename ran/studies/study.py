"""Run the experiments of a study over one set of workers into one store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ran.config.host import available_cores
from ran.errors import InputError, ReceiverRefused
from ran.sim.device import device_kind
from ran.sim.drive import Listener, Order, Silence, drive, executor_of, in_order
from ran.sim.executor import Workers
from ran.sim.experiment import Experiment
from ran.sim.failures import TRACEBACKS, ReceiversFailed, tracebacks
from ran.sim.files import write_text
from ran.sim.identity import receiver_identity
from ran.sim.outcomes import TaskOutcomes
from ran.sim.run_folder import named_tasks
from ran.sim.session import Known, Session
from ran.sim.simulation import Build, Simulation, build_simulation, sizes_of
from ran.studies.folder import StudyFolder, check_folder, load_part
from ran.studies.part import Part, PartResult


def run_study(
    kind: str,
    parts: Sequence[Part],
    out: Path,
    *,
    workers: int | None = None,
    listener: Listener | None = None,
    show: Callable[[PartResult], None] = lambda result: None,
    build: Build = build_simulation,
    executor: Workers | None = None,
    order: Order = in_order,
) -> tuple[PartResult, ...]:
    """Simulate what the study's folder `out` does not hold yet of its parts; returns what each came to.

    kind: names the study, and tells its folders from those of others. show: called with every part when it is done.
    workers: processes, by default one per core. executor: workers that outlive the study, here or on a cluster.
    order: which part gets the next worker; it changes no result, nor does an interruption: every finished chunk is
    stored, and the same call goes on from there. Parts may be added to a folder, and receivers to a part.

    A receiver that cannot take a part (`ReceiverRefused`) is no error: the part's result says why. Any other fault in
    any part is an `InputError`, before anything is simulated or written. A receiver that fails on the way fails alone:
    `ReceiversFailed`, when everything else is done.
    """
    listener = listener or Silence()
    twice = {part.key for part in parts if sum(part.key == other.key for other in parts) > 1}
    if twice or not parts:
        raise InputError(f"{kind}: got {sorted(twice) or 'nothing'}; allowed: one or more parts, each once")
    check_folder(Path(out), kind)
    taken: list[_Taken] = []
    for number, part in enumerate(parts, 1):
        if len(parts) > 1:
            listener.say(f"checking {number} of {len(parts)}: {part.title}")
        taken.append(_taken(part, build, keeps_all=not taken))
    with StudyFolder(Path(out), kind) as folder:
        for line in folder.news:
            listener.say(f"warning: {line}")
        folder.describe((t.part, t.simulation, t.receivers, t.refused) for t in taken)
        found: dict[str, PartResult] = {}

        def finished(key: str) -> None:
            found[key] = load_part(folder.store, key)
            show(found[key])

        for t in taken:
            if t.simulation is None:
                finished(t.part.key)
        able = [t for t in taken if t.simulation is not None]
        if able:
            _simulate(able, folder, workers, listener, finished, build, executor, order)
        results = tuple(found[t.part.key] for t in taken)
    failures = {
        f"{result.title}: {title}": failure
        for result in results
        if result.results is not None
        for title, failure in result.results.failures.items()
    }
    if failures:
        write_text(Path(out) / TRACEBACKS, tracebacks(failures))
        raise ReceiversFailed(failures, results)
    return results


@dataclass(frozen=True, eq=False)
class _Taken:
    """A part with the receivers that take it. experiment: with these alone."""

    part: Part
    experiment: Experiment
    simulation: Simulation | None
    receivers: Mapping[str, dict[str, Any]]
    refused: dict[str, str]


def _taken(part: Part, build: Build, keeps_all: bool) -> _Taken:
    """keeps_all: with link and receivers, to warm up with; of others only their sizes stay in memory."""
    experiment = part.experiment
    refused: dict[str, str] = {}
    try:
        simulation = build(experiment)
    except ReceiverRefused:
        able = []
        for block in part.experiment.receivers:
            try:
                build(part.experiment.model_copy(update={"receivers": (block,)}))
                able.append(block)
            except ReceiverRefused as error:
                refused[block.title] = str(error)
        if not able:
            return _Taken(part, experiment, None, {}, refused)
        experiment = part.experiment.model_copy(update={"receivers": tuple(able)})
        simulation = build(experiment)
    except InputError as error:
        raise InputError(f"{part.title}: {error}") from None
    blocks = {block.title: block for block in experiment.receivers}
    receivers = {
        title: receiver_identity(block, simulation.fingerprints[title], simulation.device)
        for title, block in blocks.items()
    }
    kept = simulation if keeps_all else sizes_of(simulation)
    of_able = Part(part.key, part.title, experiment, part.facts)
    return _Taken(of_able, experiment, kept, receivers, refused)


def _simulate(
    able: Sequence[_Taken],
    folder: StudyFolder,
    workers: int | None,
    listener: Listener,
    finished: Callable[[str], None],
    build: Build,
    executor: Workers | None,
    order: Order,
) -> None:
    """finished: called with the key of every part when it is done."""
    first = next(t.simulation for t in able if t.simulation is not None)
    for note in dict.fromkeys(note for t in able if t.simulation for note in t.simulation.notes):
        listener.say(f"note: {note}")
    first.warm_up(listener.say)
    cores = available_cores() if device_kind(first.device) == "cpu" else 1
    count = workers or cores if executor is None else executor.workers
    content = folder.content
    known: Known = {task: TaskOutcomes(segments) for task, segments in content.segments.items()}
    processors = {segment.processor for segments in content.segments.values() for segment in segments}
    sessions: dict[Session, str] = {}
    for t in able:
        if t.simulation is not None:
            tasks = named_tasks(t.experiment, t.receivers)
            session = Session(t.experiment, t.simulation, tasks, known, count, title=t.part.title, key=t.part.key)
            sessions[session] = t.part.key

    if any(session.missing for session in sessions):
        with executor_of(executor, able[0].experiment, build, count, listener) as hands:
            drive(
                list(sessions),
                folder.store,
                hands,
                listener,
                order,
                lambda session: finished(sessions[session]),
                processors,
            )
    else:
        for key in sessions.values():
            finished(key)
