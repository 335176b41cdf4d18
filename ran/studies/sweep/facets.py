"""Curves over a swept key, a panel per combination of the other keys: the main figure of every sweep."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ran.report.figures import LEGEND, MARKERS, PAGE, Form, escape_math, new_figure, style, tick_values
from ran.report.palette import color_of
from ran.stats import Estimate
from ran.studies.sweep.request import shown, title_of

#: More panels than these are not read by anybody.
MAX_FACETS = 12


@dataclass(frozen=True)
class Swept:
    """A value where the swept keys have some values. facts: these, by key. curve: which one it belongs to."""

    facts: Mapping[str, Any]
    curve: str
    is_genie: bool
    value: Estimate


@dataclass(frozen=True)
class Look:
    """How a curve is drawn: dashed for a genie."""

    curve: str
    color: str
    marker: str
    is_genie: bool

    @property
    def line(self) -> str:
        return "--" if self.is_genie else "-"


def looks(curves: Iterable[tuple[str, bool]]) -> list[Look]:
    """How curves are drawn. curves: the name of each, and whether it is a genie's; as often as may be."""
    found: dict[str, bool] = {}
    for curve, is_genie in curves:
        found[curve] = found.get(curve, False) or is_genie
    own = [curve for curve, is_genie in found.items() if not is_genie]
    return [
        Look(curve, color_of(None if is_genie else own.index(curve)), MARKERS[number % len(MARKERS)], is_genie)
        for number, (curve, is_genie) in enumerate(found.items())
    ]


def axis_key(facts: Sequence[Mapping[str, Any]], keys: Sequence[str] | None = None) -> str:
    """The key along the axis: of those with numbers the one with most values, else the first. keys: to choose from, by
    default all."""
    keys = list(dict.fromkeys(key for of_one in facts for key in of_one)) if keys is None else keys

    def worth(key: str) -> tuple[bool, int]:
        values = {shown(of_one[key]) for of_one in facts}
        return all(_is_number(of_one[key]) for of_one in facts), len(values)

    return max(keys, key=worth)


def facets_figure(points: Sequence[Swept], key: str, y_title: str, form: Form = PAGE) -> Figure:
    """The curves over `key`, with their intervals; at most `MAX_FACETS` panels."""
    others = list(dict.fromkeys(_others(point, key) for point in points))[:MAX_FACETS]
    values = list(dict.fromkeys(point.facts[key] for point in points))
    is_number = all(_is_number(value) for value in values)
    places = {shown(value): float(value) if is_number else float(i) for i, value in enumerate(values)}
    curves = looks((point.curve, point.is_genie) for point in points)
    with style(form):
        figure, panels = new_panels(len(others), form, sharey=True)
        for panel, other in zip(panels, others, strict=False):
            here = [point for point in points if _others(point, key) == other]
            for look in curves:
                _curve(panel, [point for point in here if point.curve == look.curve], key, places, look)
            panel.set_title(escape_math(other or key), fontsize="small")
            panel.set_xlabel(escape_math(key))
            if is_number:
                tick_values(panel, list(places.values()), 0.12)
            else:
                panel.set_xticks(list(places.values()), list(places))
            panel.grid(True)
        for panel in panels[:: form.panels]:
            panel.set_ylabel(escape_math(y_title))
        legend(figure, curves, form)
        return figure


def _curve(panel: Axes, points: Sequence[Swept], key: str, places: Mapping[str, float], look: Look) -> None:
    found = [(places[shown(point.facts[key])], point.value) for point in points]
    known = sorted((x, *e.numbers) for x, e in found if e.is_known)
    if not known:
        return
    x, y, low, high = (np.array([entry[i] for entry in known], float) for i in range(4))
    ends = np.stack([np.where(np.isfinite(low), y - low, 0), np.where(np.isfinite(high), high - y, 0)])
    panel.errorbar(
        x, y, yerr=np.maximum(ends, 0), color=look.color, marker=look.marker, markersize=5, linewidth=1.4,
        linestyle=look.line, elinewidth=1.1, capsize=2.2,
    )  # fmt: skip


def _others(point: Swept, key: str) -> str:
    return title_of({name: value for name, value in point.facts.items() if name != key})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def new_panels(count: int, form: Form, sharey: bool = False, sharex: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels, as many side by side as the form allows."""
    columns = min(form.panels, max(count, 1))
    lines = max(1, math.ceil(count / columns))
    width = {1: 6.4, 2: 8.6}.get(columns, 10.4) if form.width_in is None else form.width_in
    figure = new_figure(width, 0.7 + lines * 2.9 * min(1, width / columns / 3.47))
    axes = figure.subplots(lines, columns, squeeze=False, sharex=sharex, sharey=sharey)
    panels = list(axes.flat)
    for panel in panels[count:]:
        panel.set_axis_off()
    return figure, panels[:count]


def legend(figure: Figure, curves: Sequence[Look], form: Form) -> None:
    """One legend below all panels."""
    handles = [
        Line2D([], [], color=look.color, marker=look.marker, markersize=5, linestyle=look.line) for look in curves
    ]
    labels = [escape_math(look.curve) for look in curves]
    # of small letters, 0.83 of the font; lines and gaps take about 5.5 letters' heights beside the longest label
    letter_in = 0.83 * form.font_size / 72
    entry_in = letter_in * (5.5 + 0.6 * max(map(len, labels)))
    columns = max(1, min(len(labels), 2 * form.panels, int(figure.get_figwidth() / entry_in)))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, **LEGEND)
