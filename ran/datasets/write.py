"""Write a data set: worker processes simulate chunks and write them in place; the same command goes on after a stop."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ran.config.host import available_cores
from ran.datasets.container import Container, check_suffix, create, open_container
from ran.datasets.header import Header, build_header
from ran.datasets.request import DataRequest, data_identity
from ran.datasets.slots import simulate_chunk
from ran.errors import InputError
from ran.link import Link, NonFiniteError
from ran.sim.executor import Executor, RunStopped
from ran.sim.experiment import Experiment
from ran.sim.identity import canonical_json, first_difference
from ran.sim.lock import lock
from ran.sim.simulation import Simulation, build_simulation
from ran.sim.worker import Chunk, NonFinite


@dataclass(frozen=True)
class Written:
    """What a call of `write` did, and what lies there now.

    drops, seconds: simulated by this call, and the time it took from the start of the workers.
    drops_per_s: from the first chunk that arrived to the last, without the start of the workers; 0 for a single chunk.
    found: chunks that were there. bytes: of all drops, uncompressed.
    """

    header: Header
    drops: int
    seconds: float
    drops_per_s: float
    found: int
    bytes: int


@dataclass(frozen=True)
class Progress:
    """How far it is: drops of the file so far and in all, and drops per second of this call."""

    drops: int
    num_drops: int
    drops_per_s: float
    drop_bytes: int


def link_of(experiment: Experiment) -> Link:
    """The link of an experiment, without its receivers."""
    link = build_simulation(experiment.model_copy(update={"receivers": ()})).link
    if not isinstance(link, Link):
        raise TypeError(f"link: got {type(link).__name__}; allowed: Link")
    return link


class ChunkWriter:
    """A link whose drops end in a file: what a worker process of `Executor` has."""

    blocks_per_drop = batch_drops = 1
    batch_bytes = 0  # no receiver
    bits_per_block = (1,)
    slot_duration_s = 0.0

    @property
    def receiver_seconds(self) -> dict[str, float]:
        """There are no receivers."""
        return {}

    def __init__(self, link: Link, container: Container) -> None:
        self._link = link
        self._container = container
        self._digests = container.digests()

    def simulate(
        self, receivers: Mapping[str, Any], drops: range, esn0_db: float, seed: int, scenario_id: str
    ) -> dict[str, Any]:
        """Write the chunk of these drops, unless it is there and whole."""
        chunk = drops.start // self._container.header.chunk_drops
        rows = self._digests[chunk]
        if rows.any() and not self._container.damaged_fields(chunk, rows):
            return {}
        with torch.inference_mode():
            stored = simulate_chunk(self._link, self._container.header, chunk)
        try:
            self._container.write_chunk(chunk, stored)
        except OSError as error:
            raise InputError(
                f"{self._container.path}: cannot be written: {error.strerror or error}; what was written is kept, "
                "the same command resumes"
            ) from None
        return {}


def _leave(number: int, frame: types.FrameType | None) -> None:
    sys.exit(0)


def build_writer(experiment: Experiment, path: Path) -> Simulation:
    """What a worker process builds."""
    if multiprocessing.parent_process() is not None:
        # zarr's compressor holds a semaphore, which a process that is ended the hard way would leave behind
        signal.signal(signal.SIGTERM, _leave)
    return Simulation(
        ChunkWriter(link_of(experiment), open_container(path, writable=True)), {}, {}, non_finite=NonFiniteError
    )


def write(
    experiment: Experiment,
    request: DataRequest,
    path: Path,
    workers: int | None = None,
    say: Callable[[str], None] = lambda text: None,
    show: Callable[[Progress], None] = lambda progress: None,
) -> Written:
    """Write the drops of a request to `path`, or finish the file that the same request began.

    Whole chunks of an earlier call are kept (their hashes are checked), everything else is simulated. The file is the
    same, byte for byte with HDF5, whatever the number of workers and however often it was interrupted.
    InputError, with nothing written, for a file that anything else wrote.
    """
    check_suffix(path)
    if request.kind == "slots":
        experiment.users.check_one_allocation("in data sets of slots, which hold one layout")
    link = link_of(experiment)
    with _claim(path, experiment, request, link) as container:
        say("compiling kernels where needed")
        link.warm_up({})
        count = workers or available_cores()
        return _fill(experiment, container, min(count, container.header.num_chunks), say, show)


@contextmanager
def _claim(path: Path, experiment: Experiment, request: DataRequest, link: Link) -> Iterator[Container]:
    """The file of this request, new or begun, locked against other writers."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    is_new = not path.exists()
    if is_new:
        container = create(path, build_header(experiment, request, link, partial(_check_space, path.parent)))
    else:
        container = open_container(path, writable=True)
    try:
        identity = container.header.json("identity")
        wanted = data_identity(experiment, request, request.chunk_drops or identity.get("chunk_drops"))
        difference = first_difference(identity, json.loads(canonical_json(wanted)))
        if difference:
            difference = difference.replace("this experiment", "this command").replace("the existing run", "the file")
            raise InputError(
                f"{path}: holds another data set: {difference}; allowed: the same command, or another file by --out"
            )
        held = lock(path)
        try:
            yield container
        finally:
            os.close(held)
    finally:
        container.close()


def _check_space(folder: Path, needed: int) -> None:
    """Refuse at once what the disk cannot hold."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"--drops: got so many that they need {needed / 1e9:.1f} GB; allowed: what {free / 1e9:.1f} GB of free "
            "space hold; --precision complex-float16 and --without-channel halve it"
        )


def _fill(
    experiment: Experiment,
    container: Container,
    workers: int,
    say: Callable[[str], None],
    show: Callable[[Progress], None],
) -> Written:
    """Have every chunk written that is not there."""
    header = container.header
    already = container.written()
    found = int(already.sum())
    if found:
        say(f"{found} of {header.num_chunks} chunks are there; checking them on the way")
    missing_first = sorted(range(header.num_chunks), key=lambda chunk: bool(already[chunk]))
    pending = [Chunk(0.0, str(header.attrs["stream_id"]), header.chunk(chunk), ()) for chunk in reversed(missing_first)]
    done, pace, began = 0, _Pace(), time.perf_counter()
    write_chunks = _in_this_process if workers == 1 else partial(_in_workers, workers=workers)
    for drops in write_chunks(experiment, container, pending):
        done += len(drops)
        if not already[drops.start // header.chunk_drops]:
            pace.add(len(drops))
        show(Progress(done, header.num_drops, pace.drops_per_s, header.drop_bytes))
    seconds = time.perf_counter() - began
    return Written(header, pace.drops, seconds, pace.drops_per_s, found, header.num_drops * header.drop_bytes)


def _in_workers(experiment: Experiment, container: Container, pending: list[Chunk], workers: int) -> Iterator[range]:
    """Have worker processes write chunks, the last of the list first; gives the drops of every one that is there."""
    with Executor(experiment, partial(build_writer, path=container.path), workers) as executor:
        while pending or executor.in_flight:
            while pending and executor.idle:
                executor.submit(pending.pop())
            for chunk, answer in executor.wait(None):
                if isinstance(answer, NonFinite):
                    raise _stopped(answer.stage, answer.drop)
                yield chunk.drops


def _in_this_process(experiment: Experiment, container: Container, pending: list[Chunk]) -> Iterator[range]:
    """The same without a second process, whose start takes seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in workers, so that sums are taken in the same order
    try:
        writer = ChunkWriter(link_of(experiment), container)
        while pending:
            chunk = pending.pop()
            writer.simulate({}, chunk.drops, chunk.esn0_db, experiment.seed, chunk.scenario_id)
            yield chunk.drops
    except NonFiniteError as error:
        raise _stopped(error.stage, error.drop_index) from None
    finally:
        torch.set_num_threads(threads)


def _stopped(stage: str, drop: int) -> RunStopped:
    return RunStopped(f"non-finite numbers in {stage} of drop {drop}; what was written is kept")


class _Pace:
    """Drops per second, from the first chunk that arrives on."""

    def __init__(self) -> None:
        self.drops = self._first_drops = 0
        self._first = self._last = 0.0

    def add(self, drops: int) -> None:
        self._last = time.perf_counter()
        if not self.drops:
            self._first, self._first_drops = self._last, drops
        self.drops += drops

    @property
    def drops_per_s(self) -> float:
        seconds = self._last - self._first
        return (self.drops - self._first_drops) / seconds if seconds else 0.0
