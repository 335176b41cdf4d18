"""`ran calibrate`: the calibration setups of TR 38.901 as a command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ran.calibration.run import Calibration


def calibrate(
    setups: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SETUP]...", help="umi-6ghz, uma-6ghz, umi-30ghz, uma-30ghz. [default: all]"),
    ] = None,
    drops: Annotated[int, typer.Option(min=1, max=100_000, help="Drops of 570 users.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drops.")] = 0,
    spreads: Annotated[bool, typer.Option("--spreads", help="Delay and angle spreads as well (table 7.8-2).")] = False,
    channels: Annotated[
        bool, typer.Option("--channels", help="Wideband SIR and singular values as well: seconds per drop.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder for page, picture and table.")] = Path("runs/calibration"),
) -> None:
    """Compare path loss, antennas and cell selection with the calibration curves of 3GPP.

    Exit status 1 when a reference is missed.
    """
    from ran.calibration.setups import select

    chosen = select(setups or [])
    from ran.calibration.page import summary, write_results
    from ran.calibration.run import calibrate as run

    results = [run(setup, drops, seed, spreads, channels) for setup in chosen]
    page = write_results(results, out)
    _print_table(results)
    print(summary(results))
    print(f"report: {page}")
    if any(entry.is_met is False for result in results for entry in result.against_reference()):
        raise typer.Exit(1)


def _print_table(results: list[Calibration]) -> None:
    from rich.console import Console
    from rich.table import Table

    from ran.calibration.setups import METRICS

    table = Table(title="in brackets the deviation from the reference", title_justify="left")
    table.add_column("setup", no_wrap=True)
    table.add_column("metric", no_wrap=True)
    percents = (5, 50, 95)
    for percent in percents:
        table.add_column(f"{percent} %", justify="right", no_wrap=True)
    for result in results:
        for metric in result.values:
            entries = [result.percentile(metric, percent) for percent in percents]
            cells = [f"{e.value:.2f}" + ("" if e.deviation is None else f" ({e.deviation:+.2f})") for e in entries]
            title = f"{METRICS[metric].title}, {METRICS[metric].unit}"
            table.add_row(result.setup.name, title, *cells)
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=120)).print(table)
