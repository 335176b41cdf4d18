"""From counts to a report: crossings and gains with their intervals, curves, tables, one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ran.report.summary import SummaryRow, summary_table

if TYPE_CHECKING:
    from ran.sim.results import RunResults

__all__ = ["SummaryRow", "summary_table", "write_report"]


def write_report(runs: Sequence[RunResults], out: Path, esn0_less_ebn0_db: float | None = None) -> Path:
    """Write report.html, bler.png and throughput.png; see ran.report.html.write_report."""
    # matplotlib and jinja2 take a while to import; the terminal's table needs neither.
    from ran.report.html import write_report as write

    return write(runs, out, esn0_less_ebn0_db)
