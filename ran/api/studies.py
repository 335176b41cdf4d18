"""`ran.run_study` and `ran.Study`: studies from Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ran.studies.interface import Study

__all__ = ["Study", "run_study"]


def run_study(study: str | Study, out: str | Path, set: Mapping[str, Any] | None = None, *, workers: int = 1) -> Path:
    """Run a study into the folder `out`, or go on there; returns the file to read first.

    study: a name (`ran list studies`), FILE.py:Class, or an object of a class of one's own; set: options of one that is
    named. workers: processes; 1 simulates in this process, more need a `__main__` guard in a script.
    `InputError`, one line, for input that does not fit.
    """
    from ran.errors import bad_value
    from ran.registry.user_file import refusal_of_user_code
    from ran.sim.executor import refuse_unguarded_script
    from ran.sim.in_process import InThisProcess
    from ran.sim.simulation import build_simulation
    from ran.sim.worker import Simulations
    from ran.studies.catalogue import build_study, run

    if isinstance(study, Study) and set:
        raise bad_value("set", dict(set), "nothing with a study that is an object, which has its options")
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= 1024:
        raise bad_value("workers", workers, "1 to 1024")
    if workers > 1:
        refuse_unguarded_script()
    built = Simulations(build_simulation) if workers == 1 else None
    build = built.of if built else build_simulation
    here = InThisProcess(built.answer) if built else None
    try:
        asked = study if isinstance(study, Study) else build_study(study, set)
        return run(asked, Path(out), workers=workers, build=build, executor=here)
    except Exception as error:
        refusal = refusal_of_user_code(error)
        if refusal is None:
            raise
        raise refusal from error
