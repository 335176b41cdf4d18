"""Gains over the baseline as a picture: a line per condition, a point with its interval per receiver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from ran.report.figures import PAGE, Form, add_legend, escape_math, new_figure, style
from ran.report.palette import CARD, LEVEL, color_of
from ran.stats import Estimate
from ran.studies.robustness.conditions import Condition
from ran.studies.robustness.outcome import Outcome

#: Wider intervals and larger gains are cut off here, dB.
FARTHEST_DB = 6.0


def gains_figure(
    lines: Sequence[tuple[Condition, Mapping[str, Outcome]]], receivers: Sequence[str], form: Form = PAGE
) -> Figure:
    """The first receiver is grey and hollow, the others have the page's colours in their order."""
    ends = [end for _, line in lines for name in receivers if name in line for end in _ends(line[name].gain)]
    low = max(min([*ends, -0.5]) - 0.1, -FARTHEST_DB)
    high = min(max([*ends, 0.5]) + 0.1, FARTHEST_DB)
    with style(form):
        # lines of text keep their distance in a narrow figure, which has a legend, too
        height = 0.8 + 0.27 * max(len(lines), 1)
        figure = new_figure(*form.size(9.6, height, 0.8 + height))
        axes = figure.add_subplot()
        axes.axvline(0, color=LEVEL, linewidth=1)
        for place, receiver in enumerate(receivers):
            apart = (place - (len(receivers) - 1) / 2) * min(0.22, 0.75 / len(receivers))
            found = [(at + apart, line[receiver].gain) for at, (_, line) in enumerate(lines) if receiver in line]
            known = [(at, *gain.numbers) for at, gain in found if gain.is_known]
            if not known:
                continue
            y, value, left, right = np.array(known, float).T
            value, left, right = (np.clip(end, low, high) for end in (value, left, right))
            color = LEVEL if place == 0 else color_of(place - 1)
            axes.errorbar(
                value,
                y,
                xerr=np.maximum([value - left, right - value], 0),
                linestyle="none",
                marker="o",
                markersize=5,
                color=color,
                markerfacecolor=CARD if place == 0 else color,
                elinewidth=1.6,
                label=escape_math(receiver),
            )
        axes.set_yticks(range(len(lines)), [escape_math(condition.title) for condition, _ in lines])
        axes.set(xlim=(low, high), ylim=(len(lines) - 0.4, -0.6), xlabel="Gain [dB]")
        axes.grid(True, axis="x")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        add_legend(figure, form)
        return figure


def _ends(gain: Estimate) -> list[float]:
    """The finite ones of a gain's value and interval, dB."""
    return [number for number in gain.plain() if number is not None]
