"""`results.csv`: the points of a run as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ran.sim.files import write_text
from ran.sim.results import PointResult, RunResults

CSV_COLUMNS = (
    "receiver",
    "esn0_db",
    "drops",
    "slots",
    "blocks",
    "block_errors",
    "bler",
    "bler_low",
    "bler_high",
    "bit_errors",
    "bits",
    "throughput_mbps",
    "processor",
    "simulation_version",
)

#: More columns of runs with HARQ, before one `bler_after_N` per transmission.
HARQ_COLUMNS = ("transmissions", "throughput_fraction", "throughput_fraction_low", "throughput_fraction_high")


def counter_names(points: Iterable[PointResult]) -> list[str]:
    """Names of all that was counted at some of the points."""
    return sorted({name for point in points for name in point.counters_per_drop})


def counter_columns(names: Iterable[str]) -> list[str]:
    """Names of the columns of tables that have sums of counters."""
    return [f"count_{name}" for name in names]


def write_csv(results: RunResults, path: Path) -> None:
    """One row per point, with `CSV_COLUMNS`, and `HARQ_COLUMNS` where there is HARQ; equal results, equal bytes.

    With a link budget tx_power_dbm is in the place of esn0_db.
    With two codewords columns `bler_codeword_1` and `bler_codeword_2` follow. The last are the sums of what receivers
    count, `count_NAME`, empty where a receiver does not count it.
    """
    count = results.experiment.max_transmissions if results.experiment.harq else 0
    columns = (*CSV_COLUMNS, *(HARQ_COLUMNS if count else ()))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    codewords = max((len(point.bler_of_codewords) for point in results.points), default=0)
    after = [f"bler_after_{i + 1}" for i in range(count)]
    axis = "esn0_db" if results.experiment.link_budget is None else "tx_power_dbm"
    shown = [axis if column == "esn0_db" else column for column in columns]
    counters = counter_names(results.points)
    of_codewords = [f"bler_codeword_{i + 1}" for i in range(codewords)]
    writer.writerow([*shown, *after, *of_codewords, *counter_columns(counters)])
    for point in results.points:
        values: list[Any] = [getattr(point, column) for column in columns]
        values += [*point.bler_after[:count], *(point.bler_of_codewords or [""] * codewords)]
        values += [point.counters.get(name, "") for name in counters]
        writer.writerow([f"{v:.9g}" if isinstance(v, float) else v for v in values])
    write_text(path, text.getvalue())
