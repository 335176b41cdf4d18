"""Workers on the machines of a Ray cluster: the same work, the same results, the same store here.

Ray (extra `ray`) brings the workers to where cores are; what may be lost is a piece of work. Each worker says on which
version of this package it stands and which weights it has loaded, so that results of two versions never mix.
"""

from __future__ import annotations

import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, cast

from ran.errors import InputError
from ran.sim.allocator import keep_freed_memory
from ran.sim.executor import ONE_THREAD, Got, RunStopped, Work, WorkerCrashed, limit_of, no_outcome, outcome
from ran.sim.experiment import Experiment
from ran.sim.patience import Patience
from ran.sim.program import Crashed, Lost, Program, Refused, Stopped
from ran.sim.simulation import Build
from ran.sim.worker import Chunk, ChunkProgram, Done, NonFinite, use_one_thread

_ALLOWED = "auto, local, HOST:PORT or ray://HOST:PORT of a running Ray cluster (ray start --head)"
#: Ray asks for a token by default where the head's user has one (Ray 2.60, "Token authentication").
_TOKEN = (
    "a running Ray cluster whose token is known here: print it on the head with `ray get-auth-token`, put it into "
    "~/.ray/auth_token here (or into the variable RAY_AUTH_TOKEN), and set RAY_AUTH_MODE=token"
)


@dataclass(frozen=True)
class Arrived:
    """A worker that is ready. node: the address of its machine. named: what it names results by (`Station.named`)."""

    node: str
    named: Any


class _Worker:
    """Lives on the cluster: prepares a context, then answers work after work."""

    def __init__(self, program: Program) -> None:
        self._station = program.start()

    def prepare(self, context: Any) -> Arrived | Refused | Stopped | Crashed:
        import ray

        try:
            keep_freed_memory()
            self._station.prepare(context)
            named = self._station.named(context)
            use_one_thread()
        except InputError as error:
            return Refused(f"on {ray.util.get_node_ip_address()}: {error}")
        except Exception:
            return Crashed(traceback.format_exc())
        return Arrived(ray.util.get_node_ip_address(), named)

    def answer(self, work: Any) -> Any:
        try:
            return self._station.answer(work)
        except InputError as error:
            return Refused(str(error))
        except RunStopped as error:
            return Stopped(str(error))
        except Exception:
            return Crashed(traceback.format_exc())


class ClusterPool(Generic[Work, Got]):
    """Workers on a Ray cluster, for as long as the `with` block lasts. Each has at most one piece of work.

    address: "auto" for the cluster that this machine is part of, "local" for one on this machine alone, HOST:PORT, or
    ray://HOST:PORT through Ray's client. workers: at most so many; by default one per core of the cluster, or per GPU.
    on_gpu: give each worker a GPU. Files that the context names must be at the same place on every machine.

    A machine that leaves takes its chunks along, which others simulate again; the run stops only when none is left.
    lost: the answer to work that ended its worker, while its machine stayed; another worker is started in its place.
    limit_s: how long a piece of work may take; None: any time.
    """

    def __init__(
        self,
        program: Program,
        workers: int | None,
        address: str,
        on_gpu: bool = False,
        lost: Callable[[Lost], Got] | None = None,
        limit_s: Callable[[Work], float | None] = lambda work: None,
    ) -> None:
        self._ray = _imported_ray()
        self._answer_lost, self._limit_s = lost, limit_s
        self._patience = Patience()
        self._program = program
        self._wanted, self._address, self._resource = workers, address, "GPU" if on_gpu else "CPU"
        #: What results of a context are named by here.
        self._expected: dict[str, Any] = {}
        self._workers: list[Any] = []
        #: The contexts that each worker has been told of.
        self._told: dict[Any, set[str]] = {}
        #: What each answer that is waited for comes from: the worker, and the work or the context that it prepares.
        self._working: dict[Any, tuple[Any, Work]] = {}
        self._preparing: dict[Any, tuple[Any, Any]] = {}

    def __enter__(self) -> Self:
        try:
            _knock(self._address)
        except OSError as error:
            raise self._no_cluster(error, _ALLOWED) from None
        try:
            self._ray.init(address=self._address, log_to_driver=False, logging_level="error")
        except (ConnectionError, self._ray.exceptions.AuthenticationError) as error:
            # somebody listens; Ray writes that the token is missing to its log only
            raise self._no_cluster(error, _TOKEN) from None
        except Exception as error:  # Ray raises Exception itself where a node does not start in time
            self._ray.shutdown()
            raise self._no_cluster(error, _ALLOWED) from None
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _no_cluster(self, error: Exception, allowed: str) -> InputError:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return InputError(f"--cluster: {self._address}: {first}; allowed: {allowed}")

    def _start(self) -> None:
        offered = int(self._ray.cluster_resources().get(self._resource, 0))
        if not offered:
            raise InputError(f"--cluster: {self._address} offers no {self._resource}; allowed: a cluster that has some")
        for _ in range(min(self._wanted or offered, offered)):
            self._add()

    def _add(self) -> None:
        """Start one more worker."""
        actor = self._ray.remote(num_cpus=1, num_gpus=int(self._resource == "GPU"))(_Worker)
        worker = actor.options(runtime_env={"env_vars": ONE_THREAD}).remote(self._program)
        self._workers.append(worker)
        self._prepare(worker, self._program.first)

    def _prepare(self, worker: Any, context: Any) -> None:
        """Have a worker prepare a context, the first time that it gets to see it."""
        key = self._program.key(context)
        if key not in self._told.setdefault(worker, set()):
            self._told[worker].add(key)
            self._preparing[worker.prepare.remote(context)] = (worker, context)

    def close(self) -> None:
        """End every worker and leave the cluster; work in flight is lost."""
        for worker in self._workers:
            self._ray.kill(worker)
        self._workers.clear()
        self._working.clear()
        self._preparing.clear()
        self._ray.shutdown()

    @property
    def workers(self) -> int:
        """Workers on the cluster, those that are still preparing themselves included."""
        return len(self._workers)

    @property
    def idle(self) -> int:
        """Workers that wait for work."""
        return len(self._workers) - len(self._busy())

    @property
    def in_flight(self) -> tuple[Work, ...]:
        """What is being worked on."""
        return tuple(work for _, work in self._working.values())

    def _busy(self) -> set[Any]:
        return {worker for worker, _ in (*self._working.values(), *self._preparing.values())}

    def submit(self, work: Work) -> None:
        """Give `work` to an idle worker."""
        busy = self._busy()
        worker = next(w for w in self._workers if w not in busy)
        self._prepare(worker, self._program.context_of(work))
        reference = worker.answer.remote(work)
        self._working[reference] = (worker, work)
        # a context that is prepared first takes its time out of the same limit
        self._patience.start(reference, self._limit_s(work))

    def wait(self, timeout_s: float | None) -> list[tuple[Work, Got]]:
        """Work that was answered; waits for the first answer, at most `timeout_s` (None: without limit).

        Raises InputError when a worker refuses its input or does not fit, WorkerCrashed with the traceback of an
        exception on the cluster, RunStopped when no worker is left or one cannot go on.
        """
        awaited = [*self._preparing, *self._working]
        if not awaited:
            return []
        self._ray.wait(awaited, num_returns=1, timeout=timeout_s)
        ready, _ = self._ray.wait(awaited, num_returns=len(awaited), timeout=0)
        answered = []
        for reference in ready:
            prepared = self._preparing.pop(reference, None)
            worker, asked = prepared or self._working.pop(reference)
            self._patience.stop(reference)
            try:
                answer = self._ray.get(reference)
            except self._ray.exceptions.RayActorError as error:
                if worker in self._workers:
                    self._workers.remove(worker)
                if prepared is None and self._answer_lost is not None and self._has_room():
                    self._add()
                    answered.append((asked, self._answer_lost(Lost(f"ended: {_last_line(error)}"))))
                elif not self._workers:
                    raise self._none_left(error) from None
                continue
            except self._ray.exceptions.RayTaskError as error:
                raise WorkerCrashed(f"exception on the cluster:\n\n{error}") from None
            if prepared is None:
                answered.append((asked, cast(Got, outcome(answer))))
            else:
                self._check(asked, outcome(answer))
        for late in self._patience.overdue():
            worker, asked = self._working.pop(late)
            self._patience.stop(late)
            self._ray.kill(worker)
            self._workers.remove(worker)
            self._add()
            if self._answer_lost is not None:
                lost = Lost(f"gave no answer in {self._limit_s(asked):g} s", timed_out=True)
                answered.append((asked, self._answer_lost(lost)))
        return answered

    def _has_room(self) -> bool:
        """Whether the cluster offers a core or GPU that none of our workers has: a worker has gone, its machine not."""
        return int(self._ray.cluster_resources().get(self._resource, 0)) > len(self._workers)

    def _check(self, context: Any, arrived: Arrived) -> None:
        """Whether a worker that is ready does what this machine would."""
        key = self._program.key(context)
        if key not in self._expected:
            self._expected[key] = self._program.start().named(context)
        self._program.check(arrived.node, arrived.named, self._expected[key])

    def _none_left(self, error: Exception) -> RunStopped:
        return RunStopped(
            f"the last worker on the cluster has gone ({_last_line(error)}); everything but its chunk is stored, the "
            "same command resumes"
        )


def _last_line(error: Exception) -> str:
    """Of an exception while a worker was made, the last line; of a machine that has gone, the only one."""
    return str(error).strip().splitlines()[-1].strip(" )")


class ClusterExecutor(ClusterPool[Chunk, Done | NonFinite | Lost]):
    """Workers on a cluster that simulate chunks. experiment: the first that they work on; chunks may bring others."""

    def __init__(
        self, experiment: Experiment, build: Build, workers: int | None, address: str, on_gpu: bool = False
    ) -> None:
        super().__init__(ChunkProgram(build, experiment), workers, address, on_gpu, no_outcome, limit_of)


def _knock(address: str) -> None:
    """OSError when nobody listens at HOST:PORT, which Ray would go on trying for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


def _imported_ray() -> Any:
    try:
        import ray
    except ImportError:
        raise InputError("--cluster: ray is not installed; allowed: after pip install 'ran6g[ray]'") from None
    return ray
