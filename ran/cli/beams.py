"""`ran beams`: beam prediction against sweeping."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ran.cli import completion
from ran.cli.cluster_option import ClusterOption

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

    Interrupt it at any time: the same command resumes. Drops are cached, and outcomes
    are stored in the folder: a run with other predictors, another Set B or other figures uses them again.
    """
    from ran.cli.job_study import run_study

    run_study("beam study", experiment, overrides, out, workers, cluster)


def print_results(results: BeamResults) -> None:
    """The table of a study in the terminal."""
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
