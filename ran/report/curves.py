"""What the pictures show: one `Curve` per run and receiver, with its look, for the page and for the PNGs alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri

from ran.report.crossing import interpolable_bler
from ran.report.palette import COLORS_LIGHT

if TYPE_CHECKING:
    from ran.sim.results import PointResult, RunResults

NUM_MARKERS = 8

_PER_SEGMENT = 12
# Stands for 0 where the ends of intervals are interpolated; below every BLER that is ever simulated.
_SMALLEST = 1e-9


@dataclass(frozen=True)
class Curve:
    """One receiver's points in one run, ascending in Es/N0; every array is float64 [points] unless it says otherwise.

    label: name for the legend, "(genie)" included.
    color: place in the palette; None for a genie. marker: 0 to NUM_MARKERS - 1. is_open: hollow markers.
    has_band: bands of several runs would hide one another, so only the curves of a single run have them.
    peak_mbps: throughput of a link that loses no block.
    line_esn0_db, line_bler: the curve that the crossings are read from, on a fine grid.
    band_low, band_high: the ends of the intervals on that grid.
    axis: what esn0_db is, with its unit: Es/N0, or with a link budget the transmit power.
    """

    label: str
    run_index: int
    is_genie: bool
    color: int | None
    marker: int
    is_open: bool
    has_band: bool
    points: tuple[PointResult, ...]
    esn0_db: np.ndarray
    bler: np.ndarray
    bler_low: np.ndarray
    bler_high: np.ndarray
    throughput_mbps: np.ndarray
    peak_mbps: float
    line_esn0_db: np.ndarray
    line_bler: np.ndarray
    band_low: np.ndarray
    band_high: np.ndarray
    axis: tuple[str, str] = ("Es/N0", "dB")

    @property
    def has_errors(self) -> np.ndarray:
        """bool [points]: the point has a BLER that a logarithmic axis can show."""
        return self.bler > 0

    @property
    def falling_bler(self) -> np.ndarray:
        """`line_bler` up to the first of the last points without any error, NaN beyond: only limits are known there."""
        with_errors = np.flatnonzero(self.bler > 0)
        first_without = with_errors[-1] + 1 if len(with_errors) else 0
        if first_without >= len(self.bler):
            return self.line_bler
        return np.where(self.line_esn0_db <= self.esn0_db[first_without], self.line_bler, np.nan)

    def throughput_at(self, bler: np.ndarray) -> np.ndarray:
        """Throughput [Mbit/s] of a BLER: the peak times (1 - BLER)."""
        return self.peak_mbps * (1 - bler)

    @property
    def has_harq(self) -> bool:
        """Blocks are sent again: the throughput no longer follows from the residual BLER."""
        return any(len(p.bler_after) > 1 for p in self.points)

    @property
    def throughput_ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper end [points] of the throughput's intervals."""
        if not self.has_harq:
            return self.throughput_at(self.bler_high), self.throughput_at(self.bler_low)
        ends = np.array([(p.throughput_fraction_low, p.throughput_fraction_high) for p in self.points])
        return self.peak_mbps * ends[:, 0], self.peak_mbps * ends[:, 1]

    @property
    def throughput_band(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Throughput on the fine grid and the ends of its intervals; with HARQ straight between the points."""
        if not self.has_harq:
            line, high, low = map(self.throughput_at, (self.line_bler, self.band_low, self.band_high))
            return line, low, high
        values = (self.throughput_mbps, *self.throughput_ends)
        line, low, high = (np.interp(self.line_esn0_db, self.esn0_db, value) for value in values)
        return line, low, high


def run_labels(runs: Sequence[RunResults]) -> list[str]:
    """The experiments' names, with the simulation version of old ones; runs of the same name are numbered."""
    names = [run.title for run in runs]
    return [f"{n} #{names[: i + 1].count(n)}" if names.count(n) > 1 else n for i, n in enumerate(names)]


def curves(runs: Sequence[RunResults]) -> list[Curve]:
    """Every curve of the runs.

    A receiver keeps its colour in all runs. Markers tell receivers apart in a single run, and runs in several.
    """
    colors: dict[str, int] = {}
    for run in runs:
        for point in run.points:
            if point.receiver not in run.genie_receivers:
                colors.setdefault(point.receiver, len(colors))
    several = len(runs) > 1
    return [
        _curve(
            run,
            receiver,
            label=f"{run_label}: {receiver}" if several else receiver,
            run_index=run_index,
            color=colors.get(receiver) if receiver not in run.genie_receivers else None,
            marker=run_index if several else receiver_index,
            is_open=several and run_index % 2 == 1,
            has_band=not several,
        )
        for run_index, (run, run_label) in enumerate(zip(runs, run_labels(runs), strict=True))
        for receiver_index, receiver in enumerate(dict.fromkeys(p.receiver for p in run.points))
    ]


def _curve(
    run: RunResults,
    receiver: str,
    *,
    label: str,
    run_index: int,
    color: int | None,
    marker: int,
    is_open: bool,
    has_band: bool,
) -> Curve:
    points = tuple(sorted((p for p in run.points if p.receiver == receiver), key=lambda p: p.esn0_db))
    esn0_db = np.array([p.esn0_db for p in points], dtype=float)
    fine = _fine(esn0_db)
    low = np.array([p.bler_low for p in points], dtype=float)
    high = np.array([p.bler_high for p in points], dtype=float)
    is_genie = receiver in run.genie_receivers
    air_time_s = points[0].drops * run.experiment.carrier.slot_duration_s
    return Curve(
        label=f"{label} (genie)" if is_genie else label,
        run_index=run_index,
        is_genie=is_genie,
        color=None if color is None else color % len(COLORS_LIGHT),
        marker=marker % NUM_MARKERS,
        is_open=is_open,
        has_band=has_band,
        points=points,
        esn0_db=esn0_db,
        bler=np.array([p.bler for p in points], dtype=float),
        bler_low=low,
        bler_high=high,
        throughput_mbps=np.array([p.throughput_mbps for p in points], dtype=float),
        peak_mbps=points[0].bits / air_time_s / 1e6,
        line_esn0_db=fine,
        line_bler=_along(fine, esn0_db, interpolable_bler(points)),
        band_low=_along(fine, esn0_db, low),
        band_high=_along(fine, esn0_db, high),
        axis=run.experiment.point_axis[::2],
    )


def _fine(esn0_db: np.ndarray) -> np.ndarray:
    """A grid [fine] from the first to the last point, through all of them, that looks smooth."""
    steps = np.linspace(0, len(esn0_db) - 1, _PER_SEGMENT * (len(esn0_db) - 1) + 1)
    return np.interp(steps, np.arange(len(esn0_db)), esn0_db)


def _along(fine: np.ndarray, esn0_db: np.ndarray, bler: np.ndarray) -> np.ndarray:
    """The interpolation of ran.report.crossing, linear over the probit, on the grid `fine`."""
    return ndtr(np.interp(fine, esn0_db, ndtri(np.clip(bler, _SMALLEST, 1 - _SMALLEST))))


def bler_floor(shown: Sequence[Curve]) -> float:
    """Lower end of a logarithmic BLER axis: the decade below every measured BLER and every upper limit."""
    values = np.concatenate(
        [np.array([0.1])] + [np.where(c.has_errors, c.bler, c.bler_high) for c in shown],
    )
    return float(10.0 ** np.floor(np.log10(values[values > 0].min() * 0.9)))


def esn0_range(shown: Sequence[Curve]) -> tuple[float, float]:
    """Ends of the Es/N0 axis [dB], with a margin: where any curve falls, and the points next to it.

    A search for the waterfall may leave points far from it on both sides, which would squeeze what matters; the axis
    goes no further to either side of a falling curve than a third of its width, or 2 dB.
    """
    starts, stops = [], []
    for curve in shown:
        first_try = np.array([p.bler_after[0] if p.bler_after else p.bler for p in curve.points])
        falling = np.flatnonzero((first_try > 0) & (curve.bler < 0.98))
        if len(falling):
            first, last = falling[0], falling[-1]
            reach = max((curve.esn0_db[last] - curve.esn0_db[first]) / 3, 2.0)
            starts.append(max(curve.esn0_db[max(first - 1, 0)], curve.esn0_db[first] - reach))
            stops.append(min(curve.esn0_db[min(last + 1, len(curve.points) - 1)], curve.esn0_db[last] + reach))
    if not starts:
        starts = stops = [snr for curve in shown for snr in curve.esn0_db]
    low, high = float(min(starts)), float(max(stops))
    margin = 0.03 * (high - low) or 1.0
    return low - margin, high + margin


def axis_of(shown: Sequence[Curve]) -> tuple[str, str]:
    """What curves are over, and its unit."""
    return shown[0].axis if shown else ("Es/N0", "dB")
