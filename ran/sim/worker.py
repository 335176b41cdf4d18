"""What a worker process does: build the simulation once, then simulate chunk after chunk."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np

from ran.errors import InputError
from ran.registry.user_file import refusal_of_user_code
from ran.sim.allocator import keep_freed_memory
from ran.sim.experiment import Experiment
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
class Done:
    """Outcomes of a chunk by receiver, and how long it took."""

    outcomes: dict[str, Segment]
    seconds: float


@dataclass(frozen=True)
class NonFinite:
    """A NaN or an infinity appeared in a drop."""

    stage: str
    drop: int


@dataclass(frozen=True)
class Refused:
    """The simulation refused its input, in one line."""

    text: str


@dataclass(frozen=True)
class Crashed:
    """An exception that nobody expected, with its traceback."""

    text: str


Answer = Done | NonFinite | Refused | Crashed


def work(connection: Connection, build: Build, experiment: Experiment) -> None:
    """Answer every chunk that comes over `connection` until it is closed; after a failure say why and return."""
    _die_with_parent()
    keep_freed_memory()
    try:
        built = Simulations(build)
        built.of(experiment)
        use_one_thread()
        while (chunk := _next(connection)) is not None:
            own = chunk.experiment or experiment
            _tell(connection, simulate_chunk(built.of(own), own, chunk))
    except InputError as error:
        _tell(connection, Refused(str(error)))
    except Exception as error:
        refusal = refusal_of_user_code(error)
        _tell(connection, Refused(str(refusal)) if refusal else Crashed(traceback.format_exc()))


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


def _next(connection: Connection) -> Chunk | None:
    try:
        chunk: Chunk = connection.recv()
    except EOFError:
        return None
    return chunk


def simulate_chunk(simulation: Simulation, experiment: Experiment, chunk: Chunk) -> Done | NonFinite:
    """The outcomes of a chunk."""
    started = time.perf_counter()
    receivers = {title: simulation.receivers[title] for title in chunk.receivers}
    try:
        found = simulation.link.simulate(receivers, chunk.drops, chunk.esn0_db, experiment.seed, chunk.scenario_id)
    except simulation.non_finite as error:
        return NonFinite(error.stage, error.drop_index)
    outcomes = {
        title: Segment(
            chunk.drops.start,
            np.asarray(drops.block_errors, np.int64),
            np.asarray(drops.bit_errors, np.int64),
            np.asarray(drops.earlier_errors, np.int64),
            np.asarray(drops.second_errors, np.int64),
            np.asarray(drops.received, np.float32),
            simulation.processor,
        )
        for title, drops in found.items()
    }
    return Done(outcomes, time.perf_counter() - started)


def _tell(connection: Connection, answer: Answer) -> None:
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
