"""The option --cluster, and the workers that it brings."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ran.sim.executor import Workers
    from ran.sim.experiment import Experiment
    from ran.sim.simulation import Build
    from ran.studies.job import JobProgram, JobWorkers

ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        help="Simulate on a Ray cluster: auto, local, HOST:PORT or ray://HOST:PORT; --workers then limits the "
        "workers there. Needs the extra ray. For a cluster with a token, put what `ray get-auth-token` prints on its "
        "head node into ~/.ray/auth_token here, and set RAY_AUTH_MODE=token.",
    ),
]


def workers_of(
    cluster: str | None, experiment: Experiment, build: Build, workers: int | None, device: str = "cpu"
) -> AbstractContextManager[Workers | None]:
    """Those of a cluster; or None, for processes on this machine."""
    if cluster is None:
        return nullcontext()
    from ran.sim.cluster import ClusterExecutor

    return ClusterExecutor(experiment, build, workers, cluster, on_gpu=device != "cpu")


def job_workers_of(
    cluster: str | None, program: JobProgram, workers: int | None
) -> AbstractContextManager[JobWorkers | None]:
    """Those of a cluster for the jobs of a study; or None, for processes on this machine."""
    if cluster is None:
        return nullcontext()
    from ran.sim.cluster import ClusterPool

    return ClusterPool(program, workers, cluster)
