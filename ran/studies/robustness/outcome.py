"""Results of receivers under a condition: Es/N0 at 10 % BLER, gains, and whether one is worse than it may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ran.report.crossing import Crossings
from ran.sim.results import PointResult, RunResults, merged_results
from ran.stats import Estimate
from ran.studies.robustness.conditions import TARGET_BLER, Condition
from ran.studies.robustness.fixed_points import Verdict, verdict_at_points

#: Gains are given over this receiver, and this one a receiver must never be worse than by more than ALLOWED_DB.
BASELINE, FLOOR = "lmmse", "ls-linear"
ALLOWED_DB = 0.1


@dataclass(frozen=True)
class Outcome:
    """A receiver under a condition.

    crossing: Es/N0 at 10 % BLER, dB. gain, gain_over_floor: dB less than `BASELINE` and `FLOOR` need, paired.
    verdict: against `FLOOR`, by the interval: "worse" by more than `ALLOWED_DB`, "not worse", or neither is sure; at
        given points by the blocks lost, see `ran.studies.robustness.fixed_points`.
    reason: why there is no number. points: what was simulated, ascending in Es/N0.
    """

    condition: Condition
    receiver: str
    is_genie: bool
    crossing: Estimate
    gain: Estimate
    gain_over_floor: Estimate
    verdict: Verdict
    reason: str
    points: tuple[PointResult, ...]

    @property
    def drops(self) -> int:
        return sum(point.drops for point in self.points)


def outcomes_of(
    condition: Condition, runs: Mapping[str, RunResults], refused: Mapping[str, str] | None = None
) -> tuple[Outcome, ...]:
    """Outcomes of the receivers of a condition: those of `runs`, in its order, and with the reason those that refused.

    runs: each receiver's own, by its title. Where `FLOOR` or `BASELINE` is missing, so are gains over it.
    """
    found = []
    if runs:
        together = merged_results(list(runs.values()))
        crossings = Crossings(together)
        found = [_outcome(condition, receiver, together, crossings) for receiver in runs]
    nothing = Estimate.missing("refused", "dB")
    for receiver, reason in (refused or {}).items():
        found.append(Outcome(condition, receiver, False, nothing, nothing, nothing, "refused", reason, ()))
    return tuple(found)


def _outcome(condition: Condition, receiver: str, together: RunResults, crossings: Crossings) -> Outcome:
    def gain(over: str) -> Estimate:
        if receiver == over:
            return Estimate.missing("compared with itself", "dB")
        return crossings.gain(receiver, over, TARGET_BLER)

    own, over_floor = crossings.crossing(receiver, TARGET_BLER), gain(FLOOR)
    points = points_of(together, receiver)
    verdict: Verdict = "reference"
    if condition.has_fixed_points:
        own = Estimate.missing("counted at given points", "dB")
        if receiver != FLOOR:
            verdict = verdict_at_points(points, points_of(together, FLOOR))
    elif receiver != FLOOR:
        floor = crossings.crossing(FLOOR, TARGET_BLER)
        verdict = _verdict(over_floor, own, floor, points, points_of(together, FLOOR))
    return Outcome(
        condition,
        receiver,
        receiver in together.genie_receivers,
        own,
        gain(BASELINE),
        over_floor,
        verdict,
        own.why_missing,
        points,
    )


def points_of(results: RunResults, receiver: str) -> tuple[PointResult, ...]:
    """A receiver's points, ascending in Es/N0."""
    return tuple(sorted((p for p in results.points if p.receiver == receiver), key=lambda p: p.esn0_db))


def _verdict(
    gain: Estimate,
    own: Estimate,
    floor: Estimate,
    own_points: tuple[PointResult, ...],
    floor_points: tuple[PointResult, ...],
) -> Verdict:
    """By the gain's interval; where one of the two never comes down to 10 %, by where it certainly was above it."""
    if gain.low is not None:
        if gain.is_below(-ALLOWED_DB):
            return "worse"
        return "not worse" if gain.low >= -ALLOWED_DB else "undecided"
    if _stays_above(own_points, floor.high, ALLOWED_DB):
        return "worse"
    return "not worse" if _stays_above(floor_points, own.high, -ALLOWED_DB) else "undecided"


def _stays_above(points: tuple[PointResult, ...], other_db: float | None, by_db: float) -> bool:
    """Whether a receiver is above 10 % at an Es/N0 so much higher than where the other is significantly below."""
    if other_db is None or not points:
        return False
    last = points[-1]
    return last.error_rate.is_above(TARGET_BLER) and last.esn0_db >= other_db + by_db
