"""Throughput of several runs at the same SNR: what fewer pilots, or another constellation, are worth in bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ran.report.crossing import Crossings
from ran.report.curves import run_labels
from ran.stats import Estimate, Notation, central_interval

if TYPE_CHECKING:
    from ran.sim.results import PointResult, RunResults

_BITS = Notation(0, thousands=True)
_GAIN = Notation(1, scale=100, signed=True, suffix=" %")


@dataclass(frozen=True)
class GainRow:
    """One receiver of one run at one Es/N0.

    bits_per_slot: of delivered blocks. gain: of throughput over the reference, 0.1 is 10 % more; no value for the
    reference itself, and where the reference delivers nothing.
    """

    run: str
    receiver: str
    is_genie: bool
    is_reference: bool
    esn0_db: float
    bits_per_slot: Estimate
    gain: Estimate

    @property
    def bits_text(self) -> tuple[str, str]:
        """Bits per slot, and their interval."""
        return _BITS.value(self.bits_per_slot), _BITS.interval(self.bits_per_slot)

    @property
    def gain_text(self) -> str:
        """The gain in per cent with its interval."""
        return "reference" if self.is_reference else _GAIN.text(self.gain)


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
                bits = Estimate(_delivered(point), *central_interval(own), unit="bit", num_units=point.drops)
                gain = Estimate.missing("compared with itself" if is_reference else "the reference delivers nothing")
                if not is_reference and _delivered(reference) > 0:
                    value = _delivered(point) / _delivered(reference) - 1
                    units = min(point.drops, reference.drops)
                    gain = Estimate(value, *central_interval(own / against - 1), num_units=units)
                rows.append(
                    GainRow(
                        label,
                        receiver,
                        receiver in run.genie_receivers,
                        is_reference,
                        snr,
                        bits,
                        gain,
                    )
                )
    return rows


def best_of_runs(rows: Sequence[GainRow]) -> list[GainRow]:
    """Of every run at every Es/N0 the row of the receiver that delivers most and is no genie."""
    best: dict[tuple[float, str], GainRow] = {}
    for row in rows:
        known = best.get((row.esn0_db, row.run))
        if not row.is_genie and (known is None or _bits(row) > _bits(known)):
            best[row.esn0_db, row.run] = row
    return list(best.values())


def _bits(row: GainRow) -> float:
    return row.bits_per_slot.value or 0.0


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
