"""What a worker process does: prepare once, then answer chunk after chunk, or job after job."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from ran.config.storage import is_storage_failure
from ran.errors import InputError
from ran.registry.user_file import refusal_of_user_code
from ran.sim.allocator import keep_freed_memory
from ran.sim.experiment import Experiment
from ran.sim.program import Crashed, Program, Ready, Refused, RunStopped, Stopped
from ran.sim.segment import Segment
from ran.sim.simulation import Build, Simulation
from ran.stats.counts import Counts


@dataclass(frozen=True)
class Enough:
    """When a receiver needs no more drops of a chunk: after so many, or once so many blocks were in error."""

    drops: int
    block_errors: int | None = None

    def holds(self, drops: int, block_errors: int) -> bool:
        return drops >= self.drops or (self.block_errors is not None and block_errors >= self.block_errors)


@dataclass(frozen=True)
class Chunk:
    """Consecutive drops of one SNR point for some receivers: the unit of work and of loss.

    experiment: whose point it is; None for the experiment that the workers were started with.
    enough: by receiver, looked at after every batch; a receiver that is not named takes all drops.
    limit_s: a worker that has no answer after so many seconds is given up; None: it may take any time.
    """

    esn0_db: float
    scenario_id: str
    drops: range
    receivers: tuple[str, ...]
    experiment: Experiment | None = None
    enough: Mapping[str, Enough] = field(default_factory=dict)
    limit_s: float | None = None


@dataclass(frozen=True)
class NonFinite:
    """A NaN or an infinity appeared in a drop."""

    stage: str
    drop: int


@dataclass(frozen=True)
class Failure:
    """A receiver that raised an exception: what in one line, with file and line number, and the traceback.

    drop: the first of the batch in which it did; None where that is not known.
    """

    line: str
    traceback: str
    drop: int | None = None


@dataclass(frozen=True)
class Done:
    """Outcomes of a chunk by receiver, and how long it took. failures: of the receivers that have none.

    receiver_seconds: the part of each receiver in the time; the rest is what they share.
    """

    outcomes: dict[str, Segment]
    seconds: float
    failures: dict[str, NonFinite | Failure] = field(default_factory=dict)
    receiver_seconds: dict[str, float] = field(default_factory=dict)


def work(connection: Connection, program: Program) -> None:
    """Answer all work that comes over `connection` until it is closed; after a failure say why and return."""
    _die_with_parent()
    tell = partial(_tell, connection, os.getpid())
    _go_before_others()
    keep_freed_memory()
    try:
        station = program.start()
        station.prepare(program.first)
        use_one_thread()
        tell(Ready())
        while (asked := _next(connection)) is not None:
            tell(station.answer(asked))
    except RunStopped as error:
        tell(Stopped(str(error)))
    except Exception as error:
        if is_storage_failure(error):
            tell(Stopped(str(error)))
            return
        if isinstance(error, InputError):
            tell(Refused(str(error)))
            return
        refusal = refusal_of_user_code(error)
        tell(Refused(str(refusal)) if refusal else Crashed(traceback.format_exc()))


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
        found = _found(simulation, experiment, chunk, chunk.receivers)
        return _done(simulation, chunk, found, time.perf_counter() - started)
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
    found = {}
    failures: dict[str, NonFinite | Failure] = {}
    refusals: list[InputError] = []
    for title in chunk.receivers:
        try:
            found |= _found(simulation, experiment, chunk, (title,))
        except simulation.non_finite as error:
            failures[title] = NonFinite(error.stage, error.drop_index)
        except (Exception, SystemExit) as error:
            failures[title] = _failure(error)
            refusals += [error] if isinstance(error, InputError) else []
    if len(refusals) == len(chunk.receivers) and len({str(error) for error in refusals}) == 1:
        raise refusals[0]
    return _done(simulation, chunk, found, time.perf_counter() - started, failures)


#: Name under which an exception carries the first drop of its batch.
_FIRST_DROP = "_first_drop_of_batch"


def _failure(error: BaseException) -> Failure:
    """An exception in one line, with the place in the file that raised it."""
    text = " ".join(str(error).split())
    drop = getattr(error, _FIRST_DROP, None)
    if isinstance(error, InputError):
        return Failure(text, "", drop)
    last = traceback.extract_tb(error.__traceback__)[-1]
    name = type(error).__name__
    where = f"({last.filename}, line {last.lineno})"
    line = f"{name}: {text} {where}" if text else f"{name} {where}"
    return Failure(line, "".join(traceback.format_exception(error)), drop)


@dataclass
class _Found:
    """What a receiver made of the batches of a chunk, and how long it took."""

    counts: list[Counts] = field(default_factory=list)
    seconds: float = 0.0


def _found(simulation: Simulation, experiment: Experiment, chunk: Chunk, titles: Sequence[str]) -> dict[str, _Found]:
    """What some receivers make of the drops of a chunk, batch by batch; each leaves when it has enough."""
    link = simulation.link
    if not titles:  # the link alone, as data sets have it, which keep the chunk as a whole
        link.simulate({}, chunk.drops, chunk.esn0_db, experiment.seed, chunk.scenario_id)
        return {}
    found = {title: _Found() for title in titles}
    errors = dict.fromkeys(titles, 0)
    left = list(titles)
    for first in range(chunk.drops.start, chunk.drops.stop, link.batch_drops):
        drops = range(first, min(first + link.batch_drops, chunk.drops.stop))
        receivers = {title: simulation.receivers[title] for title in left}
        try:
            counts = link.simulate(receivers, drops, chunk.esn0_db, experiment.seed, chunk.scenario_id)
        except (Exception, SystemExit) as error:
            with suppress(AttributeError):  # of a class without room for it
                setattr(error, _FIRST_DROP, first)
            raise
        for title, of_batch in counts.items():
            found[title].counts.append(of_batch)
            found[title].seconds += link.receiver_seconds.get(title, 0.0)
            errors[title] += int(of_batch.block_errors.sum())
        done = drops.stop - chunk.drops.start
        left = [
            title for title in left if not (title in chunk.enough and chunk.enough[title].holds(done, errors[title]))
        ]
        if not left:
            break
    return found


def _done(
    simulation: Simulation,
    chunk: Chunk,
    found: Mapping[str, _Found],
    seconds: float,
    failures: Mapping[str, NonFinite | Failure] | None = None,
) -> Done:
    """The answer to a chunk."""
    segments = {
        title: Segment(chunk.drops.start, Counts.joined(part.counts), simulation.processor)
        for title, part in found.items()
    }
    return Done(segments, seconds, dict(failures or {}), {title: part.seconds for title, part in found.items()})


def _tell(connection: Connection, worker: int, answer: Any) -> None:
    """worker: the process that was started for the connection. A copy of it that a receiver has forked ends here."""
    if os.getpid() != worker:
        os._exit(0)
    try:
        connection.send(answer)
    except OSError:
        sys.exit(1)  # the parent has gone, nobody listens


def use_one_thread() -> None:
    """Workers share the cores, so each uses one; and sums are then always taken in the same order."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _go_before_others() -> None:
    """Where memory runs out, the kernel ends a worker rather than the driver, which has another one do the work."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")


def _die_with_parent() -> None:
    """Leave at once when the parent has gone, however it went (kill -9 gives it no chance to say so)."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent watchdog", daemon=True).start()
