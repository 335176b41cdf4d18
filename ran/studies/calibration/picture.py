"""Distributions as pictures: a figure per metric for the page, and all in one PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ran.report.figures import LEGEND, PAGE, Form, add_legend, new_figure, style
from ran.report.palette import color_of
from ran.studies.calibration.run import Calibration
from ran.studies.calibration.setups import METRICS

#: Points of a curve.
_SHARES = np.concatenate([[0.001, 0.005], np.linspace(0.01, 0.99, 99), [0.995, 0.999]])


def axis_range(results: Sequence[Calibration], metric: str) -> tuple[float, float]:
    """Ends of the horizontal axis, in the metric's unit: all but two in a thousand users at either end."""
    low = min(float(np.quantile(result.values[metric], 0.002)) for result in results)
    high = max(float(np.quantile(result.values[metric], 0.998)) for result in results)
    return low, high


def distribution_figure(results: Sequence[Calibration], metric: str, form: Form = PAGE) -> Figure:
    """Cumulative distributions of a metric over setups; circles are the references. A page has the legend."""
    with style(form):
        figure = new_figure(*form.size(5.2, 3.1))
        _draw(figure.add_subplot(), results, metric)
        add_legend(figure, form)
        return figure


def distributions_figure(results: Sequence[Calibration]) -> Figure:
    """Cumulative distributions of all metrics side by side, references as circles."""
    with style():
        metrics = list(results[0].values)
        rows = math.ceil(len(metrics) / 4)
        columns = math.ceil(len(metrics) / rows)
        figure = new_figure(4.3 * columns, 4.2 * rows)
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes, metric in zip(panels, metrics, strict=False):
            _draw(axes, results, metric)
            axes.set_title(METRICS[metric].title)
            axes.legend(**LEGEND, loc="upper left")
        for unused in panels[len(metrics) :]:
            unused.set_axis_off()
        return figure


def _draw(axes: Axes, results: Sequence[Calibration], metric: str) -> None:
    for place, result in enumerate(results):
        color = color_of(place)
        values = np.quantile(result.values[metric], _SHARES)
        axes.plot(values, 100 * _SHARES, color=color, linewidth=1.6, label=result.setup.title)
        reference = result.setup.reference.get(metric, {})
        axes.plot(list(reference.values()), list(reference), "o", color=color, mfc="none", markersize=7)
    axes.set(xlabel=METRICS[metric].unit, ylabel="Users [%]", xlim=axis_range(results, metric), ylim=(0, 100))
    axes.grid(True)
