"""What a sweep came to: a row per combination and receiver, for the table, the files and the pictures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ran.report.crossing import Crossings, reference_receiver
from ran.report.summary import TARGET_BLERS
from ran.sim.results import PointResult, RunResults
from ran.sim.results_csv import CSV_COLUMNS, counter_columns, counter_names
from ran.stats import Estimate
from ran.studies.part import PartResult


@dataclass(frozen=True, eq=False)
class Row:
    """A receiver in one combination.

    facts: swept values by key. crossings, gains: by target BLER; gains in dB less than `reference` needs, paired drop
    by drop. points: ascending in SNR. refusal: why the receiver does not take the combination; empty otherwise.
    """

    part: str
    facts: Mapping[str, Any]
    receiver: str
    is_genie: bool
    is_reference: bool
    crossings: tuple[Estimate, ...]
    gains: tuple[Estimate, ...]
    points: tuple[PointResult, ...]
    is_complete: bool
    refusal: str = ""


def rows_of(parts: Sequence[PartResult]) -> list[Row]:
    """A row per combination and receiver, in the order of the request."""
    found: list[Row] = []
    for part in parts:
        if part.results is not None:
            found += _rows_of_run(part, part.results)
        nothing = tuple(Estimate.missing("refused") for _ in TARGET_BLERS)
        found += [
            Row(part.title, part.facts, receiver, False, False, nothing, nothing, (), True, reason)
            for receiver, reason in part.refused.items()
        ]
    return found


def _rows_of_run(part: PartResult, results: RunResults) -> list[Row]:
    crossings = Crossings(results)
    reference = reference_receiver(results)
    rows = []
    for block in results.experiment.receivers:
        points = tuple(sorted((p for p in results.points if p.receiver == block.title), key=lambda p: p.esn0_db))

        def gain(target: float, receiver: str = block.title) -> Estimate:
            if reference is None or receiver == reference:
                return Estimate.missing("compared with itself")
            return crossings.gain(receiver, reference, target)

        rows.append(
            Row(
                part.title,
                part.facts,
                block.title,
                block.title in results.genie_receivers,
                block.title == reference,
                tuple(crossings.crossing(block.title, target) for target in TARGET_BLERS),
                tuple(gain(target) for target in TARGET_BLERS),
                points,
                part.is_complete,
            )
        )
    return rows


def as_csv(rows: Sequence[Row]) -> str:
    """Every point of every combination, one row each: the swept keys, the columns of `results.csv`, and counters."""
    keys = list(dict.fromkeys(key for row in rows for key in row.facts))
    columns = [column for column in CSV_COLUMNS if column != "receiver"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    counters = counter_names(point for row in rows for point in row.points)
    writer.writerow([*keys, "receiver", *columns, *counter_columns(counters)])
    for row in rows:
        for point in row.points:
            values = [getattr(point, column) for column in columns]
            values += [point.counters.get(name, "") for name in counters]
            shown = [f"{value:.9g}" if isinstance(value, float) else value for value in values]
            writer.writerow([*(row.facts.get(key, "") for key in keys), row.receiver, *shown])
    return text.getvalue()


def as_json(name: str, rows: Sequence[Row]) -> str:
    """Crossings and gains of every combination and receiver, with their intervals; infinite ends are null."""
    values = [
        {
            "values": dict(row.facts),
            "receiver": row.receiver,
            "is_genie": row.is_genie,
            "is_complete": row.is_complete,
            "drops": sum(point.drops for point in row.points),
            "block_errors": sum(point.block_errors for point in row.points),
            "refusal": row.refusal,
            "at": [
                {"bler": target, "snr_db": crossing.plain(4), "gain_db": gain.plain(4), "reason": crossing.why_missing}
                for target, crossing, gain in zip(TARGET_BLERS, row.crossings, row.gains, strict=True)
            ],
        }
        for row in rows
    ]
    return json.dumps({"sweep": name, "rows": values}, indent=1) + "\n"
