"""Studies by name: those of the toolkit, FILE.py:Class, and entry points of the group `ran6g.studies`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ran.link.catalogue import construct
from ran.registry.kinds import STUDY
from ran.registry.lookup import find_class
from ran.sim.drive import Listener
from ran.sim.executor import Workers
from ran.sim.simulation import Build, build_simulation
from ran.studies.interface import Study
from ran.studies.study import run_study


def build_study(name: str, options: Mapping[str, Any] | None = None, base_dir: Path | None = None) -> Study:
    """A study with its options; `InputError` for a name or an option that is unknown."""
    cls = find_class(STUDY, name, base_dir, "study")
    study: Study = construct(cls, {"name": name, **(options or {})}, "study")
    return study


def run(
    study: Study,
    out: Path,
    *,
    workers: int | None = None,
    listener: Listener | None = None,
    build: Build = build_simulation,
    executor: Workers | None = None,
) -> Path:
    """Simulate what the folder `out` does not hold yet, and write what the study asks for; returns the file to read
    first. Arguments are those of `ran.studies.study.run_study`. Interrupted, the same call goes on."""
    results = run_study(
        f"study {study.name}", study.parts(), out, workers=workers, listener=listener, build=build, executor=executor
    )
    return study.write(results, out)
