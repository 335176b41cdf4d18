"""A sweep in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ran.report.summary import TARGET_BLERS
from ran.stats import percent
from ran.studies.part import PartResult
from ran.studies.sweep.request import shown
from ran.studies.sweep.rows import rows_of


def print_sweep(name: str, parts: Sequence[PartResult]) -> None:
    """A line per combination: SNR at the first target BLER and gain of every receiver, with 95 % intervals."""
    rows = rows_of(parts)
    keys = list(dict.fromkeys(key for row in rows for key in row.facts))
    receivers = list(dict.fromkeys(row.receiver for row in rows))
    reference = next((row.receiver for row in rows if row.is_reference), "")
    results = next((part.results for part in parts if part.results is not None), None)
    axis, unit = ("Es/N0", "dB") if results is None else (results.experiment.point_axis[0], "dB")
    target = percent(TARGET_BLERS[0])
    gain = f" (gain over {reference})" if reference else ""
    table = Table(title=f"{name}: {axis} in {unit} at {target} BLER{gain}, with 95 % intervals", title_justify="left")
    for key in keys:
        table.add_column(key, no_wrap=True)
    for receiver in receivers:
        table.add_column(receiver, justify="right")
    for part in parts:
        own = {row.receiver: row for row in rows if row.part == part.title}
        cells = []
        for receiver in receivers:
            row = own.get(receiver)
            if row is None or row.refusal:
                cells.append("refused" if row else "—")
                continue
            paired = f" ({row.gains[0]})" if row.gains[0].is_known else ""
            cells.append(f"{row.crossings[0]}{paired}" if row.crossings[0].is_known else "—")
        table.add_row(*map(Text, [*(shown(part.facts.get(key, "")) for key in keys), *cells]))
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=150)).print(table)
    for row in rows:
        if row.refusal or row.crossings[0].why_missing:
            print(f"—: {row.part}, {row.receiver}: {row.refusal or row.crossings[0].why_missing}")
