"""The curve behind a row: throughput against SNR, the requirement and where the curve meets it, as a plotly figure."""

from __future__ import annotations

from typing import Any

from ran.stats import Notation
from ran.studies.conformance.outcome import RowOutcome
from ran.studies.conformance.requirements import THRESHOLD

_FRACTION = Notation(1, scale=100, suffix=" %")


def curve_figure(outcome: RowOutcome) -> dict[str, Any]:
    """Data and layout; page.js sets the colours. The texts are numbers of ours only."""
    x = [point.esn0_db for point in outcome.points]
    y = [point.throughput_fraction for point in outcome.points]
    common = {"type": "scatter", "showlegend": False}
    traces: list[dict[str, Any]] = [
        common
        | {
            "meta": {"color": 0, "role": "points"},
            "x": x,
            "y": y,
            "mode": "lines+markers",
            "line": {"width": 2},
            "marker": {"size": 7, "line": {"width": 0}},
            "error_y": {
                "type": "data",
                "symmetric": False,
                "array": [max(p.throughput_fraction_high - p.throughput_fraction, 0) for p in outcome.points],
                "arrayminus": [max(p.throughput_fraction - p.throughput_fraction_low, 0) for p in outcome.points],
                "thickness": 1.4,
                "width": 3,
            },
            "customdata": [f"{_FRACTION.text(p.fraction)}, {p.drops} processes" for p in outcome.points],
            "hovertemplate": "%{x} dB: <b>%{customdata}</b><extra></extra>",
        }
    ]
    if (found := outcome.crossing.value) is not None:
        marker = {"size": 11, "symbol": "circle-open", "line": {"width": 1.6}}
        crossing = {"meta": {"color": None, "role": "crossing"}, "x": [found], "y": [THRESHOLD], "mode": "markers"}
        traces.append(common | crossing | {"marker": marker, "hovertemplate": "%{x:.2f} dB<extra></extra>"})
    required = outcome.required_snr_db
    dash = {"type": "line", "line": {"width": 1.2, "dash": "dash"}, "layer": "below"}
    return {
        "data": traces,
        "layout": {
            "xaxis": {"title": {"text": "Es/N0 [dB]"}, "range": [min(x) - 0.5, max(x) + 0.5], "zeroline": False},
            "yaxis": {
                "title": {"text": "Throughput, of the maximum"},
                "range": [-0.02, 1.05],
                "tickformat": ".0%",
                "zeroline": False,
            },
            "height": 300,
            "margin": {"l": 64, "r": 16, "t": 8, "b": 48},
            "shapes": [
                dash | {"xref": "paper", "x0": 0, "x1": 1, "y0": THRESHOLD, "y1": THRESHOLD},
                dash | {"yref": "paper", "y0": 0, "y1": 1, "x0": required, "x1": required},
            ],
            "annotations": [],
        },
    }
