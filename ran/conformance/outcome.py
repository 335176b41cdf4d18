"""What a row came to: its verdict, and how far the receiver is from the requirement."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ran.conformance.requirements import THRESHOLD, Requirement, Variant
from ran.sim.results import PointResult, RunResults
from ran.sim.statistics import Z_95
from ran.sim.throughput import Z_ALL_LOOKS, Fraction

RowVerdict = Literal["pass", "fail", "undecided", "refused"]


@dataclass(frozen=True)
class Crossing:
    """SNR in dB at which the throughput is at the threshold, and half of its interval; without value, why not."""

    snr_db: float | None
    half_db: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class RowOutcome:
    """A row with its points, ascending in SNR; `points` is empty where the receiver refused, and `reason` says why."""

    row: Requirement
    variant: Variant
    receiver: str
    points: tuple[PointResult, ...]
    reason: str = ""

    @property
    def required_snr_db(self) -> float:
        return self.row.snr_db(self.variant)

    @property
    def required_point(self) -> PointResult | None:
        return next((point for point in self.points if abs(point.esn0_db - self.required_snr_db) < 1e-6), None)

    @property
    def fraction(self) -> Fraction | None:
        """Fraction of the maximum throughput at the required SNR."""
        point = self.required_point
        return None if point is None else fraction_of(point)

    @property
    def verdict(self) -> RowVerdict:
        if self.fraction is None:
            return "refused"
        return self.fraction.verdict(THRESHOLD)

    @property
    def crossing(self) -> Crossing:
        return crossing(self.points, THRESHOLD)

    @property
    def margin_db(self) -> float | None:
        """How far below the requirement the crossing is; negative where it is above."""
        found = self.crossing.snr_db
        return None if found is None else self.required_snr_db - found


def row_outcome(row: Requirement, variant: Variant, results: RunResults) -> RowOutcome:
    """The outcome of the row's run."""
    return RowOutcome(row, variant, results.experiment.receivers[0].title, results.points)


def fraction_of(point: PointResult) -> Fraction:
    return Fraction(point.throughput_fraction, point.throughput_fraction_low, point.throughput_fraction_high)


def crossing(points: tuple[PointResult, ...], threshold: float) -> Crossing:
    """Where the line through neighbouring points meets the threshold, searched downwards from the highest point.

    Half of the 95 % interval: the mean half interval of the fraction at both points over the slope between them.
    """
    for low, high in reversed(list(pairwise(points))):
        if low.throughput_fraction < threshold <= high.throughput_fraction:
            step_db = high.esn0_db - low.esn0_db
            slope = (high.throughput_fraction - low.throughput_fraction) / step_db
            half = sum(f.high - f.low for f in (fraction_of(low), fraction_of(high))) / 4 * Z_95 / Z_ALL_LOOKS
            return Crossing(low.esn0_db + (threshold - low.throughput_fraction) / slope, half / slope)
    if not points:
        return Crossing(None, reason="not simulated")
    if points[0].throughput_fraction >= threshold:
        return Crossing(None, reason=f"below {points[0].esn0_db:g} dB")
    return Crossing(None, reason=f"above {points[-1].esn0_db:g} dB")
