"""`ran report`: make the report of runs again, one page over all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Run folders.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the report. [default: the run's folder; runs/report for several runs]"),
    ] = None,
) -> None:
    """Write the report of one or several runs, finished or not; with HARQ also the BLER after every transmission.

    Of several runs also the bits that each delivers per slot at the same SNR, and the gain over the first.
    """
    from ran.cli.table import print_summary, print_throughput_gains
    from ran.report import write_report
    from ran.sim.results import load_results

    results = [load_results(run) for run in runs]
    page = write_report(results, out or (runs[0] if len(runs) == 1 else Path("runs") / "report"))
    for result in results:
        print_summary(result)
    print_throughput_gains(results)
    print(f"report: {page}")
