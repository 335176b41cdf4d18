"""`ran report`: make the report of runs again, one page over all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ran.cli.answer import answer
from ran.cli.answer import report as answer_report


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Run folders.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the report. [default: the run's folder; runs/report for several runs]"),
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Merge runs of one link with different receivers; gains are paired.")
    ] = False,
    all_receivers: Annotated[
        bool,
        typer.Option("--all-receivers", help="Include receivers that were removed from a run or changed since."),
    ] = False,
    ebn0_offset: Annotated[
        float | None,
        typer.Option(
            min=-60, max=60, help="Es/N0 less Eb/N0 in dB, to compare with figures that count Eb/N0 in another way."
        ),
    ] = None,
) -> None:
    """Write the report of one or several runs, finished or not; with HARQ also the BLER after every transmission.

    With --merge a receiver that was simulated later stands beside the others of its link. Of several runs also the bits
    that each delivers per slot at the same SNR, and the gain over the first.
    """
    from ran.cli.table import print_summary, print_throughput_gains, told
    from ran.report import write_report
    from ran.sim.results import load_results, merged_results, write_csv
    from ran.sim.run_folder import CSV
    from ran.studies.folder import kind_of, load_parts

    if len(runs) == 1 and kind_of(runs[0]) == "sweep":
        from ran.cli.sweep_table import print_sweep
        from ran.studies.sweep.page import CSV as SWEEP_CSV
        from ran.studies.sweep.page import write_sweep

        parts = load_parts(runs[0])
        first = next((part.results.experiment for part in parts if part.results is not None), None)
        name, description = (runs[0].name, "") if first is None else (first.name, first.description)
        page = write_sweep(name, description, parts, out or runs[0])
        print_sweep(name, parts)
        answer_report(page, page.with_name(SWEEP_CSV), experiment=name)
        return
    results = [load_results(run, all_receivers) for run in runs]
    if merge:
        results = [merged_results(results)]
    page = write_report(results, out or (runs[0] if len(runs) == 1 else Path("runs") / "report"), ebn0_offset)
    if len(results) == 1:
        write_csv(results[0], page.with_name(CSV))
    for result in results:
        print_summary(result, ebn0_offset)
    print_throughput_gains(results)
    answer(runs=[told(result) for result in results])
    answer_report(page, page.with_name(CSV) if len(results) == 1 else None)
