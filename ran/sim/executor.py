"""Worker processes on this machine: they get work, answer with results, and never outlive the run."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar, cast

from ran.errors import InputError
from ran.sim.experiment import Experiment
from ran.sim.program import Crashed, Program, Refused, Stopped
from ran.sim.program import RunStopped as RunStopped
from ran.sim.simulation import Build
from ran.sim.worker import Chunk, ChunkProgram, Done, NonFinite, work

#: Environment of a worker: workers share the cores, so each uses one.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


class WorkerCrashed(RuntimeError):
    """A bug: an exception in a worker. The message holds the worker's traceback."""


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


class WorkersFor(Protocol[Work, Got]):
    """Whoever does a kind of work: `Pool` here, `ran.sim.cluster.ClusterPool` on other machines."""

    @property
    def workers(self) -> int: ...

    @property
    def idle(self) -> int: ...

    @property
    def in_flight(self) -> tuple[Work, ...]: ...

    def submit(self, work: Work) -> None: ...

    def wait(self, timeout_s: float | None) -> list[tuple[Work, Got]]: ...


class Workers(WorkersFor[Chunk, Done | NonFinite], Protocol):
    """Whoever simulates chunks for a run."""


class Pool(Generic[Work, Got]):
    """`workers` processes that live as long as the `with` block. Each has at most one piece of work."""

    def __init__(self, program: Program, workers: int) -> None:
        self._program = program
        self._count = workers
        self._processes: dict[Connection, SpawnProcess] = {}
        self._busy: dict[Connection, Work] = {}

    def __enter__(self) -> Self:
        refuse_unguarded_script()
        try:
            with _environment(ONE_THREAD), _interrupts_ignored():
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
        # A worker that has died meanwhile is noticed by `wait`, with whatever it had to say.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            worker.send(work)

    def wait(self, timeout_s: float | None) -> list[tuple[Work, Got]]:
        """Work that was answered; waits for the first, at most `timeout_s` (None: without limit).

        Raises InputError when a worker refuses its input, WorkerCrashed with the traceback of an exception in a
        worker, RunStopped when a worker was killed or cannot go on.
        """
        answered = []
        for ready in connection.wait(list(self._processes), timeout_s):
            worker = cast(Connection, ready)
            answer = self._answer(worker)  # first: a worker that ended without work is named too
            answered.append((self._busy.pop(worker), cast(Got, outcome(answer))))
        return answered

    def _answer(self, worker: Connection) -> Any:
        try:
            return worker.recv()
        except (EOFError, ConnectionResetError):
            process = self._processes[worker]
            process.join(5)
            if process.exitcode == _UNGUARDED:
                raise InputError(
                    f"workers: got {self._count} in a script that starts them at its top level, which every worker "
                    'imports; allowed: workers=1, or the call below `if __name__ == "__main__":`'
                ) from None
            raise RunStopped(
                f"worker process {process.pid} {_how_it_ended(process.exitcode)}; "
                "everything but its chunk is stored, the same command resumes"
            ) from None


class Executor(Pool[Chunk, Done | NonFinite]):
    """Processes that simulate chunks. experiment: the first that they work on; chunks may bring others."""

    def __init__(self, experiment: Experiment, build: Build, workers: int) -> None:
        super().__init__(ChunkProgram(build, experiment), workers)


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
