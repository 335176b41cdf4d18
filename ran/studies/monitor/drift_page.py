"""Results of monitoring beam and CSI models: values of every report, alarms in JSON, and one page."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ran.errors import InputError
from ran.report.figures import Picture, escape_math, new_figure, style
from ran.report.palette import LEVEL, MARK, color_of
from ran.report.template import page_template
from ran.sim.files import write_text
from ran.studies.monitor.drift import DRIFT_DETECTORS, DriftReference
from ran.studies.monitor.drift_sources import Reports
from ran.studies.monitor.page import CSV, JSON, PAGE
from ran.studies.monitor.windows import WINDOW, Window

_TIMELINE = "Time line: the score of every detector over the reports, with thresholds and alarms"
_MOST_LISTED = 100


@dataclass(frozen=True)
class Drift:
    """What monitoring found in reports. windows: those that end at each report from the first whole one on."""

    reference: DriftReference
    reports: Reports
    windows: tuple[Window, ...]

    @property
    def alarms(self) -> dict[str, int]:
        """Windows with an alarm, by detector."""
        return {name: sum(name in w.alarms for w in self.windows) for name in DRIFT_DETECTORS}


def drift_in(reports: Reports, reference: DriftReference) -> Drift:
    """The time line of reports. `InputError` for fewer than a window has, and for those of another setting."""
    if reports.setting != reference.setting:
        raise InputError(
            f"{reports.source}: got reports of {_told(reports.setting)}; allowed: {_told(reference.setting)}, that of "
            f"the reference of {reference.weights}"
        )
    if len(reports.values) < WINDOW:
        raise InputError(f"{reports.source}: got {len(reports.values)} reports; allowed: at least {WINDOW}, a window")
    return Drift(reference, reports, tuple(reference.timeline(reports.values)))


def _told(setting: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in setting.items())


def summaries(found: Drift) -> list[str]:
    """What was found, a line each."""
    means = found.reports.values.mean(0)
    lines = [
        f"{found.reference.weights}: {len(found.reports.values)} reports",
        *(
            f"{name}: {value:.3g} in the mean, {trained:.3g} in the training"
            for name, value, trained in zip(found.reports.names, means, found.reference.mean, strict=True)
        ),
    ]
    for name, count in found.alarms.items():
        if count:
            lines.append(f"alarm of {name} in {count} of {len(found.windows)} windows")
    return lines if any(found.alarms.values()) else [*lines, "no alarm"]


def write_drift(found: Drift, out: Path) -> Path:
    """Write monitor.csv, .json and .html into the folder; returns the path of the page."""
    listed = _stretches(found)
    write_text(out / CSV, _as_csv(found))
    values = {
        "source": found.reports.source,
        "weights": found.reference.weights,
        "window": WINDOW,
        "thresholds": found.reference.thresholds,
        "reports": len(found.reports.values),
        "windows_with_alarm": found.alarms,
        "summary": summaries(found),
        "alarms": listed,
    }
    write_text(out / JSON, json.dumps(values, indent=1) + "\n")
    page = page_template("ran.studies.monitor").render(
        source=found.reports.source,
        receiver=found.reference.weights,
        weights=found.reference.weights,
        summaries=summaries(found),
        picture=Picture.of(_figure(found), "timeline", _TIMELINE),
        stretches=listed[:_MOST_LISTED],
        more=max(0, len(listed) - _MOST_LISTED),
        detectors=DRIFT_DETECTORS,
        thresholds={name: f"{value:.3g}" for name, value in found.reference.thresholds.items()},
        problems=(),
        window=WINDOW,
        unit="report",
        reference=found.reference,
        told="No label is used: users know what their reports leave of the precoder that they wanted, base stations "
        "the reported power of the beam that serves.",
    )
    write_text(out / PAGE, page)
    return out / PAGE


def _stretches(found: Drift) -> list[dict[str, Any]]:
    """Runs of neighbouring windows with the same alarms."""
    titles, listed = found.reports.titles, []
    for alarms, windows in groupby(found.windows, lambda window: window.alarms):
        run = list(windows)
        if alarms:
            first, last = titles[run[0].slot], titles[run[-1].slot]
            listed.append(
                {"first": first, "last": last, "windows": len(run), "alarms": ", ".join(alarms), "unlike": ""}
            )
    return listed


def _as_csv(found: Drift) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["report", "name", *(n.replace(" ", "_") for n in found.reports.names), *DRIFT_DETECTORS, "alarms"])
    windows = {window.slot: window for window in found.windows}
    for number, (title, row) in enumerate(zip(found.reports.titles, found.reports.values, strict=True)):
        window = windows.get(number)
        scores = [""] * len(DRIFT_DETECTORS) if window is None else [f"{window.scores[d]:.6g}" for d in DRIFT_DETECTORS]
        alarms = "" if window is None else " ".join(window.alarms)
        writer.writerow([number, title, *(f"{value:.6g}" for value in row), *scores, alarms])
    return text.getvalue()


def _figure(found: Drift) -> Figure:
    with style():
        figure = new_figure(11, 1.8 * len(DRIFT_DETECTORS))
        rows = figure.subplots(len(DRIFT_DETECTORS), 1, sharex=True)
        ends = np.array([window.slot for window in found.windows])
        for axes, name in zip(rows, DRIFT_DETECTORS, strict=True):
            score = np.array([window.scores[name] for window in found.windows])
            alarm = np.array([name in window.alarms for window in found.windows])
            axes.plot(ends, score, color=color_of(0))
            axes.axhline(found.reference.thresholds[name], color=LEVEL, linestyle="--", linewidth=1)
            axes.scatter(ends[alarm], score[alarm], s=12, color=MARK, zorder=3)
            axes.set(title=escape_math(f"{name}: {DRIFT_DETECTORS[name]}"))
            axes.grid(True)
            axes.title.set_fontsize(9)
        rows[-1].set(xlabel="report")
        return figure
