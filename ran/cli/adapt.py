"""`ran adapt`: link-adapted throughput."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ran.cli import completion
from ran.cli.cluster_option import ClusterOption

if TYPE_CHECKING:
    from ran.studies.adaptation.page import Results


def adapt(
    experiment: Annotated[
        str,
        typer.Argument(
            help="An adaptation experiment's file, or the name of one (`ran list adaptations`).",
            autocompletion=completion.adaptations,
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change the experiment, e.g. adaptation.delay_slots=8."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder. [default: runs/NAME]")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Worker processes. [default: one per core]")
    ] = None,
    cluster: ClusterOption = None,
) -> None:
    """Choose the MCS slot by slot: throughput of fixed MCS, their envelope, inner and outer loop, per receiver.

    Interrupt it at any time: the same command resumes. Settings of the loops can be changed without a new simulation.
    Of receivers that are added, only these are simulated.
    """
    from ran.cli.job_study import run_study

    run_study("link adaptation study", experiment, overrides, out, workers, cluster)


def print_results(results: Results) -> None:
    """The table of a study in the terminal."""
    from rich.console import Console
    from rich.table import Table

    from ran.studies.adaptation.page import lines
    from ran.studies.adaptation.picture import best_loop

    loop = best_loop(results.outcomes)
    table = Table(title=f"{results.experiment.name}: throughput, Mbit/s", title_justify="left")
    titles = ("Es/N0 dB", "receiver", "envelope", "ideal", loop, "its BLER %", "envelope gain %", f"{loop} gain %")
    for number, title in enumerate(titles):
        table.add_column(title, justify="left" if number == 1 else "right", no_wrap=True)
    for line in lines(results):
        for number, cell in enumerate(line["cells"]):
            values = [
                cell[key] for key in ("receiver", "envelope", "ideal", "loop", "bler", "envelope_gain", "loop_gain")
            ]
            table.add_row("" if number else line["esn0_db"], *values, end_section=number == len(line["cells"]) - 1)
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=150)).print(table)
