"""The link budget in the page: block error rates over received Es/N0 and over distance."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from ran.report.curves import run_labels
from ran.report.figures import LEGEND, PAGE, Form, escape_math, new_figure, style
from ran.report.palette import COLORS_LIGHT, color_of
from ran.sim.budget_results import Bin, BudgetCurve, over_distance, over_received_esn0, received_range_db
from ran.stats import PERCENT

if TYPE_CHECKING:
    from ran.sim.results import RunResults

#: A bin with fewer drops is in the CSV only: its interval would fill the picture.
_FEWEST_DROPS = 10


def budget_view(run: RunResults) -> dict[str, Any]:
    """What the template prints of a run's link budget: quantiles of the received Es/N0 by power, and the bins."""
    return {
        "received": received_range_db(run),
        "over_esn0": over_received_esn0(run),
        "over_distance": over_distance(run),
    }


def budget_figures(runs: Sequence[RunResults]) -> dict[str, Any]:
    """Figures by the id of their place in the page; none without a link budget."""
    if any(run.experiment.link_budget is None for run in runs):
        return {}
    figures = {"received": _figure(runs, over_received_esn0, "Received Es/N0 [dB]", "Es/N0 = %{x} dB")}
    if any(over_distance(run) for run in runs):
        figures["distance"] = _figure(runs, _of_highest_power, "Distance of the user [m]", "%{x} m")
    return figures


def _of_highest_power(run: RunResults) -> tuple[BudgetCurve, ...]:
    """Over distance at the highest transmit power."""
    curves = over_distance(run)
    most = max((c.tx_power_dbm for c in curves if c.tx_power_dbm is not None), default=None)
    return tuple(curve for curve in curves if curve.tx_power_dbm == most)


def _shown(runs: Sequence[RunResults], curves_of: Any) -> list[tuple[str, int | None, BudgetCurve]]:
    """Label, place in the palette (None for a genie) and curve."""
    colors: dict[str, int] = {}
    for run in runs:
        for point in run.points:
            if point.receiver not in run.genie_receivers:
                colors.setdefault(point.receiver, len(colors) % len(COLORS_LIGHT))
    several = len(runs) > 1
    found = []
    for run, label in zip(runs, run_labels(runs), strict=True):
        for curve in curves_of(run):
            name = f"{label}: {curve.receiver}" if several else curve.receiver
            is_genie = curve.receiver in run.genie_receivers
            found.append((f"{name} (genie)" if is_genie else name, colors.get(curve.receiver), curve))
    return found


def _rates(bins: Sequence[Bin]) -> np.ndarray:
    """Block error rates and the ends of their intervals, [3, bins]."""
    rates = [b.error_rate for b in bins]
    return np.array([[e.value, e.low, e.high] for e in rates], float).reshape(-1, 3).T


def _figure(runs: Sequence[RunResults], curves_of: Any, title: str, hover: str) -> dict[str, Any]:
    traces = []
    for label, color, curve in _shown(runs, curves_of):
        bins = [b for b in curve.bins if b.drops >= _FEWEST_DROPS]
        y, low, high = _rates(bins)
        text = [f"{PERCENT.text(b.error_rate)}, {b.block_errors:,} of {b.blocks:,} blocks" for b in bins]
        name = html.escape(label)
        traces.append(
            {
                "type": "scatter",
                "name": name,
                "mode": "lines+markers",
                "meta": {"color": color, "label": name, "role": "line"},
                "x": [b.middle for b in bins],
                "y": y.tolist(),
                "line": {"width": 2, "dash": "dash" if color is None else "solid"},
                "marker": {"size": 7, "line": {"width": 0}},
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": (high - y).tolist(),
                    "arrayminus": (y - low).tolist(),
                    "thickness": 1.2,
                    "width": 3,
                },
                "customdata": text,
                "hovertemplate": "%{meta.label}: <b>%{customdata}</b><extra></extra>",
            }
        )
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": title}, "unifiedhovertitle": {"text": hover}, "zeroline": False},
        "yaxis": {"title": {"text": "Block error rate"}, "range": [0, 1.03], "dtick": 0.2, "zeroline": False},
        "hovermode": "x unified" if len(runs) == 1 else "closest",
        "margin": {"l": 64, "r": 16, "t": 12, "b": 52},
        "legend": {"orientation": "h", "x": 0, "y": -0.16, "yanchor": "top"},
        "dragmode": "zoom",
        "shapes": [],
        "annotations": [],
    }
    return {"data": traces, "layout": layout}


def budget_plot(runs: Sequence[RunResults], form: Form = PAGE) -> Figure:
    """Both figures side by side."""
    with style(form):
        # side by side where there is room, else one above the other
        rows, columns = (1, 2) if form.panels > 1 else (2, 1)
        figure = new_figure(*form.size(5.2 * columns, 4.6 * rows))
        both = (
            (over_received_esn0, "Received Es/N0 [dB]"),
            (_of_highest_power, "Distance of the user [m]"),
        )
        for axes, (curves_of, title) in zip(figure.subplots(rows, columns), both, strict=True):
            for label, color, curve in _shown(runs, curves_of):
                bins = [b for b in curve.bins if b.drops >= _FEWEST_DROPS]
                y, low, high = _rates(bins)
                axes.errorbar(
                    [b.middle for b in bins],
                    y,
                    yerr=np.maximum(np.stack((y - low, high - y)), 0),
                    color=color_of(color),
                    linestyle="--" if color is None else "-",
                    marker="o",
                    markersize=4,
                    capsize=2,
                    label=escape_math(label),
                )
            axes.set(xlabel=title, ylabel="Block error rate", ylim=(0, 1.03))
            axes.grid(True)
        figure.axes[0].legend(**LEGEND)
        return figure
