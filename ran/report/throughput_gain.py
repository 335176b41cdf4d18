"""Throughput of several runs at the same SNR: what fewer pilots, or another constellation, are worth in bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ran.report.crossing import Crossings, interval
from ran.report.curves import run_labels

if TYPE_CHECKING:
    from ran.sim.results import PointResult, RunResults


@dataclass(frozen=True)
class GainRow:
    """One receiver of one run at one Es/N0.

    bits_per_slot: of delivered blocks, with the ends `low`, `high` of the 95 % interval.
    gain: of throughput over the reference, 0.1 is 10 % more, with the ends of its interval; None for the reference
        itself, and where the reference delivers nothing.
    """

    run: str
    receiver: str
    is_genie: bool
    is_reference: bool
    esn0_db: float
    bits_per_slot: float
    low: float
    high: float
    gain: float | None
    gain_low: float | None
    gain_high: float | None

    @property
    def gain_text(self) -> str:
        """The gain in per cent with its interval."""
        if self.is_reference:
            return "reference"
        if self.gain is None or self.gain_low is None or self.gain_high is None:
            return "—"
        values = [f"{100 * v:+.1f}".replace("-", "−") for v in (self.gain, self.gain_low, self.gain_high)]
        return f"{values[0]} % [{values[1]}, {values[2]}]"


def throughput_gains(runs: Sequence[RunResults]) -> list[GainRow]:
    """Rows of all runs without HARQ at every Es/N0 that the first of them shares with another, ascending.

    The reference at an Es/N0 is the receiver of the first run that delivers most there and is no genie. Intervals are
    those of `Crossings`; runs of different slots met different drops, so they are independent between runs and paired
    within one.
    """
    chosen = [(r, label) for r, label in zip(runs, run_labels(runs), strict=True) if r.experiment.harq is None]
    if len(chosen) < 2:
        return []
    points = [{(p.receiver, p.esn0_db): p for p in run.points} for run, _ in chosen]
    snrs = [{snr for _, snr in of_run} for of_run in points]
    common = sorted(snrs[0] & set().union(*snrs[1:]))
    replicates = [_replicated(run, seed) for seed, (run, _) in enumerate(chosen)]
    rows = []
    for snr in common:
        competing = [p for (r, s), p in points[0].items() if s == snr and r not in chosen[0][0].genie_receivers]
        if not competing:
            continue
        reference = max(competing, key=_delivered)
        against = replicates[0][reference.receiver, snr]
        for number, (run, label) in enumerate(chosen):
            for (receiver, s), point in points[number].items():
                if s != snr:
                    continue
                own = replicates[number][receiver, snr]
                is_reference = number == 0 and point is reference
                gain: tuple[float | None, float | None, float | None] = (None, None, None)
                if not is_reference and _delivered(reference) > 0:
                    value = _delivered(point) / _delivered(reference) - 1
                    gain = (value, *interval(own / against - 1))
                rows.append(
                    GainRow(
                        label,
                        receiver,
                        receiver in run.genie_receivers,
                        is_reference,
                        snr,
                        _delivered(point),
                        *interval(own),
                        *gain,
                    )
                )
    return rows


def best_of_runs(rows: Sequence[GainRow]) -> list[GainRow]:
    """Of every run at every Es/N0 the row of the receiver that delivers most and is no genie."""
    best: dict[tuple[float, str], GainRow] = {}
    for row in rows:
        known = best.get((row.esn0_db, row.run))
        if not row.is_genie and (known is None or row.bits_per_slot > known.bits_per_slot):
            best[row.esn0_db, row.run] = row
    return list(best.values())


def _delivered(point: PointResult) -> float:
    """Bits of delivered blocks per slot."""
    return point.bits / point.drops * (1 - point.bler)


def _replicated(run: RunResults, seed: int) -> dict[tuple[str, float], np.ndarray]:
    """Replicates of the delivered bits per slot, by receiver and Es/N0."""
    crossings = Crossings(run, seed=seed)
    found = {}
    for receiver in dict.fromkeys(p.receiver for p in run.points):
        own = sorted((p for p in run.points if p.receiver == receiver), key=lambda p: p.esn0_db)
        for point, bler in zip(own, crossings.replicated_bler(receiver).T, strict=True):
            found[receiver, point.esn0_db] = point.bits / point.drops * (1 - bler)
    return found
