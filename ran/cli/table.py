"""The result of a run in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ran.report import summary_table
from ran.sim.results import RunResults

#: Width to fall back to where the output has none of its own, such as a file.
_WIDTH_OF_FILES = 120


def print_summary(results: RunResults, esn0_less_ebn0_db: float | None = None) -> None:
    """SNR at the target BLERs per receiver with intervals, and the gain over the first classical receiver."""
    rows = summary_table(results, esn0_less_ebn0_db=esn0_less_ebn0_db)
    if not rows:
        return
    reference = next((row.receiver for row in rows if row.is_reference), None)
    targets = rows[0].target_blers
    table = Table(title=f"{results.experiment.name}: Es/N0 in dB for a BLER, with 95 % intervals", title_justify="left")
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
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH_OF_FILES)
    console.print(table)
