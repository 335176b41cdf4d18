"""`ran conformance`: the performance requirements of TS 38.104 as a command."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ran.cli.answer import answer, report, rows_of
from ran.cli.cluster_option import ClusterOption, workers_of
from ran.cli.receiver_option import receiver_blocks

if TYPE_CHECKING:
    from ran.sim.executor import Workers
    from ran.studies.conformance.control import ControlOutcome
    from ran.studies.conformance.outcome import RowOutcome
    from ran.studies.conformance.uci import UciOutcome


def conformance(
    tables: Annotated[
        list[str] | None,
        typer.Option(
            "--table",
            metavar="TABLE",
            help="A table (8.2.1.2-4) or row (8.2.1.2-4-row3); 8.3 is PUCCH, 8.4 PRACH, "
            "urllc the BLER of 0.001 %. [default: all of 8.2 and 11.2]",
        ),
    ] = None,
    receivers: Annotated[
        list[str] | None,
        typer.Option(
            "--receiver",
            metavar="NAME",
            help="A receiver (`ran list receivers`), trained weights (`ran list weights`), FILE.py:CLASS, FILE.onnx, "
            "or a block '{name: FILE.onnx, contract: aerial-nrx}'. Repeat it to compare margins. [default: blind]",
        ),
    ] = None,
    slots: Annotated[int, typer.Option(min=64, max=1_000_000, help="Most HARQ processes per row.")] = 4096,
    variant: Annotated[
        str, typer.Option(help="38.104 (minimum requirements) or 38.141-1 (test requirements).")
    ] = "38.104",
    cfo_hz: Annotated[float, typer.Option("--cfo", min=0, max=1e5, help="Largest carrier frequency offset, Hz.")] = 0.0,
    timing_us: Annotated[float, typer.Option("--timing", min=0, max=100, help="Largest timing offset, µs.")] = 0.0,
    out: Annotated[Path | None, typer.Option(help="Folder. [default: runs/conformance-RECEIVER-VARIANT]")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Worker processes. [default: one per core]")
    ] = None,
    cluster: ClusterOption = None,
) -> None:
    """Test receivers against the PUSCH requirements of TS 38.104, row by row, and detectors of PUCCH and PRACH.

    Exit status 0 when every row passes, 1 when one fails, stays undecided or is refused.
    Interrupt it at any time: the same command resumes. Rows of UCI on PUSCH (8.2.3) come last, without offsets, then
    those of PUCCH (8.3) and PRACH (8.4), which have receivers of their own: --slots are trials there. Of all these
    the one that was interrupted starts anew.
    Rows that a receiver cannot take are listed as refused, with the reason. With --cfo or --timing every process draws
    its own offsets, uniform up to these values, and slots are simulated in the time domain.
    """
    from ran.errors import bad_value, unknown_name
    from ran.studies.conformance import control, uci, urllc
    from ran.studies.conformance.requirements import VARIANTS, Offsets, experiment, select

    uci_rows = uci.select(tables) if tables else uci.ROWS
    control_rows = control.select(name for name in tables or [] if control.is_control(name))
    has_urllc = urllc.NAME in (tables or [])
    others = [
        name for name in tables or [] if not (uci.select([name]) or control.is_control(name) or name == urllc.NAME)
    ]
    rows = select(others) if others or not tables else ()
    fixed = control_rows[0].name if control_rows else urllc.NAME if has_urllc else None
    if fixed and variant == "38.141-1":
        raise bad_value("--variant", variant, f"38.104 for {fixed}, whose tolerance was not found")
    if fixed and (cfo_hz or timing_us):
        raise bad_value("--cfo, --timing", (cfo_hz, timing_us), f"0 for {fixed}, whose offsets are given")
    if control_rows and receivers and not (rows or uci_rows or has_urllc):
        raise bad_value("--receiver", receivers, "none: PUCCH and PRACH have receivers of their own")
    if variant == "38.141-1":
        unknown = [row.name for row in rows if row.is_fr2]
        if others and unknown:
            raise bad_value("--variant", variant, f"38.104 for {unknown[0]}, whose tolerance is in TS 38.141-2")
        rows = tuple(row for row in rows if not row.is_fr2)
    chosen = next((known for known in VARIANTS if known == variant), None)
    if chosen is None:
        raise unknown_name("--variant", variant, VARIANTS)
    from ran.cli.progress import ProgressLine
    from ran.sim.experiment import ReceiverBlock
    from ran.sim.simulation import build_simulation
    from ran.studies.conformance.page import CSV, conclusion, write_results
    from ran.studies.conformance.run import Request, passed, run_rows
    from ran.studies.conformance.shares import Shares
    from ran.studies.conformance.uci_run import run_uci_rows

    blocks = receiver_blocks(receivers or ["blind"])
    titles = (
        [ReceiverBlock.model_validate(block).title for block in blocks]
        if rows or uci_rows or has_urllc
        else ["control"]
    )
    offsets = (f"-cfo{cfo_hz:g}" if cfo_hz else "") + (f"-timing{timing_us:g}" if timing_us else "")
    folder = out or Path("runs") / f"conformance-{'-'.join(titles)}-{chosen}{offsets}"
    outcomes: list[RowOutcome] = []
    request = Request(rows, blocks, chosen, slots, Offsets(timing_us * 1e-6, cfo_hz))
    far_workers: AbstractContextManager[Workers | None] = nullcontext()
    if rows:
        far_workers = workers_of(cluster, experiment(rows[0], blocks[:1], chosen, slots), build_simulation, workers)
    with ProgressLine() as listener, far_workers as far:

        def show(outcome: RowOutcome) -> None:
            outcomes.append(outcome)
            write_results(outcomes, folder)
            listener.say(f"{outcome.row.name}, {outcome.receiver}: {outcome.verdict} {_figures(outcome)}")

        if rows:
            # in their order, whichever was done first
            outcomes[:] = run_rows(request, folder, workers=workers, listener=listener, show=show, executor=far)
        of_uci = run_uci_rows(
            uci_rows,
            blocks,
            chosen,
            slots,
            folder,
            lambda outcome: listener.say(f"{outcome.row.name}, {outcome.receiver}: {outcome.verdict}"),
        )

        def say(outcome: control.ControlOutcome) -> None:
            listener.say(f"{outcome.row.name}, {outcome.receiver}: {outcome.verdict}")

        of_control = control.run_control_rows(control_rows, slots, folder, say)
        of_urllc = urllc.run_urllc(blocks if has_urllc else [], slots, folder, say)
    shares = Shares(of_uci, of_control, of_urllc)
    if outcomes:
        print_results(outcomes)
    if of_uci:
        print_uci(of_uci, folder / uci.CSV)
    print_control(of_control, of_urllc, folder)
    if outcomes or shares.lines:
        page = write_results(outcomes, folder, shares)
        report(page, page.with_name(CSV) if outcomes else None, conclusion=conclusion(outcomes, shares.lines))
    if not passed(outcomes) or any(
        verdict != "pass" for verdict in [*(o.verdict for o in of_uci), *(o.verdict for o in [*of_control, *of_urllc])]
    ):
        raise typer.Exit(1)


def print_uci(outcomes: Sequence[UciOutcome], table: Path) -> None:
    """A line per row of UCI on PUSCH, and what they come to."""
    for outcome in outcomes:
        print(f"{outcome.row.name}, {outcome.receiver}: {outcome.verdict}, {outcome.text}")
    answer(uci_table=table, uci_rows=rows_of(table))
    print(f"UCI on PUSCH: {sum(o.verdict == 'pass' for o in outcomes)} of {len(outcomes)} rows pass; {table}")


def print_control(of_control: Sequence[ControlOutcome], of_urllc: Sequence[ControlOutcome], folder: Path) -> None:
    """A line per row of PUCCH and PRACH and of URLLC, and what they come to; their tables are in the folder."""
    from ran.studies.conformance import control, urllc

    for result in [*of_control, *of_urllc]:
        print(f"{result.row.name}, {result.receiver}: {result.verdict}, {result.text}")
    if of_urllc:
        answer(urllc_table=folder / urllc.CSV, urllc_rows=rows_of(folder / urllc.CSV))
    if of_control:
        answer(control_table=folder / control.CSV, control_rows=rows_of(folder / control.CSV))
        passes = sum(result.verdict == "pass" for result in of_control)
        print(f"PUCCH and PRACH: {passes} of {len(of_control)} rows pass; {folder / control.CSV}")


def _figures(outcome: RowOutcome) -> str:
    from ran.studies.conformance.page import cells

    if not outcome.points:
        return outcome.reason
    shown = cells(outcome)
    return f"{shown['fraction']} at {shown['required']} dB, 70 % at {shown['at']} dB, margin {shown['margin']} dB"


def print_results(outcomes: Sequence[RowOutcome]) -> None:
    """A line per row; of several receivers only verdict, SNR and margin, side by side."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ran.studies.conformance.page import cells, conclusion, summaries
    from ran.studies.conformance.side_by_side import by_row

    lines = by_row(outcomes)
    alone = len(lines[0]) == 1 if lines else True
    table = Table(title="\n".join(summaries(outcomes)), title_justify="left")
    for title in ("table", "row", "signal", "PRB", "layers x rx", "channel"):
        table.add_column(title, no_wrap=True)
    table.add_column("required dB", justify="right", no_wrap=True)
    own = ("throughput there", "verdict", "70 % at dB", "margin dB")
    for title in own if alone else [outcome.receiver for outcome in lines[0]]:
        table.add_column(title, justify="right", no_wrap=True)
    styles = {"pass": "green", "fail": "bold red", "undecided": "bold yellow", "refused": "dim"}
    for line in lines:
        row, shown = line[0].row, [cells(outcome) for outcome in line]
        verdicts = [Text(outcome.verdict, style=styles[outcome.verdict]) for outcome in line]
        waveform = "" if row.waveform == "CP-OFDM" else " DFT-s"
        table.add_row(
            row.table,
            str(row.row),
            f"{row.modulation} {row.target_rate_x1024}{waveform}",
            f"{row.num_prb}@{row.scs_khz}",
            f"{row.num_layers} x {row.num_rx}",
            f"{row.delay_profile}-{row.max_doppler_hz:g}",
            shown[0]["required"],
            *(
                [shown[0]["fraction"], verdicts[0], shown[0]["at"], shown[0]["margin"]]
                if alone
                else [
                    verdict if outcome.margin_db is None else Text(f"{cell['margin']} ", style="").append_text(verdict)
                    for outcome, cell, verdict in zip(line, shown, verdicts, strict=True)
                ]
            ),
        )
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=150)).print(table)
    print(conclusion(outcomes))
