"""`ran csi`: downlink CSI feedback."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ran.cli import completion
from ran.cli.cluster_option import ClusterOption
from ran.counted import counted

if TYPE_CHECKING:
    from ran.studies.csi.run import CsiResults


def csi(
    experiment: Annotated[
        str,
        typer.Argument(
            help="A CSI experiment's file, or the name of one (`ran list csi-experiments`).",
            autocompletion=completion.csi_experiments,
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change the experiment, e.g. num_drops=200."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder. [default: runs/NAME]")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=1024, help="Processes. [default: one per core]")] = None,
    cluster: ClusterOption = None,
) -> None:
    """Report the downlink channel by codebooks, transforms and learned models: SGCS and throughput over payload.

    Interrupt it at any time: the same command resumes. A run with more drops or other feedback continues
    in the same folder.
    """
    from ran.cli.job_study import run_study

    run_study("CSI study", experiment, overrides, out, workers, cluster)


def print_results(results: CsiResults) -> None:
    """The table of a study in the terminal."""
    from ran.studies.csi import adapted_page
    from ran.studies.csi.page import column_titles, rows

    _print(f"{results.experiment.name}: {counted(results.num_drops, 'drop')}", column_titles(results), rows(results))
    if adapted := adapted_page.rows(results):
        shown = [{**row, "cells": [{"value": row["snr_db"]}, *row["cells"]]} for row in adapted]
        _print("by the reported rank and CQI", ["SNR, dB", *adapted_page.titles(results.experiment)], shown)


def _print(title: str, columns: list[str], lines: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("feedback", overflow="fold", min_width=max(len(line["title"]) for line in lines))
    for column in columns:
        table.add_column(column, justify="right", overflow="fold")
    for line in lines:
        table.add_row(line["title"], *(cell["value"] for cell in line["cells"]))
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=170)).print(table)
