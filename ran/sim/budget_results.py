"""Results of a link budget: block error rates over received Es/N0 and over distance, in bins."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ran.sim.files import write_text
from ran.sim.results import PointResult, RunResults
from ran.stats import Estimate, csv_cells, wilson

BUDGET_CSV = "link_budget.csv"
#: Width of the bins of received Es/N0, dB.
ESN0_STEP_DB = 2.0
#: Distances are divided into this many bins at most.
_MOST_DISTANCES = 12
_ESN0, _DISTANCE, _CONDITION, _ERRORS = 0, 2, 3, 4


@dataclass(frozen=True)
class Bin:
    """Users of a receiver with a quantity from `low` (included) to `high` (excluded).

    drops: independent drops that have such a user; blocks, block_errors: of these users. los_share: of the users whose
    condition is known. error_rate: with Wilson's interval, in which a drop counts once however many of its users are in
    the bin.
    """

    low: float
    high: float
    drops: int
    blocks: int
    block_errors: int
    error_rate: Estimate
    los_share: float

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2


@dataclass(frozen=True)
class BudgetCurve:
    """Bins of one receiver, ascending. tx_power_dbm: of one point; None where the points of all powers are together."""

    receiver: str
    tx_power_dbm: float | None
    bins: tuple[Bin, ...]


def over_received_esn0(results: RunResults) -> tuple[BudgetCurve, ...]:
    """Over the received Es/N0, a curve per receiver: the Es/N0 tells what the power does, so all powers count."""
    receivers = dict.fromkeys(point.receiver for point in results.points)
    return tuple(
        BudgetCurve(name, None, _bins([p for p in results.points if p.receiver == name], _ESN0, ESN0_STEP_DB))
        for name in receivers
    )


def over_distance(results: RunResults) -> tuple[BudgetCurve, ...]:
    """Over the horizontal distance of the user, a curve per receiver and transmit power; none where it is unknown."""
    seen = [p.received[..., _DISTANCE].max() for p in results.points if p.received.size]
    if not seen or not np.isfinite(max(seen)):
        return ()
    step = _round_step(float(max(seen)) / _MOST_DISTANCES)
    return tuple(BudgetCurve(p.receiver, p.esn0_db, _bins([p], _DISTANCE, step)) for p in results.points)


def received_range_db(results: RunResults) -> dict[float, tuple[float, float, float]]:
    """5 %, 50 % and 95 % quantile of the received Es/N0 by transmit power in dBm."""
    found: dict[float, tuple[float, float, float]] = {}
    for power in sorted({p.esn0_db for p in results.points}):
        # receivers met the same drops: the one that met most of them
        point = max((p for p in results.points if p.esn0_db == power), key=lambda p: p.drops)
        low, middle, high = np.quantile(point.received[..., _ESN0], [0.05, 0.5, 0.95])
        found[power] = float(low), float(middle), float(high)
    return found


def _bins(points: Sequence[PointResult], column: int, step: float) -> tuple[Bin, ...]:
    per_user, numbers, users, first = [], [], [], 0
    for point in points:
        drops, count, _ = point.received.shape
        per_user.append(np.full(drops * count, point.blocks // (point.drops * count)))
        users.append(point.received.reshape(drops * count, -1).astype(np.float64))
        numbers.append(np.repeat(np.arange(drops) + first, count))
        first += drops
    blocks, values, drop = np.concatenate(per_user), np.concatenate(users), np.concatenate(numbers)
    place = np.floor(values[:, column] / step).astype(np.int64)
    found = []
    for number in np.unique(place):
        inside = place == number
        errors, total = int(values[inside, _ERRORS].sum()), int(blocks[inside].sum())
        independent = len(np.unique(drop[inside]))
        known = values[inside, _CONDITION][values[inside, _CONDITION] >= 0]
        found.append(
            Bin(
                low=float(number * step),
                high=float((number + 1) * step),
                drops=independent,
                blocks=total,
                block_errors=errors,
                error_rate=wilson(errors / total, independent),
                los_share=float((known == 0).mean()) if len(known) else float("nan"),
            )
        )
    return tuple(found)


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least this."""
    decade = 10 ** math.floor(math.log10(least))
    return next(float(decade * factor) for factor in (1, 2, 5, 10) if decade * factor >= least)


def write_budget_csv(results: RunResults, path: Path) -> None:
    """One row per bin: over received_esn0_db of all transmit powers together, and over distance_2d_m power by power."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    counts = ("low", "high", "drops", "blocks", "block_errors")
    header = ["receiver", "tx_power_dbm", "quantity", *counts, "bler", "bler_low", "bler_high", "los_share"]
    writer.writerow(header)
    for quantity, curves in (
        ("received_esn0_db", over_received_esn0(results)),
        ("distance_2d_m", over_distance(results)),
    ):
        for curve in curves:
            power = "all" if curve.tx_power_dbm is None else f"{curve.tx_power_dbm:.9g}"
            for own in curve.bins:
                values = [getattr(own, column) for column in counts]
                shown = [f"{v:.9g}" if isinstance(v, float) else v for v in values]
                rate = csv_cells(own.error_rate, ".9g")
                writer.writerow([curve.receiver, power, quantity, *shown, *rate, f"{own.los_share:.9g}"])
    write_text(path, text.getvalue())
