"""Results of monitoring as a table of values, as JSON, and as one page that opens anywhere."""

from __future__ import annotations

import csv
import io
import json
import math
from itertools import groupby
from pathlib import Path
from typing import Any

from ran.counted import counted
from ran.report.figures import Picture
from ran.report.template import page_template
from ran.sim.files import write_text
from ran.stats import percent
from ran.studies.monitor.picture import timeline_figure
from ran.studies.monitor.run import Monitoring
from ran.studies.monitor.windows import DETECTORS, WINDOW
from receivers.monitoring.inputs import STATISTICS

CSV, JSON, PAGE = "monitor.csv", "monitor.json", "monitor.html"
_TIMELINE = "Time line: slots lost and the score of every detector, with thresholds and alarms"
#: Stretches of alarms that the page lists.
_MOST_LISTED = 100


def write_results(found: Monitoring, out: Path) -> Path:
    """Write monitor.csv, .json and .html into the folder; returns the path of the page."""
    write_text(out / CSV, _as_csv(found))
    write_text(out / JSON, json.dumps(_as_values(found), indent=1) + "\n")
    page = page_template("ran.studies.monitor").render(
        source=found.source,
        receiver=found.receiver,
        weights=found.reference.weights,
        summaries=summaries(found),
        picture=Picture.of(timeline_figure(found), "timeline", _TIMELINE),
        stretches=stretches(found)[:_MOST_LISTED],
        more=max(0, len(stretches(found)) - _MOST_LISTED),
        detectors=DETECTORS,
        thresholds={name: f"{value:.3g}" for name, value in found.reference.thresholds.items()},
        problems=found.problems,
        window=WINDOW,
        unit="slot",
        reference=found.reference,
        told="No label is used: CRC and parity tell what arrived, and what arrived is encoded again.",
    )
    write_text(out / PAGE, page)
    return out / PAGE


def summaries(found: Monitoring) -> list[str]:
    """What was found, a line each."""
    records = found.records
    lost = sum(not record.arrived for record in records)
    compared = [record for record in records if record.compared]
    missed = sum(r.reference_arrived and not r.arrived for r in compared)
    gained = sum(r.arrived and not r.reference_arrived for r in compared)
    lines = [
        f"{found.receiver}: {lost} of {len(records)} slots lost",
        f"lmmse was run beside it in {counted(len(compared), 'slot')}: received {missed} that it lost, lost {gained} "
        "that it received",
    ]
    fell_back = sum(record.fell_back for record in records)
    if fell_back:
        lines.append(f"fell back to its last member in {percent(fell_back / len(records))} of the layers")
    for name, count in found.alarms.items():
        if count:
            lines.append(f"alarm of {name} in {count} of {len(found.windows)} windows")
    if not any(found.alarms.values()):
        lines.append("no alarm")
    return lines


def stretches(found: Monitoring) -> list[dict[str, Any]]:
    """Runs of neighbouring windows with the same alarms."""
    listed = []
    for alarms, windows in groupby(found.windows, lambda window: window.alarms):
        run = list(windows)
        if alarms:
            listed.append(
                {
                    "first": found.names[run[0].slot],
                    "last": found.names[run[-1].slot],
                    "windows": len(run),
                    "alarms": ", ".join(alarms),
                    "unlike": "; ".join(next((w.unlike for w in run if w.unlike), ())),
                }
            )
    return listed


def _as_csv(found: Monitoring) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    facts = ("slot", "name", "arrived", "compared", "reference_arrived", "excess", "fell_back")
    writer.writerow([*facts, *(name.replace(" ", "_") for name in STATISTICS), *DETECTORS, "alarms"])
    windows = {window.slot: window for window in found.windows}
    for number, (name, record) in enumerate(zip(found.names, found.records, strict=True)):
        window = windows.get(number)
        compared = record.reference_arrived if record.compared else ""
        row = [number, name, record.arrived, record.compared, compared, _plain(record.excess), record.fell_back]
        scores = [""] * len(DETECTORS) if window is None else [_plain(window.scores[d]) for d in DETECTORS]
        alarms = "" if window is None else " ".join(window.alarms)
        writer.writerow([*row, *(_plain(value) for value in record.statistics), *scores, alarms])
    return text.getvalue()


def _plain(value: float) -> float | str:
    return "" if math.isnan(value) else float(f"{value:.6g}")


def _as_values(found: Monitoring) -> dict[str, Any]:
    return {
        "source": found.source,
        "receiver": found.receiver,
        "weights": found.reference.weights,
        "window": WINDOW,
        "thresholds": found.reference.thresholds,
        "slots": len(found.records),
        "slots_lost": sum(not record.arrived for record in found.records),
        "windows_with_alarm": found.alarms,
        "summary": summaries(found),
        "alarms": stretches(found),
        "problems": list(found.problems),
    }
