"""The curves as PNG files, for papers and for where no browser is."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatterSciNotation, LogLocator

from ran.report.curves import COLORS_LIGHT, GENIE_LIGHT, Curve, axis_of, bler_floor, escape_math, esn0_range
from ran.report.summary import TARGET_BLERS
from ran.stats import percent

_MARKERS = ("o", "s", "D", "^", "P", "X", "v", "h")
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa3b2",
    "axes.labelcolor": "#1f2733",
    "xtick.color": "#4b5563",
    "ytick.color": "#4b5563",
    "grid.color": "#e3e7ee",
    "axes.axisbelow": True,
}
_DPI = 160
_LEGEND = {"frameon": False, "handlelength": 2.6, "fontsize": 8.5}
_LEGEND_WIDTH = 112  # characters


@dataclass(frozen=True)
class _Look:
    color: str
    linestyle: str
    marker: str
    fill: str


def bler_png(shown: Sequence[Curve], title: str) -> bytes:
    """`bler_plot` as a file."""
    with rc_context(STYLE):
        return png_bytes(bler_plot(shown, title))


def bler_plot(shown: Sequence[Curve], title: str) -> Figure:
    """BLER over Es/N0 on a logarithmic axis, with intervals; upper limits where no block failed."""
    with rc_context(STYLE):
        figure, axes = _axes(title, shown)
        floor = bler_floor(shown)
        axes.set_yscale("log")
        axes.set_ylim(floor, 1.25)
        axes.set_ylabel("Block error rate")
        axes.yaxis.set_major_locator(LogLocator(base=10))
        axes.yaxis.set_major_formatter(LogFormatterSciNotation(base=10))
        axes.grid(True, which="minor", axis="y", linewidth=0.4, alpha=0.6)
        for target in TARGET_BLERS:
            if target > floor:
                axes.axhline(target, color="#6b7280", linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
                axes.annotate(
                    percent(target),
                    (0, target),
                    xycoords=("axes fraction", "data"),
                    xytext=(4, 2),
                    textcoords="offset points",
                    ha="left",
                    va="bottom",
                    fontsize=8,
                    color="#6b7280",
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
        _legend(figure, shown)
        return figure


def throughput_png(shown: Sequence[Curve], title: str) -> bytes:
    """Throughput over Es/N0, with intervals; dotted, what the link carries when no block is lost."""
    with rc_context(STYLE):
        figure, axes = _axes(title, shown)
        axes.set_ylabel("Throughput [Mbit/s]")
        for peak in sorted({curve.peak_mbps for curve in shown}):
            axes.axhline(peak, color="#6b7280", linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
        for curve in shown:
            look = _look(curve)
            _line(axes, curve, *curve.throughput_band)
            _points(axes, look, curve.esn0_db, curve.throughput_mbps, *curve.throughput_ends)
        axes.set_ylim(0, 1.06 * max((curve.peak_mbps for curve in shown), default=1.0))
        _legend(figure, shown)
        return png_bytes(figure)


def _axes(title: str, shown: Sequence[Curve]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.2, 5.2), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(escape_math(title), loc="left", fontsize=11, fontweight="bold", color="#1f2733", pad=10)
    axes.set_xlabel("{} [{}]".format(*axis_of(shown)))
    axes.set_xlim(*esn0_range(shown))
    axes.grid(True, which="major", linewidth=0.7)
    return figure, axes


def _look(curve: Curve) -> _Look:
    color = GENIE_LIGHT if curve.color is None else COLORS_LIGHT[curve.color]
    return _Look(color, "--" if curve.is_genie else "-", _MARKERS[curve.marker], "white" if curve.is_open else color)


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


def _legend(figure: Figure, shown: Sequence[Curve]) -> None:
    """Below the axes, where it hides no curve however many there are."""
    looks = [_look(curve) for curve in shown]
    handles = [
        Line2D([], [], color=k.color, linestyle=k.linestyle, marker=k.marker, markersize=5, markerfacecolor=k.fill)
        for k in looks
    ]
    labels = [escape_math(curve.label) for curve in shown]
    columns = _legend_columns(labels)
    figure.set_figheight(4.6 + 0.2 * -(-len(labels) // columns))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, **_LEGEND)


def _legend_columns(labels: Sequence[str]) -> int:
    """One row where all labels fit into it, else as many columns as the longest label leaves room for."""
    key = 8  # room for the line sample and the gap, in characters
    if sum(len(label) + key for label in labels) <= _LEGEND_WIDTH:
        return len(labels)
    return max(1, _LEGEND_WIDTH // (max(map(len, labels)) + key))


def png_bytes(figure: Figure) -> bytes:
    """The figure as PNG; equal figures give equal bytes."""
    # Without matplotlib's version in the file, the same curves give the same bytes.
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()
