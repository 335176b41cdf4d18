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
from ran.sim.allocator import keep_freed_memory
from ran.sim.experiment import Experiment
from ran.sim.segment import Segment
from ran.sim.simulation import Build, Simulation


@dataclass(frozen=True)
class Chunk:
    """Consecutive drops of one SNR point for some receivers: the unit of work and of loss."""

    esn0_db: float
    scenario_id: str
    drops: range
    receivers: tuple[str, ...]


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
    """Answer every chunk that comes over `connection` until it is closed; after a failure say why and return.

    An experiment that comes instead replaces the one before.
    """
    _die_with_parent()
    keep_freed_memory()
    try:
        simulation = build(experiment)
        use_one_thread()
        while (message := _next(connection)) is not None:
            if isinstance(message, Experiment):
                experiment, simulation = message, build(message)
            else:
                _tell(connection, simulate_chunk(simulation, experiment, message))
    except InputError as error:
        _tell(connection, Refused(str(error)))
    except Exception:
        _tell(connection, Crashed(traceback.format_exc()))


def _next(connection: Connection) -> Chunk | Experiment | None:
    try:
        message: Chunk | Experiment = connection.recv()
    except EOFError:
        return None
    return message


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
