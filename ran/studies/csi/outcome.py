"""Figures of a way to report, with intervals whose independent unit is the drop (or the group of users)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ran.stats import Estimate, paired_difference, student_mean, wilson


@dataclass(frozen=True, eq=False)
class PointOutcome:
    """What became of all drops with one way to report.

    bits [num_drops]: of each report, what tells the precoder. figures: [num_drops] or [num_groups] by name: "sgcs",
    "gcs", "nmse" (mean over layers and units), "se_1_10" and "mbps_1_10" (num_users, SNR in dB; of all users together),
    "net_mbps_1_10" (without the part of the elements that CSI-RS take). With rank and CQI in the report, by SNR:
    "rank_10", "share_rank2_10" (1 or 0), "cqi_10" (wideband index), "report_bits_10" (with RI and CQI, at the rank that
    is reported), "adapted_bler_10" and "adapted_mbps_10" (one user, by what it reported).
    """

    curve: str
    title: str
    predictor: str
    bits: np.ndarray
    figures: Mapping[str, np.ndarray]
    cost: Mapping[str, int]

    @property
    def mean_bits(self) -> float:
        return float(self.bits.mean())

    def value(self, name: str) -> Estimate:
        """A figure's mean with its interval by Student's t; of a share by Wilson's score."""
        values = self.figures[name]
        if name.startswith("share_"):
            return wilson(float(values.mean()), len(values))
        return student_mean(values)


def at_payload(points: list[PointOutcome], name: str, bits: float) -> np.ndarray | None:
    """A figure drop by drop of a curve at some payload, linear between its points; None outside of them.

    Points that another one beats with fewer bits do not count: the curve is its upper envelope in the mean.
    """
    ordered = sorted(points, key=lambda p: p.mean_bits)
    best: list[PointOutcome] = []
    for point in ordered:
        if not best or point.figures[name].mean() > best[-1].figures[name].mean():
            best.append(point)
    for low, high in pairwise(best):
        if low.mean_bits <= bits <= high.mean_bits:
            part = (bits - low.mean_bits) / (high.mean_bits - low.mean_bits)
            return np.asarray((1 - part) * low.figures[name] + part * high.figures[name])
    return None


def paired_gain(point: PointOutcome, curve: list[PointOutcome], name: str) -> Estimate | None:
    """Mean over the same drops of a figure minus that of a curve at the same payload; None where it has none."""
    other = at_payload(curve, name, point.mean_bits)
    return None if other is None else paired_difference(point.figures[name], other)


def bits_for(points: list[PointOutcome], name: str, wanted: float) -> float | None:
    """Payload at which a curve's mean reaches a value, linear between its points; None where it does not."""
    ordered = sorted(points, key=lambda p: p.mean_bits)
    for low, high in pairwise(ordered):
        a, b = float(low.figures[name].mean()), float(high.figures[name].mean())
        if a <= wanted <= b:
            return low.mean_bits + (wanted - a) / (b - a) * (high.mean_bits - low.mean_bits)
    return None
