"""`ran report`: make the report of runs again, one page over all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ran.cli.answer import answer
from ran.cli.answer import report as answer_report

_PAPER = "paper"


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
    paper: Annotated[
        bool,
        typer.Option(
            "--paper",
            help="Also write the folder paper: figures as PDF, SVG and PNG for one and two columns, LaTeX, CSV, MAT.",
        ),
    ] = False,
) -> None:
    """Write the report of one or several runs, finished or not; with HARQ also the BLER after every transmission.

    The report of a study (`ran adapt`, `ran beams`, `ran csi`, `ran calibrate`, `ran robustness`, `ran conformance`, a
    sweep) is made from its folder alone. With --merge a receiver that was simulated later stands beside the others of
    its link. Of several runs also the bits that each delivers per slot at the same SNR, and the gain over the first.
    """
    from ran.cli.table import print_summary, print_throughput_gains, told
    from ran.report import write_report
    from ran.sim.results import load_results, merged_results
    from ran.sim.results_csv import write_csv
    from ran.sim.run_folder import CSV

    if len(runs) == 1 and _of_study(runs[0], out or runs[0], paper):
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
    if paper:
        from ran.report.paper import write_run_paper

        print(f"paper: {write_run_paper(results, page.parent / _PAPER)}")


def _of_study(folder: Path, out: Path, paper: bool) -> bool:
    """The report of a study; False where the folder holds none."""
    from ran.cli.job_study import report_again
    from ran.sim.files import make_folder
    from ran.studies.folder import kind_of

    reports = {"sweep": _sweep, "robustness study": _robustness}
    kind = kind_of(folder)
    paper_of = _papers() if paper else {}
    if kind in (*reports, "conformance"):
        make_folder(out)
    if kind == "conformance":
        _conformance(folder, out)
        if paper:
            print(f"paper: {paper_of[kind](folder, out / _PAPER)}")
        return True
    if kind in reports:
        page, table = reports[kind](folder, out)
        answer_report(page, table)
        if paper:
            print(f"paper: {paper_of[kind](folder, out / _PAPER)}")
        return True
    return report_again(folder, out, _PAPER if paper else None)


def _papers() -> dict[str, Callable[[Path, Path], Path]]:
    """What writes the folder for a paper of what a folder holds, by kind of study."""
    from ran.studies.conformance.paper import paper as conformance
    from ran.studies.conformance.run import outcomes_in as rows_in
    from ran.studies.folder import load_parts
    from ran.studies.robustness.paper import paper as robustness
    from ran.studies.robustness.run import outcomes_in as conditions_in
    from ran.studies.sweep.page import write_sweep_paper

    return {
        "sweep": lambda folder, out: write_sweep_paper(load_parts(folder), out),
        "robustness study": lambda folder, out: robustness(conditions_in(folder)).write(out),
        "conformance": lambda folder, out: conformance(rows_in(folder)).write(out),
    }


def _sweep(folder: Path, out: Path) -> tuple[Path, Path]:
    from ran.cli.sweep_table import print_sweep
    from ran.studies.folder import load_parts
    from ran.studies.sweep.page import CSV, write_sweep

    parts = load_parts(folder)
    first = next((part.results.experiment for part in parts if part.results is not None), None)
    name, description = (folder.name, "") if first is None else (first.name, first.description)
    page = write_sweep(name, description, parts, out)
    print_sweep(name, parts)
    return page, page.with_name(CSV)


def _robustness(folder: Path, out: Path) -> tuple[Path, Path]:
    from ran.cli.robustness import print_results
    from ran.studies.monitor.alarms import alarms_in
    from ran.studies.robustness.page import CSV, write_results
    from ran.studies.robustness.run import outcomes_in

    outcomes, alarms = outcomes_in(folder), alarms_in(folder)
    page = write_results(outcomes, out, alarms)
    print_results(outcomes, alarms)
    return page, page.with_name(CSV)


def _conformance(folder: Path, out: Path) -> None:
    from ran.cli.conformance import print_control, print_results, print_uci
    from ran.sim.files import write_text
    from ran.studies.conformance import control, stored_rows, urllc
    from ran.studies.conformance.page import CSV, write_results
    from ran.studies.conformance.run import outcomes_in
    from ran.studies.conformance.shares import Shares
    from ran.studies.conformance.uci import uci_outcomes_in, write_uci

    outcomes, of_uci = outcomes_in(folder), uci_outcomes_in(folder)
    tables = {name: stored_rows.outcomes_in(folder, name) for name in (control.CSV, urllc.CSV)}
    shares = Shares(of_uci, tables[control.CSV], tables[urllc.CSV])
    if outcomes or not shares.lines:
        print_results(outcomes)
    if of_uci:
        print_uci(of_uci, write_uci(of_uci, out))
    for name, found in tables.items():
        if found:
            write_text(out / name, control.as_csv(found))
    print_control(tables[control.CSV], tables[urllc.CSV], out)
    page = write_results(outcomes, out, shares)
    answer_report(page, page.with_name(CSV) if outcomes or not shares.lines else None)
