"""Block error rate and throughput over SNR, for pages, papers and where no browser is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatterSciNotation, LogLocator

from ran.report.curves import Curve, axis_of, bler_floor, esn0_range
from ran.report.figures import LEGEND, MARKERS, PAGE, Form, escape_math, new_figure, style
from ran.report.palette import LEVEL, color_of
from ran.report.summary import TARGET_BLERS
from ran.stats import percent

_SIZE_IN = (7.2, 4.6)
#: Height of a row of the legend in inches per point of font size.
_LEGEND_ROW_IN = 0.021
_DOTTED = (0, (1, 2))


@dataclass(frozen=True)
class _Look:
    color: str
    linestyle: str
    marker: str
    fill: str


def bler_plot(shown: Sequence[Curve], title: str, form: Form = PAGE) -> Figure:
    """BLER over Es/N0 on a logarithmic axis, with intervals; upper limits where no block failed."""
    with style(form):
        figure, axes = _axes(title, shown, form)
        floor = bler_floor(shown)
        axes.set_yscale("log")
        axes.set_ylim(floor, 1.25)
        axes.set_ylabel("Block error rate")
        axes.yaxis.set_major_locator(LogLocator(base=10))
        axes.yaxis.set_major_formatter(LogFormatterSciNotation(base=10))
        axes.grid(True, which="minor", axis="y", linewidth=0.4, alpha=0.6)
        for target in TARGET_BLERS:
            if target > floor:
                axes.axhline(target, color=LEVEL, linewidth=0.8, linestyle=_DOTTED, zorder=1)
                axes.annotate(
                    percent(target),
                    (0, target),
                    xycoords=("axes fraction", "data"),
                    xytext=(4, 2),
                    textcoords="offset points",
                    ha="left",
                    va="bottom",
                    fontsize="small",
                    color=LEVEL,
                )
        for curve in shown:
            look = _look(curve)
            seen = curve.has_errors
            _line(axes, curve, curve.falling_bler, curve.band_low, curve.band_high)
            low = np.maximum(curve.bler_low, floor / 10)
            _points(axes, look, curve.esn0_db[seen], curve.bler[seen], low[seen], curve.bler_high[seen])
            if not seen.all():
                axes.plot(
                    curve.esn0_db[~seen],
                    curve.bler_high[~seen],
                    linestyle="none",
                    marker=r"$\downarrow$",
                    markersize=9,
                    color=look.color,
                )
        _legend(figure, shown, form)
        return figure


def throughput_plot(shown: Sequence[Curve], title: str, form: Form = PAGE) -> Figure:
    """Throughput over Es/N0, with intervals; dotted, what the link carries when no block is lost."""
    with style(form):
        figure, axes = _axes(title, shown, form)
        axes.set_ylabel("Throughput [Mbit/s]")
        for peak in sorted({curve.peak_mbps for curve in shown}):
            axes.axhline(peak, color=LEVEL, linewidth=0.8, linestyle=_DOTTED, zorder=1)
        for curve in shown:
            look = _look(curve)
            _line(axes, curve, *curve.throughput_band)
            _points(axes, look, curve.esn0_db, curve.throughput_mbps, *curve.throughput_ends)
        axes.set_ylim(0, 1.06 * max((curve.peak_mbps for curve in shown), default=1.0))
        _legend(figure, shown, form)
        return figure


def _axes(title: str, shown: Sequence[Curve], form: Form) -> tuple[Figure, Axes]:
    figure = new_figure(*form.size(*_SIZE_IN))
    axes = figure.add_subplot()
    if form.has_title:
        axes.set_title(escape_math(title), fontsize="large", pad=10)
    axes.set_xlabel("{} [{}]".format(*axis_of(shown)))
    axes.set_xlim(*esn0_range(shown))
    axes.grid(True, which="major")
    return figure, axes


def _look(curve: Curve) -> _Look:
    color = color_of(curve.color)
    return _Look(color, "--" if curve.is_genie else "-", MARKERS[curve.marker], "white" if curve.is_open else color)


def _line(axes: Axes, curve: Curve, y: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    look = _look(curve)
    if curve.has_band:
        axes.fill_between(curve.line_esn0_db, low, high, color=look.color, alpha=0.12, linewidth=0)
    axes.plot(curve.line_esn0_db, y, color=look.color, linestyle=look.linestyle, linewidth=1.6)


def _points(axes: Axes, look: _Look, x: np.ndarray, y: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    axes.errorbar(
        x,
        y,
        yerr=np.maximum(np.stack((y - low, high - y)), 0),
        linestyle="none",
        marker=look.marker,
        markersize=5,
        color=look.color,
        markerfacecolor=look.fill,
        elinewidth=1.1,
        capsize=2.2,
    )


def _legend(figure: Figure, shown: Sequence[Curve], form: Form) -> None:
    """Below the axes, where it hides no curve however many there are."""
    looks = [_look(curve) for curve in shown]
    handles = [
        Line2D([], [], color=k.color, linestyle=k.linestyle, marker=k.marker, markersize=5, markerfacecolor=k.fill)
        for k in looks
    ]
    labels = [escape_math(curve.label) for curve in shown]
    columns = _legend_columns(labels, figure.get_figwidth() * 148 / form.font_size)
    figure.set_figheight(figure.get_figheight() + _LEGEND_ROW_IN * form.font_size * -(-len(labels) // columns))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, **LEGEND)


def _legend_columns(labels: Sequence[str], width: float) -> int:
    """One row where all labels fit into it, else as many columns as the longest label leaves room for.

    width: of the figure, in characters.
    """
    key = 8  # room for the line sample and the gap, in characters
    if sum(len(label) + key for label in labels) <= width:
        return len(labels)
    return max(1, int(width / (max(map(len, labels)) + key)))
