"""The result of a run in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ran.report import summary_table
from ran.report.summary import has_crossings, reasons
from ran.sim.results import RunResults

#: Width to fall back to where the output has none of its own, such as a file.
_WIDTH_OF_FILES = 120


def print_summary(results: RunResults, esn0_less_ebn0_db: float | None = None) -> None:
    """SNR at the target BLERs per receiver with intervals, and the gain over the first classical receiver."""
    for text in results.warnings:
        print(f"warning: {text}")
    rows = summary_table(results, esn0_less_ebn0_db=esn0_less_ebn0_db)
    if not rows:
        return
    if not has_crossings(rows):
        print(f"{results.title}: no receiver crosses a target BLER, so there is no table:")
        print("\n".join(f"  {reason}" for reason in reasons(rows)))
        return
    reference = next((row.receiver for row in rows if row.is_reference), None)
    targets = rows[0].target_blers
    axis, _, unit = results.experiment.point_axis
    table = Table(
        title=f"{results.title}: {axis} in {unit} for a BLER, with 95 % intervals",
        title_justify="left",
    )
    table.add_column("receiver")
    for target in targets:
        table.add_column(f"at {target * 100:g} %", justify="right")
    if rows[0].ebn0s is not None:
        table.add_column(f"Eb/N0 at {targets[0] * 100:g} %", justify="right")
    if reference is not None:
        table.add_column(f"gain over {reference} at {targets[0] * 100:g} %, dB", justify="right")
    for row in rows:
        cells = [row.receiver + (" (genie)" if row.is_genie else ""), *map(str, row.crossings)]
        if row.ebn0s is not None:
            cells.append(str(row.ebn0s[0]))
        if reference is not None:
            cells.append("reference" if row.is_reference else str(row.gains[0]))
        table.add_row(*map(Text, cells))
    _console().print(table)
    for reason in reasons(rows):
        print(f"—: {reason}")


def told(results: RunResults) -> dict[str, Any]:
    """The same for programs: crossings, gains and losses as `ran.stats.Estimate`, by target BLER."""
    targets = [
        {
            "receiver": row.receiver,
            "is_genie": row.is_genie,
            "is_reference": row.is_reference,
            "target_bler": target,
            "crossing": row.crossings[number],
            "gain": row.gains[number],
            "loss": row.losses[number],
        }
        for row in summary_table(results)
        for number, target in enumerate(row.target_blers)
    ]
    return {"experiment": results.title, "warnings": list(results.warnings), "targets": targets}


def print_throughput_gains(runs: Sequence[RunResults]) -> None:
    """Bits per slot that several runs deliver, each with its best receiver, and gains over the first run."""
    from ran.report.throughput_gain import best_of_runs, throughput_gains

    rows = best_of_runs(throughput_gains(runs))
    if not rows:
        return
    title = "Bits delivered per slot by the best receiver of each run, with 95 % intervals"
    table = Table(title=title, title_justify="left")
    table.add_column("Es/N0, dB", justify="right")
    table.add_column("run")
    table.add_column("receiver")
    table.add_column("bits per slot", justify="right")
    table.add_column("gain", justify="right")
    for row in rows:
        bits = " ".join(row.bits_text)
        table.add_row(*map(Text, (f"{row.esn0_db:g}", row.run, row.receiver, bits, row.gain_text)))
    _console().print(table)


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH_OF_FILES)
