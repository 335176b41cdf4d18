"""A worker that is this process: for scripts, notebooks and debuggers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ran.sim.experiment import Experiment
from ran.sim.simulation import Build, Simulation
from ran.sim.worker import Chunk, Done, NonFinite, Simulations, simulate_chunk


class InProcess:
    """`ran.sim.executor.Workers` with one worker, the caller's own process; the numbers are those of any other.

    build: as of `ran.sim.run.run`, to which `simulation` is given in its place, so that nothing is built twice.
    An error in a receiver or a channel leaves `wait` as it is, with its own traceback.
    """

    workers = 1

    def __init__(self, build: Build) -> None:
        self._simulations = Simulations(build)
        self._chunk: Chunk | None = None

    def simulation(self, experiment: Experiment) -> Simulation:
        """The simulation of an experiment, built where it is not there."""
        return self._simulations.of(experiment)

    @property
    def idle(self) -> int:
        return int(self._chunk is None)

    @property
    def in_flight(self) -> tuple[Chunk, ...]:
        return () if self._chunk is None else (self._chunk,)

    def submit(self, chunk: Chunk) -> None:
        """Keep `chunk` for `wait`, which simulates it."""
        self._chunk = chunk

    def wait(self, timeout_s: float | None) -> list[tuple[Chunk, Done | NonFinite]]:
        """Simulate the chunk that was submitted."""
        chunk, self._chunk = self._chunk, None
        if chunk is None or chunk.experiment is None:
            return []
        with _one_thread():
            return [(chunk, simulate_chunk(self.simulation(chunk.experiment), chunk.experiment, chunk))]


@contextmanager
def _one_thread() -> Iterator[None]:
    """As in a worker process: sums are always taken in the same order. The caller gets its threads back."""
    torch, numba = sys.modules.get("torch"), sys.modules.get("numba")
    before = torch.get_num_threads() if torch else 0, numba.get_num_threads() if numba else 0
    if torch:
        torch.set_num_threads(1)
    if numba:
        numba.set_num_threads(1)
    try:
        yield
    finally:
        if torch:
            torch.set_num_threads(before[0])
        if numba:
            numba.set_num_threads(before[1])
