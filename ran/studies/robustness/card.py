"""The matrix of one trained model as plain values for its model card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ran.studies.robustness.outcome import ALLOWED_DB, BASELINE, FLOOR, Outcome
from ran.studies.robustness.page import by_condition, cell, summaries


def matrix(outcomes: Sequence[Outcome], receiver: str, command: str) -> dict[str, Any]:
    """What the card says of a receiver: a row per condition, and where its limits are.

    command: what reproduces it.
    """
    rows, limits = [], []
    for condition, line in by_condition(outcomes):
        own = line[receiver]
        rows.append(
            {
                "condition": condition.title,
                FLOOR: _crossing(line, FLOOR),
                BASELINE: _crossing(line, BASELINE),
                "own": str(own.crossing),
                f"gain over {BASELINE}, dB": cell(own),
                f"gain over {FLOOR}, dB": str(own.gain_over_floor),
                "verdict": own.verdict,
                "slots": own.drops,
            }
        )
        if own.verdict == "refused":
            limits.append(f"{condition.title}: refused, {own.reason}")
        elif own.verdict == "worse":
            by = "" if condition.has_fixed_points else f" by more than {ALLOWED_DB:g} dB"
            limits.append(f"{condition.title}: worse than {FLOOR}{by}")
        elif own.gain.is_below(0):
            limits.append(f"{condition.title}: worse than {BASELINE}, by {-(own.gain.value or 0):.2f} dB")
        elif not own.crossing.is_known and not condition.has_fixed_points:
            limits.append(f"{condition.title}: {own.crossing.reason}")
    of_receiver = [o for o in outcomes if o.receiver == receiver]
    return {"command": command, "summary": summaries(of_receiver), "rows": rows, "limits": limits}


def _crossing(line: dict[str, Outcome], receiver: str) -> str:
    return str(line[receiver].crossing)
