"""Workers that are this process: a run on the fake link without the seconds that processes take to start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import fake_link

from ran.sim.executor import outcome
from ran.sim.experiment import Experiment
from ran.sim.results import RunResults
from ran.sim.run import Status, run
from ran.sim.simulation import Build, Simulation
from ran.sim.worker import Chunk, Done, NonFinite, Simulations, simulate_chunk


class InProcess:
    """One worker. chunks: what it was asked for. build: may be another one than this machine's, as on a cluster."""

    workers = 1

    def __init__(self, build: Callable[[Experiment], Simulation] = fake_link.build) -> None:
        self._built = Simulations(build)
        self._waiting: list[Chunk] = []
        self.chunks: list[Chunk] = []

    @property
    def idle(self) -> int:
        return 1 - len(self._waiting)

    @property
    def in_flight(self) -> tuple[Chunk, ...]:
        return tuple(self._waiting)

    def submit(self, chunk: Chunk) -> None:
        self._waiting.append(chunk)
        self.chunks.append(chunk)

    def wait(self, timeout_s: float | None) -> list[tuple[Chunk, Done | NonFinite]]:
        chunk = self._waiting.pop()
        assert chunk.experiment is not None
        return [(chunk, outcome(simulate_chunk(self._built.of(chunk.experiment), chunk.experiment, chunk)))]


@dataclass
class Heard:
    """A listener that remembers what was said."""

    texts: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.texts.append(text)

    def update(self, status: Status) -> None:
        pass


@dataclass(frozen=True)
class Finished:
    """Results of a run in this process, what it said, and the chunks that it simulated."""

    results: RunResults
    said: list[str]
    chunks: list[Chunk]

    @property
    def simulated(self) -> set[str]:
        """Titles of receivers of which anything was simulated."""
        return {title for chunk in self.chunks for title in chunk.receivers}


def run_here(
    experiment: Experiment,
    out: Path,
    build: Build = fake_link.build,
    there: Build | None = None,
    chunk: int | None = 40,
) -> Finished:
    """Run `experiment` in this process. there: how the workers build it, if not by `build`."""
    executor, heard = InProcess(there or build), Heard()
    results = run(experiment, out, chunk_slots=chunk, build=build, executor=executor, listener=heard)
    return Finished(results, heard.texts, executor.chunks)
