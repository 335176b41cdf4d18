"""A sweep in pictures: Es/N0 at the target over a swept key, and the curves of every combination."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ran.report.figures import LEGEND, MARKERS, PAGE, Form, escape_math, new_figure, style, tick_values
from ran.report.palette import color_of
from ran.report.summary import TARGET_BLERS
from ran.stats import percent
from ran.studies.sweep.request import shown, title_of
from ran.studies.sweep.rows import Row

#: More panels than these are not read by anybody.
MAX_FACETS = 12
MAX_CURVES = 30


def axis_key(rows: Sequence[Row]) -> str:
    """The key along the axis of the first picture: of those with numbers the one with most values, else the first."""
    keys = list(dict.fromkeys(key for row in rows for key in row.facts))

    def worth(key: str) -> tuple[bool, int]:
        values = {shown(row.facts[key]) for row in rows}
        return all(_is_number(row.facts[key]) for row in rows), len(values)

    return max(keys, key=worth)


def over_key(rows: Sequence[Row], axis: tuple[str, str, str], form: Form = PAGE) -> Figure:
    """SNR at the first target BLER over `axis_key`, a panel per combination of the other keys."""
    key = axis_key(rows)
    others = list(dict.fromkeys(_others(row, key) for row in rows))[:MAX_FACETS]
    values = list(dict.fromkeys(row.facts[key] for row in rows))
    is_number = all(_is_number(value) for value in values)
    places = {shown(value): float(value) if is_number else float(i) for i, value in enumerate(values)}
    with style(form):
        figure, panels = _panels(len(others), form, sharey=True)
        for panel, other in zip(panels, others, strict=False):
            here = [row for row in rows if _others(row, key) == other]
            for receiver, color, marker, dashed in _looks(rows):
                _over(panel, [row for row in here if row.receiver == receiver], key, places, color, marker, dashed)
            panel.set_title(escape_math(other or key), fontsize="small")
            panel.set_xlabel(escape_math(key))
            if is_number:
                tick_values(panel, list(places.values()), 0.12)
            else:
                panel.set_xticks(list(places.values()), list(places))
            panel.grid(True)
        for panel in panels[:: form.panels]:
            panel.set_ylabel(f"{axis[1]} at {percent(TARGET_BLERS[0])} BLER [{axis[2]}]")
        _legend(figure, rows, form)
        return figure


def _over(
    panel: Axes, rows: Sequence[Row], key: str, places: dict[str, float], color: str, marker: str, dashed: bool
) -> None:
    found = [(places[shown(row.facts[key])], row.crossings[0]) for row in rows]
    known = sorted((x, *e.numbers) for x, e in found if e.is_known)
    if not known:
        return
    x, y, low, high = (np.array([entry[i] for entry in known], float) for i in range(4))
    ends = np.stack([np.where(np.isfinite(low), y - low, 0), np.where(np.isfinite(high), high - y, 0)])
    panel.errorbar(
        x, y, yerr=np.maximum(ends, 0), color=color, marker=marker, markersize=5, linewidth=1.4,
        linestyle="--" if dashed else "-", elinewidth=1.1, capsize=2.2,
    )  # fmt: skip


def curves_figure(rows: Sequence[Row], axis: tuple[str, str, str], form: Form = PAGE) -> Figure:
    """BLER over SNR of every combination, a panel each, at most `MAX_CURVES`."""
    titles = list(dict.fromkeys(row.part for row in rows if row.points))[:MAX_CURVES]
    with style(form):
        figure, panels = _panels(len(titles), form, sharey=True, sharex=True)
        for panel, title in zip(panels, titles, strict=False):
            for receiver, color, marker, dashed in _looks(rows):
                for row in rows:
                    if row.part == title and row.receiver == receiver:
                        _curve(panel, row, color, marker, dashed)
            panel.set_yscale("log")
            panel.set_ylim(1e-3, 1.25)
            panel.set_title(escape_math(title), fontsize="small")
            panel.grid(True)
        for panel in panels[:: form.panels]:
            panel.set_ylabel("BLER")
        for panel in panels[max(0, len(titles) - form.panels) :]:
            panel.set_xlabel(f"{axis[1]} [{axis[2]}]")
            panel.tick_params(labelbottom=True)
        _legend(figure, rows, form)
        return figure


def _curve(panel: Axes, row: Row, color: str, marker: str, dashed: bool) -> None:
    seen = [point for point in row.points if point.block_errors]
    if seen:
        y = np.array([point.bler for point in seen])
        ends = np.array([[point.bler - point.bler_low for point in seen], [p.bler_high - p.bler for p in seen]])
        panel.errorbar(
            [point.esn0_db for point in seen], y, yerr=np.maximum(ends, 0), color=color, marker=marker, markersize=4,
            linewidth=1.3, linestyle="--" if dashed else "-", elinewidth=1, capsize=2,
        )  # fmt: skip
    without = [point for point in row.points if not point.block_errors]
    if without:
        # nothing was lost: only a limit is known
        panel.plot(
            [point.esn0_db for point in without], [point.bler_high for point in without],
            linestyle="none", marker=r"$\downarrow$", markersize=8, color=color,
        )  # fmt: skip


def _others(row: Row, key: str) -> str:
    return title_of({name: value for name, value in row.facts.items() if name != key})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _looks(rows: Sequence[Row]) -> list[tuple[str, str, str, bool]]:
    """Receiver, colour, marker and whether its line is dashed."""
    genies = {row.receiver for row in rows if row.is_genie}
    receivers = list(dict.fromkeys(row.receiver for row in rows))
    own = [receiver for receiver in receivers if receiver not in genies]
    return [
        (
            receiver,
            color_of(None if receiver in genies else own.index(receiver)),
            MARKERS[number % len(MARKERS)],
            receiver in genies,
        )
        for number, receiver in enumerate(receivers)
    ]


def _panels(count: int, form: Form, sharey: bool = False, sharex: bool = False) -> tuple[Figure, list[Axes]]:
    columns = min(form.panels, max(count, 1))
    lines = max(1, math.ceil(count / columns))
    width = {1: 6.4, 2: 8.6}.get(columns, 10.4) if form.width_in is None else form.width_in
    figure = new_figure(width, 0.7 + lines * 2.9 * min(1, width / columns / 3.47))
    axes = figure.subplots(lines, columns, squeeze=False, sharex=sharex, sharey=sharey)
    panels = list(axes.flat)
    for panel in panels[count:]:
        panel.set_axis_off()
    return figure, panels[:count]


def _legend(figure: Figure, rows: Sequence[Row], form: Form) -> None:
    handles, labels = [], []
    for receiver, color, marker, dashed in _looks(rows):
        handles.append(Line2D([], [], color=color, marker=marker, markersize=5, linestyle="--" if dashed else "-"))
        labels.append(escape_math(receiver))
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 2 * form.panels), **LEGEND)
