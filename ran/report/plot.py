"""The curves as plotly figures: plain dictionaries that the page hands to plotly.js.

Traces name their colour in `meta.color` (place in the palette, None for a genie) and what they are in `meta.role`.
page.js sets the colours, so that a change between light and dark needs no second figure. Plotly reads a little HTML in
its texts, hence the escapes.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from ran.report.curves import Curve, axis_of, bler_floor, esn0_range
from ran.report.summary import TARGET_BLERS
from ran.stats import PERCENT, Estimate, Notation, percent

_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "hexagon")

_MBPS = Notation(3, suffix=" Mbit/s")

Figure = dict[str, Any]
_Band = tuple[np.ndarray, np.ndarray, np.ndarray]  # values, low ends, high ends


def bler_figure(shown: Sequence[Curve]) -> Figure:
    """BLER over Es/N0. `layout.meta` holds the axes of both scales, which the page switches between."""
    floor = bler_floor(shown)
    traces: list[Figure] = []
    for curve in shown:
        seen = curve.has_errors
        # An interval may reach 0, which a logarithmic axis cannot show; a decade below the axis is as good.
        bottom = floor / 10
        line = (curve.falling_bler, np.maximum(curve.band_low, bottom), np.maximum(curve.band_high, bottom))
        points = (curve.bler[seen], np.maximum(curve.bler_low, bottom)[seen], curve.bler_high[seen])
        text = [_bler_text(p) for p in curve.points if p.bler > 0]
        traces += _curve_traces(curve, line, curve.esn0_db[seen], points, text)
        if not seen.all():
            traces.append(_limits(curve, seen))
    targets = [t for t in TARGET_BLERS if t > floor]
    scales = {
        "log": {
            "type": "log",
            "range": [np.log10(floor), 0.08],
            "dtick": 1,
            "minor": {"dtick": "D1", "showgrid": True},
        },
        "linear": {"type": "linear", "range": [0, 1.03], "dtick": 0.1, "minor": {"showgrid": False}},
    }
    layout = _layout(shown, "Block error rate", scales["log"] | {"exponentformat": "power"})
    layout["meta"] = {"scales": scales, "targets": targets}
    layout["shapes"] = [_level(t) for t in targets]
    layout["annotations"] = [_level_text(percent(t), float(np.log10(t))) for t in targets]
    return {"data": traces, "layout": layout}


def throughput_figure(shown: Sequence[Curve]) -> Figure:
    """Throughput over Es/N0 with, dotted, the throughput of a link that loses no block."""
    traces: list[Figure] = []
    for curve in shown:
        ends = curve.throughput_ends
        text = [
            _MBPS.text(Estimate(p.throughput_mbps, float(low_end), float(high_end), unit="Mbit/s"))
            for p, low_end, high_end in zip(curve.points, *ends, strict=True)
        ]
        traces += _curve_traces(
            curve, curve.throughput_band, curve.esn0_db, (curve.throughput_mbps, ends[0], ends[1]), text
        )
    peaks = sorted({curve.peak_mbps for curve in shown})
    layout = _layout(shown, "Throughput [Mbit/s]", {"range": [0, 1.08 * max(peaks, default=1.0)]})
    layout["shapes"] = [_level(peak) for peak in peaks]
    layout["annotations"] = [_level_text(f"no block lost: {peak:.4g} Mbit/s", peak) for peak in peaks]
    return {"data": traces, "layout": layout}


def _curve_traces(curve: Curve, line: _Band, x: np.ndarray, points: _Band, text: list[str]) -> list[Figure]:
    """Band, line, points with error bars, and the entry of the legend, which switches all of them."""
    line_y, band_low, band_high = line
    y, low, high = points
    common = _common(curve)
    symbol = _SYMBOLS[curve.marker] + ("-open" if curve.is_open else "")
    dash = "dash" if curve.is_genie else "solid"
    line_look = {"width": 2.2, "dash": dash}
    band = common | {
        "meta": common["meta"] | {"role": "band"},
        "x": [*curve.line_esn0_db, *curve.line_esn0_db[::-1]],
        "y": [*band_high, *band_low[::-1]],
        "mode": "lines",
        "line": {"width": 0},
        "fill": "toself",
        "hoverinfo": "skip",
    }
    return [
        *([band] if curve.has_band else []),
        common
        | {
            "meta": common["meta"] | {"role": "line"},
            "x": list(curve.line_esn0_db),
            "y": [None if np.isnan(value) else value for value in line_y],
            "mode": "lines",
            "line": line_look,
            "hoverinfo": "skip",
        },
        common
        | {
            "meta": common["meta"] | {"role": "points"},
            "x": list(x),
            "y": list(y),
            "mode": "markers",
            "marker": {"size": 8, "symbol": symbol, "line": {"width": 1.6 if curve.is_open else 0}},
            "error_y": {
                "type": "data",
                "symmetric": False,
                "array": list(np.maximum(high - y, 0)),
                "arrayminus": list(np.maximum(y - low, 0)),
                "thickness": 1.4,
                "width": 3,
            },
            "customdata": text,
            "hovertemplate": _hover(curve),
        },
        common
        | {
            "meta": common["meta"] | {"role": "legend"},
            "x": [None],
            "y": [None],
            "mode": "lines+markers",
            "line": line_look,
            "marker": {"size": 8, "symbol": symbol, "line": {"width": 1.6 if curve.is_open else 0}},
            "showlegend": True,
            "hoverinfo": "skip",
        },
    ]


def _limits(curve: Curve, seen: np.ndarray) -> Figure:
    """Points without any error: an arrow at the upper end of their interval."""
    common = _common(curve)
    return common | {
        "meta": common["meta"] | {"role": "points"},
        "x": list(curve.esn0_db[~seen]),
        "y": list(curve.bler_high[~seen]),
        "mode": "markers",
        "marker": {"size": 12, "symbol": "arrow-bar-down-open", "line": {"width": 1.6}},
        "customdata": [_bler_text(p) for p in curve.points if p.bler == 0],
        "hovertemplate": _hover(curve),
    }


def _common(curve: Curve) -> Figure:
    name = html.escape(curve.label)
    return {
        "type": "scatter",
        "name": name,
        "legendgroup": f"{curve.run_index}/{name}",
        "showlegend": False,
        "meta": {"color": curve.color, "label": name},
    }


def _hover(curve: Curve) -> str:
    # The box over all curves of a single run has the Es/N0 as its title.
    place = "" if curve.has_band else f" at %{{x}} {curve.axis[1]}"
    return "%{meta.label}" + place + ": <b>%{customdata}</b><extra></extra>"


def _bler_text(point: Any) -> str:
    if point.block_errors == 0:
        return f"below {percent(point.bler_high)} (no error in {point.blocks:,} blocks)"
    return f"{PERCENT.text(point.error_rate)}, {point.block_errors:,} of {point.blocks:,} blocks"


def _layout(shown: Sequence[Curve], y_title: str, y_axis: Figure) -> Figure:
    axis, unit = axis_of(shown)
    return {
        "xaxis": {
            "title": {"text": f"{axis} [{unit}]"},
            "range": list(esn0_range(shown)),
            "hoverformat": ".4~g",
            "unifiedhovertitle": {"text": f"{axis} = %{{x}} {unit}"},
            "zeroline": False,
        },
        "yaxis": {"title": {"text": y_title}, "zeroline": False} | y_axis,
        # One box for all curves of a run; over several runs it would hide the picture.
        "hovermode": "closest" if any(curve.run_index for curve in shown) else "x unified",
        "margin": {"l": 64, "r": 16, "t": 12, "b": 52},
        "legend": {"orientation": "h", "x": 0, "y": -0.16, "yanchor": "top", "groupclick": "togglegroup"},
        "dragmode": "zoom",
    }


def _level(y: float) -> Figure:
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": y,
        "y1": y,
        "line": {"width": 1.2, "dash": "dot"},
        "layer": "below",
    }


def _level_text(text: str, y: float) -> Figure:
    return {
        "text": text,
        "xref": "paper",
        "x": 0,
        "xanchor": "left",
        "y": y,
        "yanchor": "bottom",
        "showarrow": False,
    }
