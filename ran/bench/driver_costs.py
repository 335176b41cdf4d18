"""What the process that drives a run does for a chunk, however many workers there are: a model of a large cluster.

The driver, its plan, schedule and store are those of `ran sim`; the workers answer at once, with drops without errors,
so that all the time that passes is the driver's. A cluster keeps as many workers busy as chunks fit between.
"""

from __future__ import annotations

import pickle
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ran.sim.experiment import Experiment
from ran.sim.run import run
from ran.sim.schedule import target_s
from ran.sim.segment import Segment
from ran.sim.simulation import Simulation, build_simulation
from ran.sim.worker import Chunk, Done
from ran.stats.counts import Counts

#: One in so many workers finishes between two looks of the driver: it looks many times in the length of a chunk.
_AT_ONCE = 20


class Instant:
    """Workers that have always done what they were given. `ran.sim.executor.Workers`.

    drop_s: what a drop of a receiver is said to have taken.
    """

    def __init__(self, simulation: Simulation, workers: int, drop_s: float) -> None:
        self.workers = workers
        self._simulation, self._drop_s = simulation, drop_s
        self._waiting: deque[Chunk] = deque()
        #: Of all chunks: how many, and bytes of the messages there and back.
        self.chunks, self.message_bytes = 0, 0

    @property
    def idle(self) -> int:
        return self.workers - len(self._waiting)

    @property
    def in_flight(self) -> tuple[Chunk, ...]:
        return tuple(self._waiting)

    def submit(self, work: Chunk) -> None:
        self._waiting.append(work)

    def wait(self, timeout_s: float | None) -> Sequence[tuple[Chunk, Done]]:
        # as many as a cluster finishes while the driver waits for the disk
        return [self._done(self._waiting.popleft()) for _ in range(max(1, len(self._waiting) // _AT_ONCE))]

    def _done(self, chunk: Chunk) -> tuple[Chunk, Done]:
        drops, seconds = len(chunk.drops), self._drop_s * len(chunk.drops)
        nothing = np.zeros(drops, np.int64)
        outcomes = {
            title: Segment(chunk.drops.start, Counts.of(nothing, nothing), self._simulation.processor)
            for title in chunk.receivers
        }
        answer = Done(outcomes, seconds * len(outcomes))
        if not self.chunks:
            self.message_bytes = len(pickle.dumps(chunk)) + len(pickle.dumps(answer))
        self.chunks += 1
        return chunk, answer


@dataclass(frozen=True)
class DriverCost:
    """Of a chunk. seconds: processor time of the driver. message_bytes: of the first chunk and its answer."""

    workers: int
    chunks: int
    seconds: float
    message_bytes: int

    @property
    def busy(self) -> float:
        """Share of the time that the driver works while so many workers are busy: above 1 it cannot keep up."""
        return self.workers * self.seconds / target_s(self.workers)

    def text(self) -> str:
        """All of it in a line."""
        return (
            f"{self.workers} workers, chunks of {target_s(self.workers):g} s: {1e3 * self.seconds:.2f} ms of driver "
            f"for each ({self.chunks} chunks, {self.message_bytes} bytes of messages), {100 * self.busy:.0f} % of its "
            "time"
        )


def driver_cost(experiment: Experiment, workers: int, chunks_per_worker: int = 3, drop_s: float = 1e-3) -> DriverCost:
    """Drive a run with so many workers for a few chunks each.

    experiment: its stopping rule is replaced by one that makes so many chunks.
    """
    simulation = build_simulation(experiment)
    batch, points = simulation.link.batch_drops, len(experiment.snr_grid)
    of_chunk = max(batch, int(target_s(workers) / drop_s / len(simulation.receivers)) // batch * batch)
    slots = max(of_chunk, of_chunk * workers * chunks_per_worker // points)
    rule = experiment.stopping.model_copy(update={"max_slots": slots, "min_block_errors": None, "min_bler": None})
    wanted = experiment.model_copy(update={"stopping": rule})
    hands = Instant(simulation, workers, drop_s)
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        run(wanted, Path(folder) / "run", build=lambda experiment: simulation, executor=hands)
        seconds = time.process_time() - started
    return DriverCost(workers, hands.chunks, seconds / hands.chunks, hands.message_bytes)
