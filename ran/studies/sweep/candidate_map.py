"""Where candidates pay: the gain of the best one over two swept keys, as a picture with the line of break-even."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ran.report.figures import escape_math, new_figure, style
from ran.studies.sweep.candidates import GAIN, Delivered
from ran.studies.sweep.request import shown, title_of

#: More panels than these are not read by anybody.
MAX_MAPS = 12
_COLUMNS = 3
#: Gain at which the colours end.
_FULL_COLOUR = 0.25


def candidate_map(best: Sequence[Delivered]) -> Figure | None:
    """A panel per receiver and combination of the other keys; None without two keys of numbers.

    best: one row per condition and receiver.
    """
    axes = map_keys(best)
    if axes is None:
        return None
    panels = list(dict.fromkeys(_panel_of(row, axes) for row in best))[:MAX_MAPS]
    columns = min(_COLUMNS, len(panels))
    lines = math.ceil(len(panels) / columns)
    with style():
        figure = new_figure(0.6 + 4.2 * columns, 0.9 + 2.9 * lines)
        drawn = list(figure.subplots(lines, columns, squeeze=False).flat)
        for axis, title in zip(drawn, panels, strict=False):
            _map(axis, [row for row in best if _panel_of(row, axes) == title], axes, title)
        for axis in drawn[len(panels) :]:
            axis.set_axis_off()
        return figure


def map_keys(rows: Sequence[Delivered]) -> tuple[str, str] | None:
    """The two keys of numbers with most values, the first along the horizontal axis; None where there are not two."""
    values: dict[str, set] = {}
    for row in rows:
        for key, value in row.condition.items():
            values.setdefault(key, set()).add(value)
    numbers = [key for key, found in values.items() if len(found) > 1 and all(_is_number(v) for v in found)]
    chosen = sorted(numbers, key=lambda key: -len(values[key]))[:2]
    return (chosen[0], chosen[1]) if len(chosen) == 2 else None


def _panel_of(row: Delivered, axes: tuple[str, str]) -> str:
    others = title_of({key: value for key, value in row.condition.items() if key not in axes})
    return f"{row.receiver}, {others}" if others else row.receiver


def _map(axis: Axes, rows: Sequence[Delivered], axes: tuple[str, str], title: str) -> None:
    across, up = (sorted({row.condition[key] for row in rows}) for key in axes)
    gain = np.full((len(up), len(across)), np.nan)
    for row in rows:
        place = up.index(row.condition[axes[1]]), across.index(row.condition[axes[0]])
        if row.gain.is_known:
            gain[place] = row.gain.known
            clear = row.gain.is_above(0) or row.gain.is_below(0)
            axis.text(
                place[1], place[0], escape_math(f"{GAIN.value(row.gain)}\n{row.candidate}"), ha="center", va="center",
                fontsize=7.5, fontweight="bold" if clear else "normal", color="#1a1a1a",
            )  # fmt: skip
    axis.imshow(gain, origin="lower", aspect="auto", cmap="RdBu", vmin=-_FULL_COLOUR, vmax=_FULL_COLOUR, alpha=0.75)
    finite = gain[np.isfinite(gain)]
    if min(gain.shape) > 1 and finite.size == gain.size and finite.min() < 0 < finite.max():
        axis.contour(gain, levels=[0.0], colors="#1a1a1a", linewidths=1.6)
    axis.set_xticks(range(len(across)), [shown(value) for value in across])
    axis.set_yticks(range(len(up)), [shown(value) for value in up])
    axis.set_xlabel(escape_math(axes[0]))
    axis.set_ylabel(escape_math(axes[1]))
    axis.set_title(escape_math(title), loc="left", fontsize=9)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
