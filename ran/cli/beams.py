"""`ran beams`: beam prediction against sweeping."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ran.cli import completion
from ran.cli.answer import answer, report
from ran.cli.cluster_option import ClusterOption, job_workers_of

if TYPE_CHECKING:
    from ran.studies.beams.run import BeamResults


def beams(
    experiment: Annotated[
        str,
        typer.Argument(
            help="A beam experiment's file, or the name of one (`ran list beam-experiments`).",
            autocompletion=completion.beam_experiments,
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change the experiment, e.g. set_b.size=16."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder. [default: runs/NAME]")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=1024, help="Processes. [default: one per core]")] = None,
    cluster: ClusterOption = None,
) -> None:
    """Predict the best of many beams from measurements of a few: accuracy, L1-RSRP and throughput against overhead.

    Interrupt it at any time: the same command resumes. Drops are kept in the cache and outcomes in the folder: run
    again with other predictors, Set B or figures, and they are there.
    """
    from ran.studies.beams.experiment import load

    loaded = load(experiment, overrides or [])
    from ran.cli.progress import ProgressLine
    from ran.studies.beams.outcome_jobs import BeamWorker, named
    from ran.studies.beams.page import CSV, write_results
    from ran.studies.beams.run import run_experiment
    from ran.studies.job import JobProgram
    from ran.studies.presets import write_assumptions

    folder = out or Path("runs") / loaded.name
    program = JobProgram(BeamWorker, loaded, named)
    with ProgressLine() as listener, job_workers_of(cluster, program, workers) as far:
        results = run_experiment(loaded, folder, workers=workers, listener=listener, executor=far)
        page = write_results(results, folder)
    _print_table(results)
    assumptions = write_assumptions(loaded.name, folder)
    if assumptions is not None:
        answer(assumptions=assumptions)
        print(f"assumptions: {assumptions}")
    report(page, page.with_name(CSV), experiment=loaded.name)


def _print_table(results: BeamResults) -> None:
    from rich.console import Console
    from rich.table import Table

    from ran.studies.beams.page import column_titles, rows

    table = Table(title=f"{results.experiment.name}: Set B {results.settings[0].title}", title_justify="left")
    for number, title in enumerate(("predictor", "beams", *column_titles(results))):
        table.add_column(title, justify="left" if number == 0 else "right")
    for row in rows(results):
        name = row["result"].predictor + (" (genie)" if row["result"].needs_truth else "")
        table.add_row(name, f"{row['result'].num_beams:g}", *(cell["value"] for cell in row["cells"]))
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=150)).print(table)
