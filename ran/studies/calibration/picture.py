"""Distributions as pictures: one SVG per metric for the page, and all in one PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from html import escape

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ran.report.curves import COLORS_LIGHT
from ran.report.picture import STYLE
from ran.studies.calibration.run import Calibration
from ran.studies.calibration.setups import METRICS

_WIDTH, _HEIGHT = 520, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 18, 8, 40
#: Points of a curve.
_SHARES = np.concatenate([[0.001, 0.005], np.linspace(0.01, 0.99, 99), [0.995, 0.999]])


def axis_range(results: Sequence[Calibration], metric: str) -> tuple[float, float, float]:
    """From, to and step of the horizontal axis, in the metric's unit."""
    low = min(float(np.quantile(result.values[metric], 0.002)) for result in results)
    high = max(float(np.quantile(result.values[metric], 0.998)) for result in results)
    wanted = (high - low) / 7
    power = 10.0 ** np.floor(np.log10(wanted))
    step = next(float(power * multiple) for multiple in (1, 2, 5, 10) if power * multiple >= wanted)
    return step * np.floor(low / step), step * np.ceil(high / step), step


def distribution_svg(results: Sequence[Calibration], metric: str) -> str:
    """Cumulative distributions of a metric over setups; dots are the references. Colours come from the page."""
    low, high, step = axis_range(results, metric)

    def x(value: float) -> str:
        return f"{_LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT):.1f}"

    def y(share: float) -> str:
        return f"{_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM):.1f}"

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(METRICS[metric].title)}">']
    for share in np.arange(0, 1.01, 0.25):
        parts.append(f'<line class="grid" x1="{x(low)}" x2="{x(high)}" y1="{y(share)}" y2="{y(share)}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{float(y(share)) + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    for value in np.arange(low, high + step / 2, step):
        parts.append(f'<line class="grid" x1="{x(value)}" x2="{x(value)}" y1="{y(0)}" y2="{y(1)}"/>')
        parts.append(f'<text x="{x(value)}" y="{_HEIGHT - _BOTTOM + 15}" text-anchor="middle">{value:g}</text>')
    parts.append(
        f'<text x="{(_WIDTH + _LEFT) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">{METRICS[metric].unit}</text>'
    )
    for place, result in enumerate(results):
        values = np.quantile(result.values[metric], _SHARES)
        line = " ".join(f"{x(v)},{y(s)}" for v, s in zip(values, _SHARES, strict=True))
        parts.append(f'<polyline class="s{place}" points="{line}"/>')
        for percent, value in result.setup.reference.get(metric, {}).items():
            parts.append(f'<circle class="s{place}" cx="{x(value)}" cy="{y(percent / 100)}" r="4.5"/>')
    return "".join(parts) + "</svg>"


def distributions_png(results: Sequence[Calibration]) -> bytes:
    """Cumulative distributions of all metrics side by side, references as circles."""
    with rc_context(STYLE):
        metrics = list(results[0].values)
        rows = math.ceil(len(metrics) / 4)
        columns = math.ceil(len(metrics) / rows)
        figure = Figure(figsize=(4.3 * columns, 4.2 * rows), layout="constrained")
        FigureCanvasAgg(figure)
        for axes, metric in zip(figure.subplots(rows, columns, squeeze=False).flat, metrics, strict=False):
            for place, result in enumerate(results):
                color = COLORS_LIGHT[place % len(COLORS_LIGHT)]
                values = np.quantile(result.values[metric], _SHARES)
                axes.plot(values, 100 * _SHARES, color=color, linewidth=1.6, label=result.setup.title)
                reference = result.setup.reference.get(metric, {})
                axes.plot(list(reference.values()), list(reference), "o", color=color, mfc="none", markersize=7)
            low, high, _ = axis_range(results, metric)
            axes.set(
                title=METRICS[metric].title,
                xlabel=METRICS[metric].unit,
                ylabel="Users, %",
                xlim=(low, high),
                ylim=(0, 100),
            )
            axes.grid(True)
            axes.legend(frameon=False, loc="upper left", fontsize=8.5)
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=140)
        return content.getvalue()
