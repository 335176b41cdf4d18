"""`ran calibrate`: the calibration setups of TR 38.901 as a command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ran.cli.answer import report
from ran.cli.cluster_option import ClusterOption, job_workers_of

if TYPE_CHECKING:
    from ran.studies.calibration.run import Calibration


def calibrate(
    setups: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SETUP]...",
            help="umi-6ghz, uma-6ghz, umi-30ghz, uma-30ghz, inh-6ghz, inh-30ghz. [default: all]",
        ),
    ] = None,
    drops: Annotated[int, typer.Option(min=1, max=100_000, help="Drops of ten users per sector.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drops.")] = 0,
    spreads: Annotated[bool, typer.Option("--spreads", help="Also delay and angle spreads (table 7.8-2).")] = False,
    channels: Annotated[
        bool, typer.Option("--channels", help="Also wideband SIR and singular values; takes seconds per drop.")
    ] = False,
    spec: Annotated[
        int | None,
        typer.Option(
            help="Release of TR 38.901 whose tables are used: 14 or 19. [default: 19 at 6 GHz; 14 else, as in the "
            "references]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for page, picture and table.")] = Path("runs/calibration"),
    workers: Annotated[int | None, typer.Option(min=1, max=1024, help="Processes. [default: one per core]")] = None,
    cluster: ClusterOption = None,
) -> None:
    """Compare path loss, antennas and cell selection with the calibration curves of 3GPP.

    Exit status 1 when a reference is missed, or when nothing could be compared. Interrupt it at any time: the same
    command resumes, and drops, spreads or setups can be added in the same folder.
    """
    from channels.scenarios.environment import checked_spec
    from ran.errors import InputError
    from ran.studies.calibration.setups import select

    try:
        release = None if spec is None else checked_spec(spec)
    except ValueError as error:
        raise InputError(f"--{error}") from None
    chosen = select(setups or [], release)
    from ran.cli.progress import ProgressLine
    from ran.sim.files import make_folder
    from ran.studies.calibration.page import CSV, summary, write_results
    from ran.studies.calibration.run import DropWorker, Request, calibrate_all, named
    from ran.studies.job import JobProgram

    make_folder(out)
    request = Request(tuple(chosen), drops, seed, spreads, channels)
    program = JobProgram(DropWorker, request, named)
    with ProgressLine() as listener, job_workers_of(cluster, program, workers) as far:
        results = calibrate_all(request, out, workers=workers, listener=listener, executor=far)
    page = write_results(results, out)
    print_results(results)
    report(page, page.with_name(CSV), summary=summary(results))
    compared = [entry.is_met for result in results for entry in result.against_reference()]
    if False in compared or True not in compared:
        raise typer.Exit(1)


def print_results(results: list[Calibration]) -> None:
    """The table of a calibration in the terminal, and how many references are met."""
    from rich.console import Console
    from rich.table import Table

    from ran.stats import Notation
    from ran.studies.calibration.page import summary
    from ran.studies.calibration.setups import METRICS

    value, deviation = Notation(2), Notation(2, signed=True)
    table = Table(title="in brackets the deviation from the reference", title_justify="left")
    table.add_column("setup", no_wrap=True, min_width=max(len(result.setup.name) for result in results))
    table.add_column("metric", no_wrap=True)
    percents = (5, 50, 95)
    for percent in percents:
        table.add_column(f"{percent} %", justify="right", no_wrap=True)
    for result in results:
        for metric in result.values:
            entries = [result.percentile(metric, percent) for percent in percents]
            cells = [
                value.value(e.estimate) + ("" if e.deviation is None else f" ({deviation.number(e.deviation)})")
                for e in entries
            ]
            title = f"{METRICS[metric].title}, {METRICS[metric].unit}"
            table.add_row(result.setup.name, title, *cells)
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=120)).print(table)
    print(summary(results))
