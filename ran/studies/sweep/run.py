"""Run a sweep: all combinations over one set of workers into one folder, the least certain first."""

from __future__ import annotations

from pathlib import Path

from ran.sim.drive import Listener, widest_first
from ran.sim.executor import Workers
from ran.sim.simulation import Build, build_simulation
from ran.studies.part import PartResult
from ran.studies.study import run_study
from ran.studies.sweep.request import KIND, SweepRequest


def run_sweep(
    request: SweepRequest,
    out: Path,
    *,
    workers: int | None = None,
    listener: Listener | None = None,
    build: Build = build_simulation,
    executor: Workers | None = None,
) -> tuple[PartResult, ...]:
    """Simulate what the folder `out` does not hold yet; returns what every combination came to, in order.

    The combination whose widest interval is largest gets the next worker, so that an interrupted sweep is equally
    certain everywhere. Arguments as of `ran.studies.study.run_study`.
    """
    return run_study(
        KIND, request.parts, out, workers=workers, listener=listener, build=build, executor=executor, order=widest_first
    )
