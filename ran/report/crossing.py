"""SNR at which a measured curve meets a target BLER, paired gains, and their intervals by resampling drops.

Interpolation: between two neighbouring points, linear in Es/N0 [dB] over the probit (inverse normal CDF) of the BLER.
The waterfall of a long code is close to a normal CDF in dB, so its chord is nearly straight there. Over log BLER the
chord would cut below the curve and place the crossing too low: by 0.2 dB for neighbouring points at BLER 0.9 and 0.02
that are 1 dB apart. Nothing is extrapolated: a curve that does not cross has no crossing, and says why.

Interval: Bayesian bootstrap (D. B. Rubin, Annals of Statistics 9(1), 1981). Every replicate gives each drop one weight
of a Gamma(1) distribution, the same for all receivers and all SNR points, and reads the whole curve again. Blocks of
one drop stay together, and because all receivers met the same drops, what they share cancels out of the gain between
them. Half a drop in error and half a drop without are added to every point (Jeffreys prior; with one block per drop
the BLER of the replicates is exactly Beta(errors + 1/2, blocks - errors + 1/2)), so that a point without errors is
uncertain too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from ran.errors import bad_value

if TYPE_CHECKING:
    from ran.sim.results import PointResult, RunResults

CONFIDENCE = 0.95
NUM_REPLICATES = 2000
# Weights that are held at once [replicates x drops]; bounds the memory to some tens of MB.
_MAX_WEIGHTS = 4_000_000


@dataclass(frozen=True)
class Estimate:
    """A number of dB with its interval, or the reason why there is none.

    value_db: None where the measured curves do not give it.
    low_db, high_db: ends of the 95 % interval; infinite where it reaches beyond the simulated SNR range; None without
        a value.
    reason: why there is no value; empty otherwise.
    """

    value_db: float | None
    low_db: float | None = None
    high_db: float | None = None
    reason: str = ""

    def shifted(self, by_db: float) -> Estimate:
        """The same on a scale that is so many dB off."""
        value, low, high = (None if end is None else end + by_db for end in (self.value_db, self.low_db, self.high_db))
        return Estimate(value, low, high, self.reason)

    def __str__(self) -> str:
        if self.value_db is None or self.low_db is None or self.high_db is None:
            return "—"
        return f"{_db(self.value_db)} [{_db(self.low_db)}, {_db(self.high_db)}]"


def _db(value: float) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text.replace("-", "−")


def crossing_db(esn0_db: np.ndarray, bler: np.ndarray, target_bler: float) -> np.ndarray:
    """Es/N0 at which curves first come down to a target BLER.

    esn0_db: [points] float, ascending. bler: [..., points] float, strictly between 0 and 1.
    Returns [...] float: -inf where the first point is already there, +inf where no point is.
    """
    met = bler <= target_bler
    j = np.argmax(met, axis=-1)
    i = np.maximum(j - 1, 0)
    z = ndtri(bler)
    z_i = np.take_along_axis(z, i[..., None], axis=-1)[..., 0]
    z_j = np.take_along_axis(z, j[..., None], axis=-1)[..., 0]
    # Where i and j do not enclose the target the result is infinite; the divisor only has to be finite there.
    step = np.where(z_i > z_j, z_i - z_j, 1.0)
    inside = esn0_db[i] + (z_i - ndtri(target_bler)) / step * (esn0_db[j] - esn0_db[i])
    return np.where(met[..., 0], -np.inf, np.where(met.any(axis=-1), inside, np.inf))


def interpolable_bler(points: Sequence[PointResult]) -> np.ndarray:
    """BLER [points] as measured, but strictly between 0 and 1 (points ascending in Es/N0).

    A point without errors counts half a drop in error, and a point that delivered nothing half a drop that it did
    deliver. Few drops without errors say little, so they never lift the curve above the point before them.
    """
    bler = np.empty(len(points))
    for i, point in enumerate(points):
        half_drop = 0.5 / point.drops
        bler[i] = min(max(point.block_errors / point.blocks, half_drop), 1 - half_drop)
        if i and point.block_errors == 0:
            bler[i] = min(bler[i], bler[i - 1])
    return bler


class Crossings:
    """The crossings of one run: point estimates and replicates, which all receivers share.

    The replicates come from a fixed stream, so a report made twice says the same.
    """

    def __init__(self, results: RunResults, *, num_replicates: int = NUM_REPLICATES, seed: int = 0) -> None:
        if num_replicates < 1:
            raise bad_value("num_replicates", num_replicates, "1 or more")
        name, _, unit = results.experiment.point_axis
        self._axis = (name if name == "Es/N0" else name.lower(), unit)
        self._curves: dict[str, list[PointResult]] = {}
        for point in sorted(results.points, key=lambda p: p.esn0_db):
            if len(point.block_errors_per_drop) != point.drops or point.drops < 1:
                raise bad_value(
                    f"drops of {point.receiver} at {point.esn0_db:g} dB",
                    len(point.block_errors_per_drop),
                    f"one entry per drop, {max(point.drops, 1)}",
                )
            self._curves.setdefault(point.receiver, []).append(point)
        self._num_replicates = num_replicates
        self._seed = seed

    def crossing(self, receiver: str, target_bler: float) -> Estimate:
        """Es/N0 [dB] at which `receiver` meets `target_bler`, with its interval."""
        _check_target(target_bler)
        points = self._curves.get(receiver, ())
        reason = _why_no_crossing(points, target_bler, self._axis)
        if reason:
            return Estimate(None, reason=reason)
        esn0_db = np.array([p.esn0_db for p in points])
        value = float(crossing_db(esn0_db, interpolable_bler(points), target_bler))
        replicates = self._replicated_crossing(receiver, target_bler)
        return Estimate(value, *interval(replicates))

    def gain(self, receiver: str, reference: str, target_bler: float) -> Estimate:
        """How many dB less Es/N0 `receiver` needs than `reference` at `target_bler`, paired drop by drop."""
        _check_target(target_bler)
        own = self.crossing(receiver, target_bler)
        other = self.crossing(reference, target_bler)
        if own.value_db is None or other.value_db is None:
            reasons = [f"{name} is {e.reason}" for name, e in ((receiver, own), (reference, other)) if e.reason]
            return Estimate(None, reason="; ".join(dict.fromkeys(reasons)))
        with np.errstate(invalid="ignore"):
            replicates = self._replicated_crossing(reference, target_bler) - self._replicated_crossing(
                receiver, target_bler
            )
        return Estimate(other.value_db - own.value_db, *interval(replicates))

    def replicated_bler(self, receiver: str) -> np.ndarray:
        """Replicates of the BLER [replicates, points], points ascending in Es/N0."""
        return self._replicated_bler[receiver]

    def _replicated_crossing(self, receiver: str, target_bler: float) -> np.ndarray:
        esn0_db = np.array([p.esn0_db for p in self._curves[receiver]])
        return crossing_db(esn0_db, self._replicated_bler[receiver], target_bler)

    @cached_property
    def _replicated_bler(self) -> dict[str, np.ndarray]:
        """BLER [replicates, points] of each receiver.

        Drops in which no receiver failed differ only in the points that they belong to, and a sum of n Gamma(1) weights
        is one Gamma(n) weight: so the work grows with the drops in error and not with all drops.
        """
        points = [p for curve in self._curves.values() for p in curve]
        if not points:
            return {}
        drops = np.array([p.drops for p in points])
        errored = np.unique(np.concatenate([np.flatnonzero(p.block_errors_per_drop) for p in points]))
        ends = np.unique(drops)
        range_of_errored = np.searchsorted(ends, errored, side="right")
        clean = np.diff(ends, prepend=0) - np.bincount(range_of_errored, minlength=len(ends))
        member = np.concatenate((errored[:, None] < drops, ends[:, None] <= drops)).astype(float)
        errors = np.zeros_like(member)
        for column, point in enumerate(points):
            in_point = errored[errored < point.drops]
            errors[: len(in_point), column] = point.block_errors_per_drop[in_point]
        blocks = member * np.array([p.blocks / p.drops for p in points])
        shape = np.concatenate((np.ones(len(errored)), clean)).astype(float)

        generator = np.random.Generator(np.random.Philox(key=self._seed))
        chunk = max(1, _MAX_WEIGHTS // len(shape))
        bler = np.empty((self._num_replicates, len(points)))
        for first in range(0, self._num_replicates, chunk):
            size = min(chunk, self._num_replicates - first)
            weights = generator.standard_gamma(shape, size=(size, len(shape)))
            prior = generator.standard_gamma(0.5, size=(2, size, len(points))) * np.array(
                [p.blocks / p.drops for p in points]
            )
            bler[first : first + size] = (weights @ errors + prior[0]) / (weights @ blocks + prior.sum(axis=0))
        # Gamma(1/2) underflows at times; ndtri needs the open interval.
        bler = np.clip(bler, 1e-15, 1 - 1e-15)
        ends_of_curves = np.cumsum([len(curve) for curve in self._curves.values()])
        return dict(zip(self._curves, np.split(bler, ends_of_curves[:-1], axis=1), strict=True))


def reference_receiver(results: RunResults) -> str | None:
    """The receiver that gains are given over: the first one in the experiment's order that is no genie."""
    return next((p.receiver for p in results.points if p.receiver not in results.genie_receivers), None)


def interval(replicates: np.ndarray) -> tuple[float, float]:
    """Central 95 % of replicates [n]; NaN (both curves beyond the range) may be anything, so it widens both ends."""
    tail = (1 - CONFIDENCE) / 2
    low = np.quantile(np.where(np.isnan(replicates), -np.inf, replicates), tail, method="lower")
    high = np.quantile(np.where(np.isnan(replicates), np.inf, replicates), 1 - tail, method="higher")
    return float(low), float(high)


def _why_no_crossing(points: Sequence[PointResult], target_bler: float, axis: tuple[str, str]) -> str:
    """The reason in words that follow "the receiver is", empty when the curve crosses. axis: what the points are at,
    and its unit."""
    target = percent(target_bler)
    if not points:
        return "not simulated"
    met = interpolable_bler(points) <= target_bler
    first, last = points[0], points[-1]
    if met[0]:
        return f"already at or below {target} at the lowest simulated {axis[0]}, {_measured(first, axis[1])}"
    if not met.any():
        if last.block_errors <= target_bler * last.blocks:
            return f"simulated in too few drops to tell at {_measured(last, axis[1])}"
        return f"still above {target} at the highest simulated {axis[0]}, {_measured(last, axis[1])}"
    again = [p for p in points[int(np.argmax(met)) + 1 :] if p.bler_low > target_bler]
    return f"above {target} again at {_measured(again[0], axis[1])}" if again else ""


def _measured(point: PointResult, unit: str) -> str:
    if point.block_errors == 0:
        return f"{point.esn0_db:g} {unit} (no error in {point.blocks} blocks)"
    return f"{point.esn0_db:g} {unit} (BLER {percent(point.bler)})"


def percent(fraction: float) -> str:
    """A fraction as per cent with three significant digits: 0.1 is '10 %', 0.00123 is '0.123 %'."""
    return f"{float(f'{100 * fraction:.3g}'):g} %"


def _check_target(target_bler: float) -> None:
    if not 0 < target_bler < 1:
        raise bad_value("target BLER", target_bler, "between 0 and 1, both excluded")
