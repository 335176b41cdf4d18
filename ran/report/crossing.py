"""SNR at which the measured curves of a run meet a target BLER, and paired gains between them.

How curves are interpolated, and where intervals come from: `ran.stats.crossing` and `ran.stats.resampling`. Blocks of
one drop stay together, and because all receivers share random numbers, what is common cancels out of the gain between
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ran.errors import bad_value
from ran.stats import Counted, Estimate, ReplicatedCurve, bootstrap_shares, interpolable_rates, percent

if TYPE_CHECKING:
    from ran.sim.results import PointResult, RunResults

NUM_REPLICATES = 2000


def interpolable_bler(points: Sequence[PointResult]) -> np.ndarray:
    """BLER [points] as measured, but strictly between 0 and 1 (points ascending in Es/N0)."""
    return interpolable_rates([p.block_errors for p in points], [p.blocks for p in points], [p.drops for p in points])


class Crossings:
    """The crossings of one run: point estimates and replicates, which all receivers share.

    The replicates come from a fixed stream, so a report made twice says the same.
    """

    def __init__(self, results: RunResults, *, num_replicates: int = NUM_REPLICATES, seed: int = 0) -> None:
        if num_replicates < 1:
            raise bad_value("num_replicates", num_replicates, "1 or more")
        name, _, unit = results.experiment.point_axis
        self._axis = (name if name == "Es/N0" else name.lower(), unit)
        self._points: dict[str, list[PointResult]] = {}
        for point in sorted(results.points, key=lambda p: p.esn0_db):
            if len(point.block_errors_per_drop) != point.drops or point.drops < 1:
                raise bad_value(
                    f"drops of {point.receiver} at {point.esn0_db:g} dB",
                    len(point.block_errors_per_drop),
                    f"one entry per drop, {max(point.drops, 1)}",
                )
            self._points.setdefault(point.receiver, []).append(point)
        self._num_replicates = num_replicates
        self._seed = seed

    def crossing(self, receiver: str, target_bler: float) -> Estimate:
        """Es/N0 [dB] at which `receiver` meets `target_bler`, with its interval."""
        _check_target(target_bler)
        reason = _why_no_crossing(self._points.get(receiver, ()), target_bler, self._axis)
        return Estimate.missing(reason, self._axis[1]) if reason else self._curves[receiver].crossing(target_bler)

    def gain(self, receiver: str, reference: str, target_bler: float) -> Estimate:
        """How many dB less Es/N0 `receiver` needs than `reference` at `target_bler`, paired drop by drop."""
        found = {name: self.crossing(name, target_bler) for name in (receiver, reference)}
        reasons = [f"{name} is {crossing.reason}" for name, crossing in found.items() if not crossing.is_known]
        if reasons:
            return Estimate.missing("; ".join(reasons), "dB")
        gain = self._curves[receiver].gain_over(self._curves[reference], target_bler)
        return replace(gain, unit="dB")  # also between powers in dBm

    def replicated_bler(self, receiver: str) -> np.ndarray:
        """Replicates of the BLER [replicates, points], points ascending in Es/N0."""
        return self._curves[receiver].replicates

    @cached_property
    def _curves(self) -> dict[str, ReplicatedCurve]:
        points = [p for of_receiver in self._points.values() for p in of_receiver]
        counted = [Counted(p.block_errors_per_drop, p.blocks / p.drops) for p in points]
        generator = np.random.Generator(np.random.Philox(key=self._seed))
        replicates = bootstrap_shares(counted, self._num_replicates, generator)
        curves, first = {}, 0
        for receiver, own in self._points.items():
            curves[receiver] = ReplicatedCurve(
                x=np.array([p.esn0_db for p in own]),
                rate=interpolable_bler(own),
                replicates=replicates[:, first : first + len(own)],
                unit=self._axis[1],
                name=self._axis[0],
                num_groups=min(p.drops for p in own),
            )
            first += len(own)
        return curves


def reference_receiver(results: RunResults) -> str | None:
    """The receiver that gains are given over: the first one in the experiment's order that is no genie."""
    return next((p.receiver for p in results.points if p.receiver not in results.genie_receivers), None)


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
    again = [p for p in points[int(np.argmax(met)) + 1 :] if p.error_rate.is_above(target_bler)]
    return f"above {target} again at {_measured(again[0], axis[1])}" if again else ""


def _measured(point: PointResult, unit: str) -> str:
    at = f"{point.esn0_db:g}".replace("-", "−")
    if point.block_errors == 0:
        return f"{at} {unit} (no error in {point.blocks} blocks)"
    return f"{at} {unit} (BLER {percent(point.bler)})"


def _check_target(target_bler: float) -> None:
    if not 0 < target_bler < 1:
        raise bad_value("target BLER", target_bler, "between 0 and 1, both excluded")
