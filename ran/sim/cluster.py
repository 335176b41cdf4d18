"""Workers on the machines of a Ray cluster: the same chunks, the same outcomes, the same store here.

Ray (extra `ray`) brings the workers to where cores are; what may be lost is a chunk. Each worker says on which version
of this package it stands and which weights it has loaded, so that outcomes of two versions never mix.
"""

from __future__ import annotations

import socket
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from ran.errors import InputError
from ran.sim.allocator import keep_freed_memory
from ran.sim.executor import ONE_THREAD, RunStopped, WorkerCrashed, outcome
from ran.sim.experiment import Experiment
from ran.sim.identity import SIMULATION_VERSION, scenario_id
from ran.sim.simulation import Build, Simulation
from ran.sim.worker import Answer, Chunk, Crashed, Done, NonFinite, Refused, Simulations, simulate_chunk, use_one_thread

_ALLOWED = "auto, local, HOST:PORT or ray://HOST:PORT of a running Ray cluster (ray start --head)"
#: Ray asks for a token by default where the head's user has one (Ray 2.60, "Token authentication").
_TOKEN = (
    "a running Ray cluster whose token is known here: print it on the head with `ray get-auth-token`, put it into "
    "~/.ray/auth_token here (or into the variable RAY_AUTH_TOKEN), and set RAY_AUTH_MODE=token"
)


@dataclass(frozen=True)
class Arrived:
    """A worker that is ready. node: the address of its machine. version: `SIMULATION_VERSION` there.
    scenario: what its first SNR point is named by, the contents of the channel's files included. fingerprints: of its
    receivers."""

    node: str
    version: int
    scenario: str
    fingerprints: Mapping[str, str]


def _named(experiment: Experiment, simulation: Simulation) -> tuple[int, str, dict[str, str]]:
    """What outcomes are named by: version, scenario and receivers; see `Arrived`."""
    return SIMULATION_VERSION, scenario_id(experiment, experiment.snr_grid[0]), dict(simulation.fingerprints)


class _Worker:
    """Lives on the cluster: builds the simulation, then simulates chunk after chunk."""

    def __init__(self, build: Build, experiment: Experiment) -> None:
        self._built = Simulations(build)
        self._experiment = experiment

    def prepare(self, experiment: Experiment) -> Arrived | Refused | Crashed:
        import ray

        try:
            keep_freed_memory()
            simulation = self._built.of(experiment)
            use_one_thread()
        except InputError as error:
            return Refused(f"on {ray.util.get_node_ip_address()}: {error}")
        except Exception:
            return Crashed(traceback.format_exc())
        return Arrived(ray.util.get_node_ip_address(), *_named(experiment, simulation))

    def simulate(self, chunk: Chunk) -> Answer:
        try:
            experiment = chunk.experiment or self._experiment
            return simulate_chunk(self._built.of(experiment), experiment, chunk)
        except InputError as error:
            return Refused(str(error))
        except Exception:
            return Crashed(traceback.format_exc())


class ClusterExecutor:
    """Workers on a Ray cluster, for as long as the `with` block lasts. Each works on at most one chunk.

    address: "auto" for the cluster that this machine is part of, "local" for one on this machine alone, HOST:PORT, or
    ray://HOST:PORT through Ray's client. workers: at most so many; by default one per core of the cluster, or per GPU.
    on_gpu: give each worker a GPU. Files that the experiment names must be at the same place on every machine.

    A machine that leaves takes its chunks along, which others simulate again; the run stops only when none is left.
    """

    def __init__(
        self, experiment: Experiment, build: Build, workers: int | None, address: str, on_gpu: bool = False
    ) -> None:
        self._ray = _imported_ray()
        self._experiment, self._build = experiment, build
        self._wanted, self._address, self._resource = workers, address, "GPU" if on_gpu else "CPU"
        #: What outcomes of an experiment are named by here.
        self._expected: dict[str, tuple[int, str, dict[str, str]]] = {}
        self._workers: list[Any] = []
        #: The experiments that each worker has been told of.
        self._told: dict[Any, set[str]] = {}
        #: What each answer that is waited for comes from, and the chunk or the experiment that the worker prepares.
        self._awaited: dict[Any, tuple[Any, Chunk | Experiment]] = {}

    def __enter__(self) -> ClusterExecutor:
        try:
            _knock(self._address)
        except OSError as error:
            raise self._no_cluster(error, _ALLOWED) from None
        try:
            self._ray.init(address=self._address, log_to_driver=False, logging_level="error")
        except (ConnectionError, self._ray.exceptions.AuthenticationError) as error:
            # somebody listens; Ray writes that the token is missing to its log only
            raise self._no_cluster(error, _TOKEN) from None
        except (OSError, ValueError, RuntimeError) as error:
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
        actor = self._ray.remote(num_cpus=1, num_gpus=int(self._resource == "GPU"))(_Worker)
        actor = actor.options(runtime_env={"env_vars": ONE_THREAD})
        count = min(self._wanted or offered, offered)
        self._workers = [actor.remote(self._build, self._experiment) for _ in range(count)]
        for worker in self._workers:
            self._prepare(worker, self._experiment)

    def _prepare(self, worker: Any, experiment: Experiment) -> None:
        """Have a worker build an experiment's simulation, the first time that it gets to see it."""
        key = experiment.model_dump_json()
        if key not in self._told.setdefault(worker, set()):
            self._told[worker].add(key)
            self._awaited[worker.prepare.remote(experiment)] = (worker, experiment)

    def close(self) -> None:
        """End every worker and leave the cluster; chunks in flight are lost."""
        for worker in self._workers:
            self._ray.kill(worker)
        self._workers.clear()
        self._awaited.clear()
        self._ray.shutdown()

    @property
    def workers(self) -> int:
        """Workers on the cluster, those that are still preparing themselves included."""
        return len(self._workers)

    @property
    def idle(self) -> int:
        """Workers that wait for a chunk."""
        return len(self._workers) - len(self._busy())

    @property
    def in_flight(self) -> tuple[Chunk, ...]:
        """Chunks that are being simulated."""
        return tuple(work for _, work in self._awaited.values() if isinstance(work, Chunk))

    def _busy(self) -> set[Any]:
        return {worker for worker, _ in self._awaited.values()}

    def submit(self, chunk: Chunk) -> None:
        """Give `chunk` to an idle worker."""
        busy = self._busy()
        worker = next(w for w in self._workers if w not in busy)
        if chunk.experiment is not None:
            self._prepare(worker, chunk.experiment)
        self._awaited[worker.simulate.remote(chunk)] = (worker, chunk)

    def wait(self, timeout_s: float | None) -> list[tuple[Chunk, Done | NonFinite]]:
        """Chunks that were answered; waits for the first answer, at most `timeout_s` (None: without limit).

        Raises InputError when a worker refuses its input or does not fit, WorkerCrashed with the traceback of an
        exception on the cluster, RunStopped when no worker is left.
        """
        if not self._awaited:
            return []
        self._ray.wait(list(self._awaited), num_returns=1, timeout=timeout_s)
        ready, _ = self._ray.wait(list(self._awaited), num_returns=len(self._awaited), timeout=0)
        answered = []
        for reference in ready:
            worker, work = self._awaited.pop(reference)
            try:
                answer = self._ray.get(reference)
            except self._ray.exceptions.RayActorError as error:
                self._lost(worker, error)
                continue
            except self._ray.exceptions.RayTaskError as error:
                raise WorkerCrashed(f"exception on the cluster:\n\n{error}") from None
            if isinstance(work, Chunk):
                answered.append((work, outcome(answer)))
            else:
                self._check(work, answer)
        return answered

    def _check(self, experiment: Experiment, answer: Arrived | Refused | Crashed) -> None:
        """Whether a worker that is ready simulates what this machine would."""
        if not isinstance(answer, Arrived):
            outcome(answer)
            return
        key = experiment.model_dump_json()
        if key not in self._expected:
            self._expected[key] = _named(experiment, self._build(experiment))
        version, scenario, fingerprints = self._expected[key]
        if answer.version != version:
            raise InputError(f"--cluster: {answer.node} has simulation version {answer.version}; allowed: {version}")
        if answer.scenario != scenario:
            raise InputError(f"--cluster: {answer.node} has other channel files; allowed: those that are here")
        other = next((t for t, fingerprint in fingerprints.items() if answer.fingerprints.get(t) != fingerprint), None)
        if other is not None:
            raise InputError(
                f"--cluster: {answer.node} has other weights for {other!r}; allowed: those that are here, with SHA-256 "
                f"{fingerprints[other]}"
            )

    def _lost(self, worker: Any, error: Exception) -> None:
        """A worker has gone, with whatever it had; the schedule hands that out again."""
        if worker in self._workers:
            self._workers.remove(worker)
        if not self._workers:
            # of an exception while it was made, the last line; of a machine that has gone, the only one
            reason = str(error).strip().splitlines()[-1].strip(" )")
            raise RunStopped(
                f"the last worker on the cluster has gone ({reason}); everything but its chunk is stored, the same "
                "command resumes"
            )


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
