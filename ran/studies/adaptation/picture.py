"""Link-adapted throughput in pictures: receivers against one another, ways to choose the MCS, error rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ran.report.figures import LEGEND, MARKERS, PAGE, Form, escape_math, new_figure, style
from ran.report.palette import COLORS_LIGHT, FAINT, GENIE_LIGHT, LEVEL, color_of
from ran.stats import Estimate
from ran.studies.adaptation.outcome import ENVELOPE, IDEAL, Outcome

#: Line style of a mode; the loops come in the order of the experiment.
_IDEAL_STYLE, _LOOP_STYLES = ":", ("--", "-.")


def loops(outcomes: Sequence[Outcome]) -> list[str]:
    """The modes that a base station could run, inner loops and both loops, in order."""
    modes = dict.fromkeys(o.mode for o in outcomes)
    return [mode for mode in modes if mode not in (ENVELOPE, IDEAL) and not mode.startswith("fixed")]


def best_loop(outcomes: Sequence[Outcome]) -> str:
    """The loop that stands for link adaptation where one alone is shown: the last, both loops."""
    return loops(outcomes)[-1]


def receivers_figure(
    outcomes: Sequence[Outcome], reference: str | None, genies: frozenset[str], form: Form = PAGE
) -> Figure:
    """Throughput of all receivers, envelope and both loops, and beside it what they gain over the reference."""
    receivers = list(dict.fromkeys(o.receiver for o in outcomes))
    loop = best_loop(outcomes)
    with style(form):
        figure, axes = _figure(2 if reference and len(receivers) > 1 else 1, 2, form)
        for receiver in receivers:
            look = _look(receiver, receivers, genies)
            shown = f"{receiver} (genie)" if receiver in genies else receiver
            for mode, dashes in ((ENVELOPE, "-"), (loop, _LOOP_STYLES[0])):
                points = _points(outcomes, receiver, mode)
                styled = look | {"linestyle": dashes}
                throughput = [(o.esn0_db, o.throughput_mbps) for o in points]
                _draw(axes[0], throughput, f"{shown}, {mode}", styled)
                if len(axes) > 1 and receiver != reference:
                    pairs = zip(points, _points(outcomes, reference or "", mode), strict=True)
                    gains = [(o.esn0_db, gain) for o, r in pairs if (gain := o.gain_percent(r)).is_known]
                    _draw(axes[1], gains, "", styled)
        axes[0].set(ylabel="Throughput [Mbit/s]", ylim=(0, None))
        _title(axes[0], f"Envelope (solid) and {loop} (dashed)")
        if len(axes) > 1:
            axes[1].axhline(0, color=COLORS_LIGHT[0], linewidth=1)
            axes[1].set(ylabel=f"Throughput gain over {escape_math(reference or '')} [%]", ylim=_gain_limits(axes[1]))
            _title(axes[1], "Gain, paired over series")
        figure.legend(loc="outside lower center", ncols=4 if form.panels > 1 else 1, **LEGEND)
        return figure


def modes_figure(outcomes: Sequence[Outcome], genies: frozenset[str], form: Form = PAGE) -> Figure:
    """A panel per receiver: every fixed MCS, their envelope, the ideal choice and the loops."""

    def draw(axes: Axes, receiver: str, label: bool) -> None:
        for mode in dict.fromkeys(o.mode for o in outcomes if o.receiver == receiver and o.mode.startswith("fixed")):
            known = _points(outcomes, receiver, mode)
            x, y = [o.esn0_db for o in known], [o.throughput_mbps.known for o in known]
            axes.plot(x, y, color=FAINT, linewidth=0.8, zorder=1)
        shown = [(IDEAL, _IDEAL_STYLE, GENIE_LIGHT), (ENVELOPE, "-", COLORS_LIGHT[0])]
        for number, mode in enumerate(loops(outcomes)):
            shown.append((mode, _LOOP_STYLES["olla" in mode], COLORS_LIGHT[1 + number % (len(COLORS_LIGHT) - 1)]))
        for mode, dashes, color in shown:
            look = {"color": color, "linestyle": dashes, "marker": "o", "markersize": 3.5}
            points = [(o.esn0_db, o.throughput_mbps) for o in _points(outcomes, receiver, mode)]
            _draw(axes, points, mode if label else "", look)
        axes.set(ylabel="Throughput [Mbit/s]", ylim=(0, None))

    return _panels(outcomes, genies, draw, form)


def bler_figure(outcomes: Sequence[Outcome], genies: frozenset[str], target_bler: float, form: Form = PAGE) -> Figure:
    """A panel per receiver: block error rate of first transmissions under the envelope and the loops."""

    def draw(axes: Axes, receiver: str, label: bool) -> None:
        axes.axhline(target_bler, color=LEVEL, linewidth=1, linestyle=(0, (1, 2)))
        shown = [(ENVELOPE, "-", COLORS_LIGHT[0])]
        for number, mode in enumerate(loops(outcomes)):
            shown.append((mode, _LOOP_STYLES["olla" in mode], COLORS_LIGHT[1 + number % (len(COLORS_LIGHT) - 1)]))
        for mode, dashes, color in shown:
            look = {"color": color, "linestyle": dashes, "marker": "o", "markersize": 3.5}
            points = [(o.esn0_db, o.bler) for o in _points(outcomes, receiver, mode)]
            _draw(axes, points, mode if label else "", look)
        axes.set(ylabel="BLER of the first transmission", ylim=(0, None))

    return _panels(outcomes, genies, draw, form)


def _panels(
    outcomes: Sequence[Outcome], genies: frozenset[str], draw: Callable[[Axes, str, bool], None], form: Form
) -> Figure:
    receivers = list(dict.fromkeys(o.receiver for o in outcomes))
    with style(form):
        figure, axes = _figure(len(receivers), 2, form)
        for number, receiver in enumerate(receivers):
            draw(axes[number], receiver, number == 0)
            _title(axes[number], f"{receiver} (genie)" if receiver in genies else receiver)
        for unused in axes[len(receivers) :]:
            unused.set_visible(False)
        figure.legend(loc="outside lower center", ncols=6 if form.panels > 1 else 2, **LEGEND)
        return figure


def _figure(panels: int, side_by_side: int, form: Form) -> tuple[Figure, list[Axes]]:
    columns = min(side_by_side, panels, form.panels)
    rows = -(-panels // columns)
    width = 5.6 * columns if columns > 1 else 7.2
    figure = new_figure(*form.size(width, 0.6 + 4.2 * rows, 2.4 * rows))
    axes = list(np.ravel(figure.subplots(rows, columns)))
    for one in axes:
        one.grid(True)
        one.set_xlabel("Es/N0 [dB]")
    return figure, axes


def _look(receiver: str, receivers: Sequence[str], genies: frozenset[str]) -> dict[str, Any]:
    number = receivers.index(receiver)
    competing = [r for r in receivers if r not in genies]
    color = color_of(None if receiver in genies else competing.index(receiver))
    return {"color": color, "marker": MARKERS[number % len(MARKERS)], "markersize": 4.5}


def _points(outcomes: Sequence[Outcome], receiver: str, mode: str) -> list[Outcome]:
    return sorted((o for o in outcomes if (o.receiver, o.mode) == (receiver, mode)), key=lambda o: o.esn0_db)


def _draw(axes: Axes, points: Sequence[tuple[float, Estimate]], label: str, look: Mapping[str, Any]) -> None:
    """A line through (Es/N0 in dB, value) with the values' intervals."""
    x = [x for x, _ in points]
    y, low, high = np.array([(e.value, e.low, e.high) for _, e in points], float).reshape(-1, 3).T
    ends = np.array([y - low, high - y])
    name = escape_math(label) if label else "_none"  # matplotlib leaves out of the legend what begins so
    axes.errorbar(x, y, yerr=ends, label=name, linewidth=1.5, elinewidth=1, capsize=2, **look)


def _gain_limits(axes: Axes) -> tuple[float, float]:
    """The range of the gains without the intervals, which are endless where the reference delivers next to nothing."""
    values = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.get_lines()] + [np.zeros(1)])
    low, high = float(np.clip(values.min(), -100, 0)), float(np.clip(values.max(), 0, 150))
    margin = 0.08 * (high - low) + 1
    return low - margin, high + margin


def _title(axes: Axes, text: str) -> None:
    axes.set_title(escape_math(text))
