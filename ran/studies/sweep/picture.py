"""A sweep in pictures: Es/N0 at the target over a swept key, and the curves of every combination."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ran.report.figures import PAGE, Form, escape_math, style
from ran.report.summary import TARGET_BLERS
from ran.stats import percent
from ran.studies.sweep.facets import Look, Swept, axis_key, facets_figure, legend, looks, new_panels
from ran.studies.sweep.rows import Row

#: More panels than these are not read by anybody.
MAX_CURVES = 30


def over_key(rows: Sequence[Row], axis: tuple[str, str, str], form: Form = PAGE) -> Figure:
    """SNR at the first target BLER over `axis_key`, a panel per combination of the other keys."""
    points = [Swept(row.facts, row.receiver, row.is_genie, row.crossings[0]) for row in rows]
    y_title = f"{axis[1]} at {percent(TARGET_BLERS[0])} BLER [{axis[2]}]"
    return facets_figure(points, axis_key([row.facts for row in rows]), y_title, form)


def curves_figure(rows: Sequence[Row], axis: tuple[str, str, str], form: Form = PAGE) -> Figure:
    """BLER over SNR of every combination, a panel each, at most `MAX_CURVES`."""
    titles = list(dict.fromkeys(row.part for row in rows if row.points))[:MAX_CURVES]
    curves = looks((row.receiver, row.is_genie) for row in rows)
    with style(form):
        figure, panels = new_panels(len(titles), form, sharey=True, sharex=True)
        for panel, title in zip(panels, titles, strict=False):
            for look in curves:
                for row in rows:
                    if row.part == title and row.receiver == look.curve:
                        _curve(panel, row, look)
            panel.set_yscale("log")
            panel.set_ylim(1e-3, 1.25)
            panel.set_title(escape_math(title), fontsize="small")
            panel.grid(True)
        for panel in panels[:: form.panels]:
            panel.set_ylabel("BLER")
        for panel in panels[max(0, len(titles) - form.panels) :]:
            panel.set_xlabel(f"{axis[1]} [{axis[2]}]")
            panel.tick_params(labelbottom=True)
        legend(figure, curves, form)
        return figure


def _curve(panel: Axes, row: Row, look: Look) -> None:
    seen = [point for point in row.points if point.block_errors]
    if seen:
        y = np.array([point.bler for point in seen])
        ends = np.array([[point.bler - point.bler_low for point in seen], [p.bler_high - p.bler for p in seen]])
        panel.errorbar(
            [point.esn0_db for point in seen], y, yerr=np.maximum(ends, 0), color=look.color, marker=look.marker,
            markersize=4, linewidth=1.3, linestyle=look.line, elinewidth=1, capsize=2,
        )  # fmt: skip
    without = [point for point in row.points if not point.block_errors]
    if without:
        # nothing was lost: only a limit is known
        panel.plot(
            [point.esn0_db for point in without], [point.bler_high for point in without],
            linestyle="none", marker=r"$\downarrow$", markersize=8, color=look.color,
        )  # fmt: skip
