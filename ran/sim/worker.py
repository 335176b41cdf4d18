"""What a worker process does: prepare once, then answer chunk after chunk, or job after job."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from ran.config.storage import is_storage_failure
from ran.errors import InputError
from ran.registry.user_file import refusal_of_user_code
from ran.sim.allocator import keep_freed_memory
from ran.sim.experiment import Experiment
from ran.sim.program import Crashed, Program, Refused, RunStopped, Stopped
from ran.sim.segment import Segment
from ran.sim.simulation import Build, Simulation


@dataclass(frozen=True)
class Chunk:
    """Consecutive drops of one SNR point for some receivers: the unit of work and of loss.

    experiment: whose point it is; None for the experiment that the workers were started with.
    """

    esn0_db: float
    scenario_id: str
    drops: range
    receivers: tuple[str, ...]
    experiment: Experiment | None = None


@dataclass(frozen=True)
class NonFinite:
    """A NaN or an infinity appeared in a drop."""

    stage: str
    drop: int


@dataclass(frozen=True)
class Failure:
    """A receiver that raised an exception: what in one line, with file and line number, and the traceback."""

    line: str
    traceback: str


@dataclass(frozen=True)
class Done:
    """Outcomes of a chunk by receiver, and how long it took. failures: of the receivers that have none."""

    outcomes: dict[str, Segment]
    seconds: float
    failures: dict[str, NonFinite | Failure] = field(default_factory=dict)


def work(connection: Connection, program: Program) -> None:
    """Answer all work that comes over `connection` until it is closed; after a failure say why and return."""
    _die_with_parent()
    keep_freed_memory()
    try:
        station = program.start()
        station.prepare(program.first)
        use_one_thread()
        while (asked := _next(connection)) is not None:
            _tell(connection, station.answer(asked))
    except RunStopped as error:
        _tell(connection, Stopped(str(error)))
    except Exception as error:
        if is_storage_failure(error):
            _tell(connection, Stopped(str(error)))
            return
        if isinstance(error, InputError):
            _tell(connection, Refused(str(error)))
            return
        refusal = refusal_of_user_code(error)
        _tell(connection, Refused(str(refusal)) if refusal else Crashed(traceback.format_exc()))


@dataclass(frozen=True)
class ChunkProgram:
    """Simulate chunks (`ran.sim.program.Program`). first: the experiment of chunks that bring none."""

    build: Build
    first: Experiment

    def start(self) -> ChunkStation:
        return ChunkStation(self)

    def context_of(self, work: Chunk) -> Experiment:
        return work.experiment or self.first

    def key(self, context: Experiment) -> str:
        return context.model_dump_json()

    def check(self, node: str, there: Any, here: Any) -> None:
        version, scenario, fingerprints = here
        if there[0] != version:
            raise InputError(f"--cluster: {node} has simulation version {there[0]}; allowed: {version}")
        if there[1] != scenario:
            raise InputError(f"--cluster: {node} has other channel files; allowed: those that are here")
        other = next((title for title, found in fingerprints.items() if there[2].get(title) != found), None)
        if other is not None:
            raise InputError(
                f"--cluster: {node} has other weights for {other!r}; allowed: those that are here, with SHA-256 "
                f"{fingerprints[other]}"
            )


class ChunkStation:
    """What a worker holds that simulates chunks: the simulations of its experiments."""

    def __init__(self, program: ChunkProgram) -> None:
        self._program = program
        self._built = Simulations(program.build)

    def prepare(self, context: Experiment) -> None:
        self._built.of(context)

    def named(self, context: Experiment) -> tuple[int, str, dict[str, str]]:
        """The simulation's version; what the first SNR point is named by, the contents of the channel's files included;
        the receivers' fingerprints."""
        from ran.sim.identity import SIMULATION_VERSION, scenario_id

        fingerprints = dict(self._built.of(context).fingerprints)
        return SIMULATION_VERSION, scenario_id(context, context.snr_grid[0]), fingerprints

    def answer(self, work: Chunk) -> Done | NonFinite:
        experiment = self._program.context_of(work)
        return simulate_chunk(self._built.of(experiment), experiment, work)


class Simulations:
    """The simulations of the experiments that a process works on; the ones used last are kept."""

    #: As many as a study needs that compares a handful of links, and as few as memory holds with large arrays.
    _MOST = 4

    def __init__(self, build: Build) -> None:
        self._build = build
        self._built: dict[str, Simulation] = {}

    def of(self, experiment: Experiment) -> Simulation:
        """The simulation of an experiment, built where it is not there."""
        key = experiment.model_dump_json()
        simulation = self._built.pop(key, None) or self._build(experiment)
        self._built[key] = simulation  # the last one used is the last one
        if len(self._built) > self._MOST:
            del self._built[next(iter(self._built))]
        return simulation

    def answer(self, chunk: Chunk) -> Done | NonFinite:
        """The outcomes of a chunk that brings its experiment."""
        if chunk.experiment is None:
            raise ValueError("chunk: got none of an experiment; allowed: one that brings its experiment")
        return simulate_chunk(self.of(chunk.experiment), chunk.experiment, chunk)


def _next(connection: Connection) -> Any:
    try:
        return connection.recv()
    except EOFError:
        return None


def simulate_chunk(simulation: Simulation, experiment: Experiment, chunk: Chunk) -> Done | NonFinite:
    """The outcomes of a chunk. Where a receiver of several fails, each is tried alone, and the others have theirs.

    InputError where the link refuses its input, whatever the receiver; any exception of a link without receivers.
    """
    started = time.perf_counter()
    try:
        outcomes = _outcomes(simulation, experiment, chunk, chunk.receivers)
        return Done(outcomes, time.perf_counter() - started)
    except simulation.non_finite as error:
        if len(chunk.receivers) <= 1:
            return NonFinite(error.stage, error.drop_index)
    except (Exception, SystemExit) as error:
        if not chunk.receivers:  # the link alone, as data sets have it: there is no receiver to blame
            raise
        if len(chunk.receivers) == 1:
            if isinstance(error, InputError) and len(experiment.receivers) == 1:
                raise
            return Done({}, time.perf_counter() - started, {chunk.receivers[0]: _failure(error)})
    outcomes = {}
    failures: dict[str, NonFinite | Failure] = {}
    refusals: list[InputError] = []
    for title in chunk.receivers:
        try:
            outcomes |= _outcomes(simulation, experiment, chunk, (title,))
        except simulation.non_finite as error:
            failures[title] = NonFinite(error.stage, error.drop_index)
        except (Exception, SystemExit) as error:
            failures[title] = _failure(error)
            refusals += [error] if isinstance(error, InputError) else []
    if len(refusals) == len(chunk.receivers) and len({str(error) for error in refusals}) == 1:
        raise refusals[0]
    return Done(outcomes, time.perf_counter() - started, failures)


def _failure(error: BaseException) -> Failure:
    """An exception in one line, with the place in the file that raised it."""
    text = " ".join(str(error).split())
    if isinstance(error, InputError):
        return Failure(text, "")
    last = traceback.extract_tb(error.__traceback__)[-1]
    name = type(error).__name__
    where = f"({last.filename}, line {last.lineno})"
    return Failure(f"{name}: {text} {where}" if text else f"{name} {where}", "".join(traceback.format_exception(error)))


def _outcomes(
    simulation: Simulation, experiment: Experiment, chunk: Chunk, titles: Sequence[str]
) -> dict[str, Segment]:
    """What some receivers make of the drops of a chunk."""
    receivers = {title: simulation.receivers[title] for title in titles}
    found = simulation.link.simulate(receivers, chunk.drops, chunk.esn0_db, experiment.seed, chunk.scenario_id)
    return {title: Segment(chunk.drops.start, counts, simulation.processor) for title, counts in found.items()}


def _tell(connection: Connection, answer: Any) -> None:
    try:
        connection.send(answer)
    except OSError:
        sys.exit(1)  # the parent has gone, nobody listens


def use_one_thread() -> None:
    """Workers share the cores, so each uses one; and sums are then always taken in the same order."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _die_with_parent() -> None:
    """Leave at once when the parent has gone, however it went (kill -9 gives it no chance to say so)."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent watchdog", daemon=True).start()
