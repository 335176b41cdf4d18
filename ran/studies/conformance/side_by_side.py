"""Outcomes of several receivers on the same rows, put together."""

from __future__ import annotations

from collections.abc import Sequence

from ran.studies.conformance.outcome import RowOutcome


def by_row(outcomes: Sequence[RowOutcome]) -> list[list[RowOutcome]]:
    """Outcomes row by row, in the order in which rows and receivers first appear."""
    lines: dict[str, list[RowOutcome]] = {}
    for outcome in outcomes:
        lines.setdefault(outcome.row.name, []).append(outcome)
    return list(lines.values())


def common_margins(outcomes: Sequence[RowOutcome]) -> tuple[int, dict[str, float]]:
    """On how many rows all receivers have a margin, and each receiver's mean margin in dB over those."""
    receivers = list(dict.fromkeys(outcome.receiver for outcome in outcomes))
    shared = [line for line in by_row(outcomes) if len([o for o in line if o.margin_db is not None]) == len(receivers)]
    sums = dict.fromkeys(receivers, 0.0)
    for line in shared:
        for outcome in line:
            sums[outcome.receiver] += outcome.margin_db or 0.0
    return len(shared), {receiver: total / len(shared) for receiver, total in sums.items()} if shared else {}
