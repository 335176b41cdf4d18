"""The time line of monitoring as a picture: a row per detector over the slots, with its threshold and its alarms."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ran.report.figures import escape_math, new_figure, style
from ran.report.palette import LEVEL, MARK, color_of
from ran.studies.monitor.run import Monitoring
from ran.studies.monitor.windows import DETECTORS, WINDOW


def timeline_figure(found: Monitoring) -> Figure:
    """The blocks that were lost, and below them every detector."""
    with style():
        figure = new_figure(11, 1.6 * (len(DETECTORS) + 1))
        rows = figure.subplots(len(DETECTORS) + 1, 1, sharex=True)
        lost = np.array([not record.arrived for record in found.records], float)
        ends = np.array([window.slot for window in found.windows])
        share = np.convolve(lost, np.ones(WINDOW) / WINDOW, "valid")
        rows[0].plot(ends, share, color=color_of(0))
        fell = np.array([record.fell_back for record in found.records], float)
        if fell.any():
            rows[0].plot(ends, np.convolve(fell, np.ones(WINDOW) / WINDOW, "valid"), color=color_of(1))
        rows[0].set(ylim=(-0.03, 1.03), title=f"slots lost{', and fallbacks' if fell.any() else ''}, of {WINDOW}")
        for axes, name in zip(rows[1:], DETECTORS, strict=True):
            score = np.array([window.scores[name] for window in found.windows])
            alarm = np.array([name in window.alarms for window in found.windows])
            threshold = found.reference.thresholds[name]
            axes.plot(ends, score, color=color_of(0))
            axes.axhline(threshold, color=LEVEL, linestyle="--", linewidth=1)
            axes.scatter(ends[alarm], score[alarm], s=12, color=MARK, zorder=3)
            axes.set(title=escape_math(f"{name}: {DETECTORS[name]}"))
        for axes in rows:
            axes.grid(True)
            axes.title.set_fontsize(9)
        rows[-1].set(xlabel="slot")
        rows[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        return figure
