"""The time line of monitoring as a picture: a row per detector over the slots, with its threshold and its alarms."""

from __future__ import annotations

import numpy as np

from ran.report.figures import as_file, new_figure, style
from ran.report.palette import COLORS_LIGHT
from ran.studies.monitor.run import Monitoring
from ran.studies.monitor.windows import DETECTORS, WINDOW

_ALARM = "#d9822b"


def timeline_png(found: Monitoring) -> bytes:
    """PNG of the blocks that were lost, and below it of every detector."""
    with style():
        figure = new_figure(11, 1.6 * (len(DETECTORS) + 1))
        rows = figure.subplots(len(DETECTORS) + 1, 1, sharex=True)
        lost = np.array([not record.arrived for record in found.records], float)
        ends = np.array([window.slot for window in found.windows])
        share = np.convolve(lost, np.ones(WINDOW) / WINDOW, "valid")
        rows[0].plot(ends, share, color=COLORS_LIGHT[0])
        fell = np.array([record.fell_back for record in found.records], float)
        if fell.any():
            rows[0].plot(ends, np.convolve(fell, np.ones(WINDOW) / WINDOW, "valid"), color=COLORS_LIGHT[1])
        rows[0].set(ylim=(-0.03, 1.03), title=f"slots lost{', and fallbacks' if fell.any() else ''}, of {WINDOW}")
        for axes, name in zip(rows[1:], DETECTORS, strict=True):
            score = np.array([window.scores[name] for window in found.windows])
            alarm = np.array([name in window.alarms for window in found.windows])
            threshold = found.reference.thresholds[name]
            axes.plot(ends, score, color=COLORS_LIGHT[0])
            axes.axhline(threshold, color="#7b8494", linestyle="--", linewidth=1)
            axes.scatter(ends[alarm], score[alarm], s=12, color=_ALARM, zorder=3)
            axes.set(title=f"{name}: {DETECTORS[name]}")
        for axes in rows:
            axes.grid(True)
            axes.title.set(fontsize=9, ha="left", x=0.0)
        rows[-1].set(xlabel="slot")
        return as_file(figure, "png")
