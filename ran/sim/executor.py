"""Worker processes on this machine: they get work, answer with results, and never outlive the run."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar, cast

from ran.errors import InputError
from ran.sim.experiment import Experiment
from ran.sim.patience import Patience
from ran.sim.program import Crashed, Lost, Program, Ready, Refused, Stopped
from ran.sim.program import RunStopped as RunStopped
from ran.sim.simulation import Build
from ran.sim.worker import Chunk, ChunkProgram, Done, NonFinite, work

#: Environment of a worker: workers share the cores, so each uses one.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


class WorkerCrashed(RuntimeError):
    """A bug: an exception in a worker. The message holds the worker's traceback."""


#: How often workers are looked at that may take too long.
_LOOK_S = 0.25

#: Exit code of a worker that met the top level of a script without a guard.
_UNGUARDED = 79


def refuse_unguarded_script() -> None:
    """Leave a worker process that is still importing the script of its parent: it starts the same run once more.

    The parent then says what is wrong with the script; here nobody would see it.
    """
    # the mark by which multiprocessing itself refuses to start processes there
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        os._exit(_UNGUARDED)


#: A piece of work, and the answer to it.
Work = TypeVar("Work")
Got = TypeVar("Got")
Got_co = TypeVar("Got_co", covariant=True)


class WorkersFor(Protocol[Work, Got_co]):
    """Whoever does a kind of work: `Pool` here, `ran.sim.cluster.ClusterPool` on other machines."""

    @property
    def workers(self) -> int: ...

    @property
    def idle(self) -> int: ...

    @property
    def in_flight(self) -> tuple[Work, ...]: ...

    def submit(self, work: Work) -> None: ...

    def wait(self, timeout_s: float | None) -> Sequence[tuple[Work, Got_co]]: ...


class Workers(WorkersFor[Chunk, Done | NonFinite | Lost], Protocol):
    """Whoever simulates chunks for a run."""


class Pool(Generic[Work, Got]):
    """`workers` processes that live as long as the `with` block. Each has at most one piece of work.

    lost: the answer to work whose worker has gone, another one is started in its place; without, the run stops.
    limit_s: how long a piece of work may take, once its worker is prepared; None: any time.
    """

    def __init__(
        self,
        program: Program,
        workers: int,
        lost: Callable[[Lost], Got] | None = None,
        limit_s: Callable[[Work], float | None] = lambda work: None,
    ) -> None:
        self._program = program
        self._count = workers
        self._lost, self._limit_s = lost, limit_s
        self._ready: set[Connection] = set()
        self._patience = Patience()
        self._processes: dict[Connection, SpawnProcess] = {}
        self._busy: dict[Connection, Work] = {}

    def __enter__(self) -> Self:
        refuse_unguarded_script()
        try:
            for _ in range(self._count):
                self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        with _environment(ONE_THREAD), _interrupts_ignored():
            process = context.Process(target=work, args=(theirs, self._program), daemon=True)
            process.start()
        theirs.close()
        self._processes[ours] = process

    def close(self) -> None:
        """End every worker; work in flight is lost. No process is left afterwards."""
        for process in self._processes.values():
            process.terminate()
        for ours, process in self._processes.items():
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()
            ours.close()
        self._processes.clear()
        self._busy.clear()
        self._ready.clear()

    @property
    def workers(self) -> int:
        """Processes."""
        return self._count

    @property
    def idle(self) -> int:
        """Workers that wait for work."""
        return len(self._processes) - len(self._busy)

    @property
    def in_flight(self) -> tuple[Work, ...]:
        """What is being worked on."""
        return tuple(self._busy.values())

    def submit(self, work: Work) -> None:
        """Give `work` to an idle worker."""
        worker = next(c for c in self._processes if c not in self._busy)
        self._busy[worker] = work
        if worker in self._ready:
            self._patience.start(worker, self._limit_s(work))
        # A worker that has died meanwhile is noticed by `wait`, with whatever it had to say.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            worker.send(work)

    def wait(self, timeout_s: float | None) -> list[tuple[Work, Got]]:
        """Work that was answered; waits for the first answer, or at most `timeout_s` for any news of a worker.

        Raises InputError when a worker refuses its input, WorkerCrashed with the traceback of an exception in a
        worker, RunStopped when a worker cannot go on, or was killed: while it was preparing itself, or at all where
        nothing is answered for work that is `lost`.
        """
        answered = self._looked(timeout_s)
        while timeout_s is None and not answered:
            answered = self._looked(_LOOK_S)
        return answered

    def _looked(self, timeout_s: float | None) -> list[tuple[Work, Got]]:
        answered: list[tuple[Work, Got]] = []
        for news in connection.wait(list(self._processes), timeout_s):
            worker = cast(Connection, news)
            answer = self._answer(worker)  # first: a worker that ended without work is named too
            if isinstance(answer, Ready):
                self._ready.add(worker)
                if worker in self._busy:
                    self._patience.start(worker, self._limit_s(self._busy[worker]))
            elif isinstance(answer, Lost):
                answered += self._replace(worker, answer)
            else:
                self._patience.stop(worker)
                answered.append((self._busy.pop(worker), cast(Got, outcome(answer))))
        for late in self._patience.overdue():
            worker = cast(Connection, late)
            self._processes[worker].kill()
            limit_s = self._limit_s(self._busy[worker])
            answered += self._replace(worker, Lost(f"gave no answer in {limit_s:g} s", timed_out=True))
        return answered

    def _replace(self, worker: Connection, lost: Lost) -> list[tuple[Work, Got]]:
        """Start another worker in the place of one that has gone; what is answered for its work, if it had any."""
        assert self._lost is not None
        process = self._processes.pop(worker)
        process.join()
        process.close()
        worker.close()
        self._ready.discard(worker)
        self._patience.stop(worker)
        self._start()
        return [(self._busy.pop(worker), self._lost(lost))] if worker in self._busy else []

    def _answer(self, worker: Connection) -> Any:
        try:
            return worker.recv()
        except (EOFError, ConnectionResetError):
            process = self._processes[worker]
            process.join(5)
            if self._lost is not None and worker in self._ready:
                return Lost(_how_it_ended(process.exitcode), killed=process.exitcode == -signal.SIGKILL)
            if process.exitcode == _UNGUARDED:
                raise InputError(
                    f"workers: got {self._count} in a script that starts them at its top level, which every worker "
                    'imports; allowed: workers=1, or the call below `if __name__ == "__main__":`'
                ) from None
            raise RunStopped(
                f"worker process {process.pid} {_how_it_ended(process.exitcode)}; "
                "everything but its chunk is stored, the same command resumes"
            ) from None


def no_outcome(lost: Lost) -> Done | NonFinite | Lost:
    """The answer to a chunk whose worker has gone."""
    return lost


def limit_of(chunk: Chunk) -> float | None:
    """How long a chunk may take, in seconds."""
    return chunk.limit_s


class Executor(Pool[Chunk, Done | NonFinite]):
    """Processes that simulate chunks. experiment: the first that they work on; chunks may bring others."""

    def __init__(self, experiment: Experiment, build: Build, workers: int) -> None:
        super().__init__(ChunkProgram(build, experiment), workers)


class ResilientExecutor(Pool[Chunk, Done | NonFinite | Lost]):
    """An `Executor` that goes on without a worker that has gone, or that takes too long: its chunk is `Lost`."""

    def __init__(self, experiment: Experiment, build: Build, workers: int) -> None:
        super().__init__(ChunkProgram(build, experiment), workers, no_outcome, limit_of)


def outcome(answer: Any) -> Any:
    """The answer, if it is one. Raises InputError when the worker refused its input, RunStopped when it cannot go on,
    WorkerCrashed for a bug."""
    if isinstance(answer, Refused):
        raise InputError(answer.text)
    if isinstance(answer, Stopped):
        raise RunStopped(answer.text)
    if isinstance(answer, Crashed):
        raise WorkerCrashed(f"exception in a worker process:\n\n{answer.text}")
    return answer


def _how_it_ended(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        hint = " (out of memory? fewer --workers need less)" if name == "SIGKILL" else ""
        return f"was killed by {name}{hint}"
    return f"ended by itself with exit code {exitcode}"


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Environment variables for the processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes started meanwhile ignore Ctrl-C from their first instruction on: only the parent acts on it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
