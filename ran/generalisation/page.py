"""The matrix as a table of values and as one page that opens anywhere: gains per condition, drawn and in numbers."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ran import __version__
from ran.generalisation.conditions import TARGET_BLER, Condition
from ran.generalisation.outcome import ALLOWED_DB, BASELINE, FLOOR, Outcome
from ran.generalisation.picture import gains_svg
from ran.report.crossing import Estimate, percent
from ran.report.curves import COLORS_DARK, COLORS_LIGHT
from ran.report.template import page_part, page_template
from ran.sim.files import write_text

CSV, JSON, PAGE = "generalisation.csv", "generalisation.json", "generalisation.html"


def write_results(outcomes: Sequence[Outcome], out: Path) -> Path:
    """Write generalisation.csv, .json and .html into the folder; returns the path of the page."""
    write_text(out / CSV, _as_csv(outcomes))
    write_text(out / JSON, json.dumps([as_values(outcome) for outcome in outcomes], indent=1) + "\n")
    write_text(out / PAGE, _as_page(outcomes))
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
    if outcome.gain.value_db is not None:
        return str(outcome.gain)
    return f"not at {percent(TARGET_BLER)}" if outcome.crossing.value_db is None else f"at {outcome.crossing} dB"


def summaries(outcomes: Sequence[Outcome]) -> list[str]:
    """A line per receiver that is tried: verdicts, where it is worse, mean gain over the baseline."""
    lines = []
    for receiver in competitors(outcomes):
        own = [outcome for outcome in outcomes if outcome.receiver == receiver]
        counts = Counter(outcome.verdict for outcome in own)
        worse = [outcome.condition.title for outcome in own if outcome.verdict == "worse"]
        parts = [f"never surely worse than {FLOOR} by more than {ALLOWED_DB:g} dB"]
        if worse:
            parts = [f"worse than {FLOOR} by more than {ALLOWED_DB:g} dB on {', '.join(worse)}"]
        parts += [f"{counts[v]} {v}" for v in ("not worse", "undecided", "refused") if counts[v]]
        gains = [outcome.gain.value_db for outcome in own if outcome.gain.value_db is not None]
        if gains:
            parts.append(
                f"gain over {BASELINE} {_signed(sum(gains) / len(gains))} dB on average of {len(gains)}, "
                f"least {_signed(min(gains))}, most {_signed(max(gains))}"
            )
        lines.append(f"{receiver}, {len(own)} conditions: " + "; ".join(parts))
    return lines


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def as_values(outcome: Outcome) -> dict[str, Any]:
    """An outcome as plain values; infinite ends of intervals are null."""
    condition = outcome.condition
    return {
        "condition": condition.name,
        "group": condition.group,
        "title": condition.title,
        "receiver": outcome.receiver,
        "verdict": outcome.verdict,
        "esn0_db": _estimate(outcome.crossing),
        f"gain_over_{BASELINE}_db": _estimate(outcome.gain),
        f"gain_over_{FLOOR}_db": _estimate(outcome.gain_over_floor),
        "reason": outcome.reason,
        "points": [
            {"esn0_db": p.esn0_db, "drops": p.drops, "blocks": p.blocks, "block_errors": p.block_errors}
            for p in outcome.points
        ],
    }


def _estimate(estimate: Estimate) -> list[float | None]:
    """Value and the ends of its interval."""
    values = asdict(estimate)
    numbers = [values[key] for key in ("value_db", "low_db", "high_db")]
    return [None if n is None or abs(n) == float("inf") else round(n, 4) for n in numbers]


def _as_csv(outcomes: Sequence[Outcome]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    estimates = ("esn0_db", f"gain_over_{BASELINE}_db", f"gain_over_{FLOOR}_db")
    ends = [f"{name}{end}" for name in estimates for end in ("", "_low", "_high")]
    writer.writerow(["condition", "group", "title", "receiver", "verdict", *ends, "drops", "block_errors", "reason"])
    for outcome in outcomes:
        values = as_values(outcome)
        numbers = [number for name in estimates for number in values[name]]
        errors = sum(point.block_errors for point in outcome.points)
        facts = [values[key] for key in ("condition", "group", "title", "receiver", "verdict")]
        writer.writerow([*facts, *numbers, outcome.drops, errors, outcome.reason])
    return text.getvalue()


def _as_page(outcomes: Sequence[Outcome]) -> str:
    receivers = competitors(outcomes)
    return page_template("ran.generalisation").render(
        receivers=receivers,
        baseline=BASELINE,
        floor=FLOOR,
        allowed=f"{ALLOWED_DB:g}",
        target=percent(TARGET_BLER),
        summaries=summaries(outcomes),
        rows=[_row(condition, line, receivers) for condition, line in by_condition(outcomes)],
        figure=Markup(gains_svg(by_condition(outcomes), [FLOOR, *receivers])),
        colors=list(zip(COLORS_LIGHT, COLORS_DARK, strict=True)),
        css=page_part("page.css"),
        version=__version__,
    )


def _row(condition: Condition, line: dict[str, Outcome], receivers: Sequence[str]) -> dict[str, Any]:
    """What the page shows of a condition."""
    references = [(str(line[name].crossing) if name in line else "—") for name in (FLOOR, BASELINE)]
    return {
        "name": condition.name,
        "title": condition.title,
        "references": references,
        "cells": [_page_cell(line[receiver]) if receiver in line else None for receiver in receivers],
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


def _page_cell(outcome: Outcome) -> dict[str, str]:
    value, _, interval = cell(outcome).partition(" [")
    return {
        "value": value,
        "interval": f"[{interval}" if interval else "",
        "verdict": outcome.verdict,
        "over_floor": str(outcome.gain_over_floor),
        "reason": outcome.reason,
    }
