"""Errors of measurements in the terminal and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ran.stats import Notation, csv_cells

if TYPE_CHECKING:
    from ran.datasets.measure import MeasurementError

_COLUMNS = ("esn0_db", "user", "quantity", "truth", "unit", "bias", "bias_low", "bias_high", "rmse", "rmse_low")


def print_errors(title: str, rows: Sequence[MeasurementError]) -> None:
    """A line per Es/N0, user and quantity."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{title}: errors of measurements by DM-RS, with 95 % intervals", title_justify="left")
    for name in ("Es/N0 dB", "user", "quantity", "truth", "bias", "RMSE"):
        table.add_column(name, justify="left" if name == "quantity" else "right", no_wrap=True)
    for row in rows:
        notation = Notation(3 if row.bias.unit == "dB" else 1)
        table.add_row(
            f"{row.esn0_db:g}",
            str(row.user),
            row.quantity,
            f"{row.truth:.1f}",
            notation.text(row.bias),
            notation.text(row.rmse),
        )
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=120)).print(table)


def as_csv(rows: Sequence[MeasurementError]) -> str:
    """The same for programs."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS, "rmse_high", "slots"])
    for row in rows:
        numbers = [*csv_cells(row.bias, ".6g"), *csv_cells(row.rmse, ".6g")]
        start = [f"{row.esn0_db:g}", row.user, row.quantity, f"{row.truth:.6g}", row.bias.unit]
        writer.writerow([*start, *numbers, row.bias.num_units])
    return text.getvalue()
