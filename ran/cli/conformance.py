"""`ran conformance`: the performance requirements of TS 38.104 as a command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ran.conformance.outcome import RowOutcome


def conformance(
    tables: Annotated[
        list[str] | None,
        typer.Option("--table", metavar="TABLE", help="A table (8.2.1.2-4) or row (8.2.1.2-4-row3). [default: all]"),
    ] = None,
    receiver: Annotated[str, typer.Option(help="A receiver (`ran list receivers`), or FILE.py:CLASS.")] = "blind",
    slots: Annotated[
        int, typer.Option(min=64, max=1_000_000, help="HARQ processes at most to decide about a row.")
    ] = 4096,
    variant: Annotated[
        str, typer.Option(help="38.104 (minimum requirements) or 38.141-1 (test requirements).")
    ] = "38.104",
    out: Annotated[Path | None, typer.Option(help="Folder. [default: runs/conformance-RECEIVER-VARIANT]")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=1024, help="Processes. [default: one per core]")] = None,
) -> None:
    """Test a receiver against the PUSCH requirements of TS 38.104, row by row.

    Exit status 1 when a row fails or stays undecided. Interrupt it at any time: the same command resumes.
    """
    from ran.conformance.requirements import VARIANTS, select
    from ran.errors import unknown_name

    rows = select(tables or [])
    chosen = next((known for known in VARIANTS if known == variant), None)
    if chosen is None:
        raise unknown_name("--variant", variant, VARIANTS)
    from ran.cli.progress import ProgressLine
    from ran.conformance.page import write_results
    from ran.conformance.run import Request, passed, run_rows
    from ran.link.catalogue import build_receiver

    block = _block(receiver)
    build_receiver(block, path="--receiver")
    title = block["name"].rsplit("/", 1)[-1].replace(".py:", "-")
    folder = out or Path("runs") / f"conformance-{title}-{chosen}"
    outcomes: list[RowOutcome] = []
    with ProgressLine() as listener:

        def show(outcome: RowOutcome) -> None:
            outcomes.append(outcome)
            write_results(outcomes, folder)
            listener.say(f"{outcome.row.name}: {outcome.verdict} {_figures(outcome)}")

        run_rows(Request(rows, block, chosen, slots), folder, workers=workers, listener=listener, show=show)
    page = write_results(outcomes, folder)
    _print_table(outcomes)
    print(f"report: {page}")
    if not passed(outcomes):
        raise typer.Exit(1)


def _block(receiver: str) -> dict[str, Any]:
    """A receiver block; files are named by their whole path, as workers have no current folder to share."""
    if ".py:" not in receiver:
        return {"name": receiver}
    file, _, cls = receiver.rpartition(":")
    return {"name": f"{Path(file).expanduser().resolve()}:{cls}"}


def _figures(outcome: RowOutcome) -> str:
    from ran.conformance.page import cells

    if not outcome.points:
        return outcome.reason
    shown = cells(outcome)
    return f"{shown['fraction']} at {shown['required']} dB, 70 % at {shown['at']} dB, margin {shown['margin']} dB"


def _print_table(outcomes: list[RowOutcome]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ran.conformance.page import cells, summary

    table = Table(title=summary(outcomes), title_justify="left")
    for title in ("table", "row", "signal", "PRB", "layers x rx", "channel"):
        table.add_column(title, no_wrap=True)
    for title in ("required dB", "throughput there", "verdict", "70 % at dB", "margin dB"):
        table.add_column(title, justify="right", no_wrap=True)
    styles = {"pass": "green", "fail": "bold red", "undecided": "bold yellow", "refused": "dim"}
    for outcome in outcomes:
        row, shown = outcome.row, cells(outcome)
        waveform = "" if row.waveform == "CP-OFDM" else " DFT-s"
        table.add_row(
            row.table,
            str(row.row),
            f"{row.modulation} {row.target_rate_x1024}{waveform}",
            f"{row.num_prb}@{row.scs_khz}",
            f"{row.num_layers} x {row.num_rx}",
            f"{row.delay_profile}-{row.max_doppler_hz:g}",
            shown["required"],
            shown["fraction"],
            Text(outcome.verdict, style=styles[outcome.verdict]),
            shown["at"],
            shown["margin"],
        )
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=150)).print(table)
