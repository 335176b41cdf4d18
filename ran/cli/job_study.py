"""Commands of studies made of jobs: run an experiment or a sweep of it, show it, and show again what a folder holds."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from ran.cli.answer import answer, report

#: Modules that have `print_results` of a kind of study, by its name.
_TABLES = {
    "link adaptation study": "ran.cli.adapt",
    "beam study": "ran.cli.beams",
    "calibration study": "ran.cli.calibrate",
    "CSI study": "ran.cli.csi",
}


def run_study(
    name: str, experiment: str, overrides: list[str] | None, out: Path | None, workers: int | None, cluster: str | None
) -> None:
    """Run an experiment, or a sweep of it, of the kind of that name; write its report, and print its table."""
    from ran.studies.job_sweep.run import JobSweep, load_any

    loaded = load_any(name, experiment, overrides or [])
    from ran.cli.cluster_option import job_workers_of
    from ran.cli.progress import ProgressLine
    from ran.studies.folder import check_folder
    from ran.studies.job_sweep.page import write_sweep
    from ran.studies.job_sweep.run import results_of, study_of
    from ran.studies.jobs import run_jobs
    from ran.studies.kind import study_kind
    from ran.studies.presets import write_assumptions

    kind = study_kind(name)
    assert kind is not None
    folder = out or Path("runs") / loaded.name
    with ProgressLine() as listener:
        study = study_of(kind, loaded, listener) if isinstance(loaded, JobSweep) else kind.study(loaded, listener)
        check_folder(folder, study.kind, study.pages)
        with job_workers_of(cluster, study.program, workers) as far:
            known = run_jobs(study, folder, workers=workers, listener=listener, executor=far)
        listener.say("writing the report")
        if isinstance(loaded, JobSweep):
            found = results_of(kind, study.described, known)
            page = write_sweep(found, folder)
        else:
            results = kind.results(study.described, known)
            page = kind.write(results, folder)
    if isinstance(loaded, JobSweep):
        print_sweep(found)
    else:
        table_of(name)(results)
    assumptions = write_assumptions(experiment, overrides or [], folder)
    if assumptions is not None:
        answer(assumptions=assumptions)
        print(f"assumptions: {assumptions}")
    report(page, _csv_beside(page), experiment=loaded.name)


def report_again(folder: Path, out: Path, paper: str | None = None) -> bool:
    """Write the report of a study made of jobs from its store alone, and print its table; False where a folder holds
    none, `InputError` where its study is not complete or not shipped.

    paper: name of the folder for a paper beside the page, of a sweep beside that of every combination; None: none.
    """
    from ran.errors import InputError
    from ran.sim.files import make_folder
    from ran.studies.folder import kind_of, load_jobs
    from ran.studies.job_sweep.page import write_sweep
    from ran.studies.job_sweep.run import sweep_in
    from ran.studies.kind import kinds, results_in, study_kind

    name = kind_of(folder)
    found = None if name is None else load_jobs(folder)
    if name is None or found is None:
        return False
    for line in found.damage:
        print(f"warning: damaged: {line}")
    make_folder(out)
    sweep = sweep_in(name, found)
    if sweep is not None:
        page = write_sweep(sweep, out)
        print_sweep(sweep)
        if paper is not None:
            for part in sweep.parts:
                if part.results is not None:
                    print(f"paper: {sweep.kind.paper(part.results).write(out / part.key / paper)}")
    elif (kind := study_kind(name)) is not None:
        results = results_in(kind, found, folder)
        page = kind.write(results, out)
        table_of(name)(results)
        if paper is not None:
            print(f"paper: {kind.paper(results).write(out / paper)}")
    else:
        raise InputError(f"{folder}: holds a {name}; allowed: {', '.join(kinds())}, and sweeps of them")
    report(page, _csv_beside(page))
    return True


def _csv_beside(page: Path) -> Path:
    """The CSV file of the page: both are named alike, or it is the folder's results."""
    own = page.with_suffix(".csv")
    return own if own.is_file() else page.with_name("results.csv")


def table_of(name: str) -> Callable[[Any], None]:
    """What prints the table of a kind of study."""
    found: Callable[[Any], None] = import_module(_TABLES[name]).print_results
    return found


def print_sweep(found: Any) -> None:
    """A line per combination and what it compares: its main figures with their intervals."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ran.studies.job_sweep.page import columns_of, lines

    done = sum(part.results is not None for part in found.parts)
    title = f"{found.name}: {done} of {len(found.parts)} combinations, with 95 % intervals"
    table = Table(title=title, title_justify="left")
    for column in (*found.keys, *columns_of(found)):
        table.add_column(column)
    for _, column, _ in found.kind.shown:
        table.add_column(column, justify="right", no_wrap=True)
    for line in lines(found):
        figures = [" ".join(part for part in (c["value"], c["interval"]) if part) for c in line["cells"]]
        table.add_row(*map(Text, [*line["values"], *line["of"], *figures]))
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=170)).print(table)
