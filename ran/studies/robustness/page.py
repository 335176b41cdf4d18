"""The matrix as a table of values and as one page that opens anywhere: gains per condition, drawn and in numbers."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ran.counted import counted
from ran.report.figures import Picture
from ran.report.palette import swatch
from ran.report.study_paper import Table, saved_tables
from ran.report.template import page_template
from ran.sim.files import write_text
from ran.stats import Notation, percent
from ran.studies.robustness.conditions import TARGET_BLER, Condition
from ran.studies.robustness.fixed_points import lost_at
from ran.studies.robustness.outcome import ALLOWED_DB, BASELINE, FLOOR, Outcome
from ran.studies.robustness.picture import gains_figure

CSV, JSON, PAGE = "robustness.csv", "robustness.json", "robustness.html"
_DB, _GAIN = Notation(), Notation(signed=True)


#: By condition and receiver, what monitoring finds there, in words; see `ran.studies.monitor.condition`.
Alarms = Mapping[tuple[str, str], str]


def write_results(outcomes: Sequence[Outcome], out: Path, alarms: Alarms | None = None) -> Path:
    """Write robustness.csv, .json and .html into the folder; returns the path of the page."""
    found = alarms or {}
    write_text(out / CSV, as_csv(outcomes, found))
    write_text(out / JSON, json.dumps([as_values(outcome, found) for outcome in outcomes], indent=1) + "\n")
    write_text(out / PAGE, _as_page(outcomes, found))
    return out / PAGE


def by_condition(outcomes: Sequence[Outcome]) -> list[tuple[Condition, dict[str, Outcome]]]:
    """Outcomes of each condition by receiver, in the order in which both first appear."""
    lines: dict[str, dict[str, Outcome]] = {}
    for outcome in outcomes:
        lines.setdefault(outcome.condition.name, {})[outcome.receiver] = outcome
    return [(next(iter(line.values())).condition, line) for line in lines.values()]


def competitors(outcomes: Sequence[Outcome]) -> list[str]:
    """The receivers that are tried, without those that they are compared with."""
    names = dict.fromkeys(outcome.receiver for outcome in outcomes)
    return [name for name in names if name not in (FLOOR, BASELINE)]


def cell(outcome: Outcome) -> str:
    """Gain over the baseline with its interval, or in words why there is none."""
    if outcome.verdict == "refused":
        return "refused"
    if outcome.condition.has_fixed_points:
        return f"lost {lost_at(outcome.points, outcome.condition.unit)}"
    if outcome.gain.is_known:
        return str(outcome.gain)
    return f"at {outcome.crossing} dB" if outcome.crossing.is_known else f"not at {percent(TARGET_BLER)}"


def summaries(outcomes: Sequence[Outcome]) -> list[str]:
    """A line per receiver that is tried: verdicts, where it is worse, mean gain over the baseline."""
    lines = []
    for receiver in competitors(outcomes):
        own = [outcome for outcome in outcomes if outcome.receiver == receiver]
        counts = Counter(outcome.verdict for outcome in own)
        worse = [outcome.condition.title for outcome in own if outcome.verdict == "worse"]
        parts = [f"nowhere significantly worse than {FLOOR} (by more than {ALLOWED_DB:g} dB)"]
        if worse:
            parts = [f"significantly worse than {FLOOR} (by more than {ALLOWED_DB:g} dB) on {', '.join(worse)}"]
        parts += [f"{counts[v]} {v}" for v in ("not worse", "undecided", "refused") if counts[v]]
        gains = [outcome.gain.value for outcome in own if outcome.gain.value is not None]
        if len(gains) == 1:
            parts.append(f"gain over {BASELINE} {_GAIN.number(gains[0])} dB")
        elif gains:
            parts.append(
                f"gain over {BASELINE} {_GAIN.number(sum(gains) / len(gains))} dB on average of {len(gains)}, "
                f"least {_GAIN.number(min(gains))}, most {_GAIN.number(max(gains))}"
            )
        lines.append(f"{receiver}, {counted(len(own), 'condition')}: " + "; ".join(parts))
    return lines


def as_values(outcome: Outcome, alarms: Alarms) -> dict[str, Any]:
    """An outcome as plain values; infinite ends of intervals are null."""
    condition = outcome.condition
    return {
        "condition": condition.name,
        "group": condition.group,
        "title": condition.title,
        "receiver": outcome.receiver,
        "verdict": outcome.verdict,
        "esn0_db": outcome.crossing.plain(4),
        f"gain_over_{BASELINE}_db": outcome.gain.plain(4),
        f"gain_over_{FLOOR}_db": outcome.gain_over_floor.plain(4),
        "reason": outcome.reason,
        "monitor": alarms.get((condition.name, outcome.receiver)),
        "points": [
            {"esn0_db": p.esn0_db, "drops": p.drops, "blocks": p.blocks, "block_errors": p.block_errors}
            for p in outcome.points
        ],
    }


def table(outcomes: Sequence[Outcome]) -> Table:
    """A line per condition: the baseline's SNR, and of every receiver the gain over it and the verdict."""
    names, lines = competitors(outcomes), []
    for condition, line in by_condition(outcomes):
        own = [_of_paper(line.get(name)) for name in names]
        lines.append([condition.title, str(line[BASELINE].crossing) if BASELINE in line else "—", *own])
    columns = ["condition", f"{BASELINE}, Es/N0 [dB]", *(f"{name}, gain [dB]" for name in names)]
    note = f"gain over {BASELINE} at {percent(TARGET_BLER)} BLER with 95 % intervals; verdict against {FLOOR}"
    return Table(columns, lines, note=note)


def _of_paper(outcome: Outcome | None) -> str:
    return "—" if outcome is None else f"{cell(outcome)}, {outcome.verdict}"


def as_csv(outcomes: Sequence[Outcome], alarms: Alarms) -> str:
    """A line per condition and receiver."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    estimates = ("esn0_db", f"gain_over_{BASELINE}_db", f"gain_over_{FLOOR}_db")
    ends = [f"{name}{end}" for name in estimates for end in ("", "_low", "_high")]
    names = ("condition", "group", "title", "receiver", "verdict")
    writer.writerow([*names, *ends, "drops", "block_errors", "reason", "monitor"])
    for outcome in outcomes:
        values = as_values(outcome, alarms)
        numbers = [number for name in estimates for number in values[name]]
        errors = sum(point.block_errors for point in outcome.points)
        facts = [values[key] for key in names]
        writer.writerow([*facts, *numbers, outcome.drops, errors, outcome.reason, values["monitor"] or ""])
    return text.getvalue()


def _as_page(outcomes: Sequence[Outcome], alarms: Alarms) -> str:
    receivers = competitors(outcomes)
    figure = gains_figure(by_condition(outcomes), [FLOOR, *receivers])
    return page_template("ran.studies.robustness").render(
        receivers=receivers,
        baseline=BASELINE,
        floor=FLOOR,
        allowed=f"{ALLOWED_DB:g}",
        target=percent(TARGET_BLER),
        summaries=summaries(outcomes),
        rows=[_row(condition, line, receivers, alarms) for condition, line in by_condition(outcomes)],
        figure=Picture.of(figure, "robustness", "Gain over the baseline per condition"),
        files=saved_tables(table(outcomes), as_csv(outcomes, alarms)),
        swatches=[swatch(place) for place in range(len(receivers))],
    )


def _row(condition: Condition, line: dict[str, Outcome], receivers: Sequence[str], alarms: Alarms) -> dict[str, Any]:
    """What the page shows of a condition."""
    references = [(str(line[name].crossing) if name in line else "—") for name in (FLOOR, BASELINE)]
    return {
        "name": condition.name,
        "title": condition.title,
        "references": references,
        "cells": [
            _page_cell(line[receiver], alarms.get((condition.name, receiver), "")) if receiver in line else None
            for receiver in receivers
        ],
        "floor_gain": str(line[FLOOR].gain) if FLOOR in line else "—",
        "outcomes": [
            {
                "receiver": outcome.receiver,
                "crossing": str(outcome.crossing),
                "over_floor": str(outcome.gain_over_floor),
                "reason": outcome.reason,
                "points": ", ".join(
                    f"{p.esn0_db:g} dB {p.block_errors}/{p.blocks}".replace("-", "−") for p in outcome.points
                ),
            }
            for outcome in line.values()
        ],
    }


def _page_cell(outcome: Outcome, alarms: str) -> dict[str, str]:
    value, interval = cell(outcome), ""
    if outcome.gain.is_known:
        value, interval = _DB.value(outcome.gain), _DB.interval(outcome.gain)
    elif outcome.crossing.is_known and outcome.verdict != "refused":
        value, interval = f"at {_DB.value(outcome.crossing)}", f"{_DB.interval(outcome.crossing)} dB"
    return {
        "value": value,
        "interval": interval,
        "verdict": outcome.verdict,
        "over_floor": str(outcome.gain_over_floor),
        "reason": outcome.reason,
        "alarms": alarms,
    }
