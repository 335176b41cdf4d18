"""`ran.simulate` and `ran.load`: from an experiment to its results."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from ran.api.results import Results
from ran.errors import InputError, bad_value
from ran.registry.user_file import refusal_of_user_code
from ran.sim.drive import Silence
from ran.sim.executor import refuse_unguarded_script
from ran.sim.experiment import Experiment
from ran.sim.failures import ReceiversFailed, tracebacks
from ran.sim.results import load_results
from ran.sim.run import run
from ran.studies.folder import kind_of, load_parts
from ran.studies.part import PartResult
from ran.studies.sweep.request import KIND, SweepRequest, load_any, request_of


def simulate(
    experiment: str | Path | Mapping[str, Any] | Experiment,
    set: Mapping[str, Any] | None = None,
    *,
    workers: int = 1,
    out: str | Path | None = None,
    device: str = "cpu",
    progress: bool = False,
) -> Results:
    """Simulate an experiment; with a block `sweep`, all its combinations.

    experiment: name of a built-in one, a YAML file, its values as a mapping, or a `ran.Experiment`. Relative file names
    in a mapping are taken relative to the current folder.
    set: changes by path, such as {"pusch.mcs_index": 10, "receivers": ["lmmse"]}.
    workers: 1 simulates in this process; more start processes, and a script then keeps the call under
    `if __name__ == "__main__":`. The numbers do not depend on it.
    out: a run folder, which is resumed and can be opened with `ran.load`; by default nothing is kept on disk.
    device: cpu, cuda, ... progress: print how far it is.

    `InputError`, one line, for input that does not fit. `ran.sim.failures.ReceiversFailed` where a receiver fails: the
    others are done, and its `results` are theirs.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= 1024:
        raise bad_value("workers", workers, "1 to 1024")
    if workers > 1:
        refuse_unguarded_script()
    request = _requested(experiment, set or {})
    # an error in a user's class is told with its line; the traceback stays behind it
    try:
        if out is not None:
            return _simulated(request, Path(out), workers, device, progress)
        with tempfile.TemporaryDirectory(prefix="ran6g-") as folder:
            return _simulated(request, Path(folder) / "run", workers, device, progress)
    except ReceiversFailed as error:
        if out is None:  # the file with the tracebacks has gone with its folder
            error.add_note(tracebacks(error.failures))
        raise
    except Exception as error:
        refusal = refusal_of_user_code(error)
        if refusal is None:
            raise
        raise refusal from error


def load(folder: str | Path) -> Results:
    """Results of a folder that `ran sim` or `ran.simulate(out=...)` wrote, a sweep's too, finished or not."""
    found = kind_of(Path(folder))
    if found is None:
        results = load_results(Path(folder))
        return Results(results.experiment.name, results.experiment.description, [_part_of(results)])
    if found != KIND:
        raise InputError(f"{folder}: holds a {found}; allowed: a run of one experiment, or a sweep")
    parts = load_parts(Path(folder))
    first = next((part.results.experiment for part in parts if part.results is not None), None)
    return Results(first.name if first else Path(folder).name, first.description if first else "", parts)


def _requested(given: str | Path | Mapping[str, Any] | Experiment, changes: Mapping[str, Any]) -> Any:
    changes = {key: plain(value) for key, value in changes.items()}
    if isinstance(given, str | Path):
        return load_any(given, changes=changes)
    if isinstance(given, Experiment):
        return request_of(given.resolved(), Path.cwd(), given.name, changes)
    if isinstance(given, Mapping):
        return request_of({"name": "experiment", **plain(given)}, Path.cwd(), "experiment", changes)
    raise bad_value("experiment", given, "a name, a file, a mapping of keys to values, or a ran.Experiment")


def _simulated(request: Experiment | SweepRequest, out: Path, workers: int, device: str, progress: bool) -> Results:
    from ran.sim.device import checked_device
    from ran.sim.in_process import InThisProcess
    from ran.sim.simulation import Build, build_simulation
    from ran.sim.worker import Simulations

    build: Build = partial(build_simulation, device=checked_device(device))
    if isinstance(request, Experiment) and request.data is not None:
        from ran.datasets.evaluate import build_evaluation

        build = partial(build_evaluation, device=checked_device(device))
    how: dict[str, Any] = {"workers": workers, "build": build}
    if workers == 1:
        built = Simulations(build)  # also for what is asked before any work, so that nothing is built twice
        how = {"workers": 1, "build": built.of, "executor": InThisProcess(built.answer)}
    with _listener(progress) as listener:
        if isinstance(request, SweepRequest):
            from ran.studies.sweep.run import run_sweep

            parts = run_sweep(request, out, listener=listener, **how)
            return Results(request.name, request.description, parts)
        results = run(request, out, listener=listener, **how)
    return Results(request.name, request.description, [_part_of(results)])


def _listener(progress: bool) -> Any:
    if not progress:
        return nullcontext(Silence())
    from ran.cli.progress import ProgressLine

    return ProgressLine()


def _part_of(results: Any) -> PartResult:
    title = results.experiment.name
    return PartResult(title, title, {}, results, {})


def plain(value: Any) -> Any:
    """A value of a program as a file would have it: tuples as lists, numbers of numpy as Python's."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # arrays and scalars of numpy and torch
        return plain(value.tolist())
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise InputError(f"experiment: got {value!r}; allowed: numbers, text, lists and blocks of them")
