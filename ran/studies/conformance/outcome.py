"""What a row came to: its verdict, and how far the receiver is from the requirement."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ran.sim.results import PointResult, RunResults
from ran.sim.throughput import Z_ALL_LOOKS, verdict_of
from ran.stats import LEVEL, Estimate, rising_crossing, two_sided_z
from ran.studies.conformance.requirements import THRESHOLD, Requirement, Variant

RowVerdict = Literal["pass", "fail", "undecided", "refused"]


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
    def fraction(self) -> Estimate | None:
        """Fraction of the maximum throughput at the required SNR."""
        point = self.required_point
        return None if point is None else point.fraction

    @property
    def verdict(self) -> RowVerdict:
        if self.fraction is None:
            return "refused"
        return verdict_of(self.fraction, THRESHOLD)

    @property
    def crossing(self) -> Estimate:
        """SNR in dB at which the throughput is at the threshold."""
        return crossing(self.points, THRESHOLD)

    @property
    def margin_db(self) -> float | None:
        """How far below the requirement the crossing is; negative where it is above."""
        found = self.crossing.value
        return None if found is None else self.required_snr_db - found


def row_outcome(row: Requirement, variant: Variant, results: RunResults) -> RowOutcome:
    """The outcome of the row's run."""
    return RowOutcome(row, variant, results.experiment.receivers[0].title, results.points)


def crossing(points: tuple[PointResult, ...], threshold: float) -> Estimate:
    """Where the line through neighbouring points meets the threshold, searched downwards from the highest point.

    The interval holds with 95 % for one look, those of the points over all looks together.
    """
    snrs, fractions = [p.esn0_db for p in points], [p.fraction for p in points]
    found = rising_crossing(snrs, fractions, threshold, z_ratio=two_sided_z(LEVEL) / Z_ALL_LOOKS)
    return replace(found, unit="dB")
