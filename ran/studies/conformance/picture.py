"""Margins to the requirements as a picture: a line per row of the standard, a point with its interval per receiver; and
shares of errors over what is allowed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ran.report.figures import PAGE, Form, add_legend, escape_math, new_figure, style
from ran.report.palette import CARD, LEVEL, color_of
from ran.studies.conformance.outcome import RowOutcome
from ran.studies.conformance.requirements import Requirement
from ran.studies.conformance.shares import ShareLine
from ran.studies.conformance.side_by_side import by_row


def margins_figure(outcomes: Sequence[RowOutcome], form: Form = PAGE) -> Figure:
    """Rows without a margin have no point. A row that did not pass has a hollow one."""
    lines = by_row(outcomes)
    receivers = list(dict.fromkeys(outcome.receiver for outcome in outcomes))
    with style(form):
        # lines of text keep their distance in a narrow figure, which has a legend, too
        height = 0.9 + 0.27 * max(len(lines), 1)
        figure = new_figure(*form.size(9.6, height, 0.8 + height))
        axes = figure.add_subplot()
        axes.axvline(0, color=LEVEL, linewidth=1)
        for place, receiver in enumerate(receivers):
            apart = (place - (len(receivers) - 1) / 2) * min(0.22, 0.75 / len(receivers))
            own = [(at + apart, o) for at, line in enumerate(lines) for o in line if o.receiver == receiver]
            points = [(y, o.margin_db, o.crossing.half_width or 0.0, o) for y, o in own if o.margin_db is not None]
            for y, margin_db, half_db, outcome in points:
                axes.errorbar(
                    margin_db,
                    y,
                    xerr=half_db if np.isfinite(half_db) else 0.0,
                    marker="o",
                    markersize=5,
                    color=color_of(place),
                    markerfacecolor=color_of(place) if outcome.verdict == "pass" else CARD,
                    elinewidth=1.6,
                )
            axes.plot([], [], "o", markersize=5, color=color_of(place), label=escape_math(receiver))
        between = "\n" if form.panels == 1 else "  "
        titles = [_title(line[0].row, between) for line in lines]
        axes.set_yticks(range(len(lines)), [escape_math(title) for title in titles])
        axes.set(ylim=(len(lines) - 0.4, -0.6), xlabel="Margin [dB]")
        axes.grid(True, axis="x")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        add_legend(figure, form)
        return figure


def shares_figure(lines: Sequence[ShareLine], form: Form = PAGE) -> Figure:
    """Upper end of the interval of every row's share over what is allowed: a point per row, a line per table. A row
    that did not pass has a hollow point; refused ones have none."""
    tables = list(dict.fromkeys(line.table for line in lines))
    with style(form):
        figure = new_figure(*form.size(9.6, 0.9 + 0.27 * len(tables)))
        axes = figure.add_subplot()
        axes.axvline(1, color=LEVEL, linewidth=1)
        for line in lines:
            if line.share.high is not None:
                hollow = CARD if line.verdict != "pass" else color_of(0)
                ratio = line.share.high / line.limit
                axes.plot(ratio, tables.index(line.table), "o", markersize=5, color=color_of(0), mfc=hollow)
        kinds = {line.table: line.kind for line in lines}
        names = [kinds[name] if name == "urllc" else f"{kinds[name]} {name}" for name in tables]
        axes.set_yticks(range(len(tables)), [escape_math(name) for name in names])
        axes.set(
            ylim=(len(tables) - 0.4, -0.6), xscale="log", xlabel="Upper end of the interval over the share allowed"
        )
        axes.grid(True, axis="x")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        return figure


def _title(row: Requirement, between: str) -> str:
    return f"{row.name}{between}{row.modulation} {row.target_rate_x1024:g}/1024"
