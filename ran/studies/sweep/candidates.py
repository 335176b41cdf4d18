"""What the candidates of a sweep deliver, against the best reference of the same receiver in the same combination."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ran.sim.results import PointResult, RunResults
from ran.stats import Estimate, Notation, Pairs, fieller, ratio_of_independent
from ran.studies.part import PartResult
from ran.studies.sweep.request import CANDIDATE, REFERENCE

#: A reference is compared at the lowest simulated Es/N0 at which it delivers this share of what it sends.
WORKING = 0.9
#: How a gain is written.
GAIN = Notation(1, scale=100, signed=True, suffix=" %")


@dataclass(frozen=True, eq=False)
class Delivered:
    """What one receiver delivers with one candidate at one Es/N0.

    condition: swept values by key, without the candidate. bits_per_slot: of delivered blocks of all users, per slot in
    which any was sent: with HARQ after all transmissions. share: of the bits that one slot carries. gain: over the best
    reference of the same receiver there, 0.1 is 10 % more. best_reference: its name; is_best: this is it.
    is_working: the lowest simulated Es/N0 at which the best reference delivers `WORKING` of what it sends, or the
    highest simulated where it never does.
    """

    condition: Mapping[str, Any]
    candidate: str
    is_reference: bool
    receiver: str
    is_genie: bool
    esn0_db: float
    bits_per_slot: Estimate
    share: float
    gain: Estimate
    best_reference: str
    is_working: bool

    @property
    def is_best(self) -> bool:
        return self.candidate == self.best_reference


def has_candidates(parts: Sequence[PartResult]) -> bool:
    """Whether the parts of a sweep name candidates."""
    return any(CANDIDATE in part.facts for part in parts)


def delivered(parts: Sequence[PartResult]) -> list[Delivered]:
    """A row per condition, receiver, Es/N0 and candidate, in the order of the request.

    The best of several references is chosen by its measured value, which favours the references. Candidates send
    different slots, so they met different drops and are independent; a gain is that of `ratio_of_independent`.
    """
    groups: dict[tuple, list[tuple[PartResult, PointResult, RunResults]]] = {}
    for part in parts:
        if part.results is None or CANDIDATE not in part.facts:
            continue
        for point in part.results.points:
            key = (_key(part.facts), point.receiver, point.esn0_db)
            groups.setdefault(key, []).append((part, point, part.results))
    rows: list[Delivered] = []
    for (_, receiver, esn0_db), members in groups.items():
        rates = {part.facts[CANDIDATE]: _Rate.of(point) for part, point, _ in members}
        references = [part.facts[CANDIDATE] for part, _, _ in members if part.facts[REFERENCE]]
        best = max(references, key=lambda name: rates[name].bits_per_slot, default="")
        for part, _, results in members:
            name = part.facts[CANDIDATE]
            own = rates[name]
            rows.append(
                Delivered(
                    _condition(part.facts),
                    name,
                    bool(part.facts[REFERENCE]),
                    receiver,
                    receiver in results.genie_receivers,
                    esn0_db,
                    own.estimate,
                    own.share,
                    _gain(own, rates[best], name == best) if best else Estimate.missing("no reference was simulated"),
                    best,
                    False,
                )
            )
    return _with_working_point(rows)


@dataclass(frozen=True, eq=False)
class _Rate:
    """Delivered bits per slot. above, below [drops]: blocks delivered and blocks sent, all of one size or, of two
    codewords, counted alike. bits_of_slot: of the blocks of a slot together."""

    above: np.ndarray
    below: np.ndarray
    bits_of_slot: float

    @classmethod
    def of(cls, point: PointResult) -> _Rate:
        blocks = point.blocks / point.drops
        above = blocks - point.block_errors_per_drop
        return cls(above, np.asarray(point.transmissions_per_drop, float), point.bits / point.drops)

    @property
    def share(self) -> float:
        """Delivered blocks per block sent."""
        return float(self.above.sum() / self.below.sum()) if self.below.sum() else 0.0

    @property
    def bits_per_slot(self) -> float:
        return self.bits_of_slot * self.share

    @property
    def pairs(self) -> Pairs:
        """Of every drop; a drop at its best and one at its worst count towards the spread, so that a sample without
        errors is uncertain too."""
        most, best = float(self.below.max()), float(self.below.min())
        return Pairs(self.above, self.below, ((best, best), (0.0, most)))

    @property
    def estimate(self) -> Estimate:
        """With Fieller's interval over drops."""
        return fieller(self.pairs).clipped(0, 1).scaled(self.bits_of_slot, "bit")


def _gain(own: _Rate, reference: _Rate, is_itself: bool) -> Estimate:
    if is_itself:
        return Estimate.missing("compared with itself")
    if not reference.above.any():
        return Estimate.missing("the reference delivers nothing")
    ratio = ratio_of_independent(own.pairs, reference.pairs)
    return ratio.scaled(own.bits_of_slot / reference.bits_of_slot).shifted(-1)


def _condition(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key not in (CANDIDATE, REFERENCE)}


def _key(facts: Mapping[str, Any]) -> tuple:
    return tuple(_condition(facts).items())


def _with_working_point(rows: Sequence[Delivered]) -> list[Delivered]:
    """The rows, those at the working point of their condition and receiver marked."""
    points: dict[tuple, list[Delivered]] = {}
    for row in rows:
        if row.is_best:
            points.setdefault((_key(row.condition), row.receiver), []).append(row)
    at = {}
    for key, best in points.items():
        ordered = sorted(best, key=lambda row: row.esn0_db)
        at[key] = next((row.esn0_db for row in ordered if row.share >= WORKING), ordered[-1].esn0_db)
    return [replace(row, is_working=at.get((_key(row.condition), row.receiver)) == row.esn0_db) for row in rows]


def best_candidates(rows: Sequence[Delivered]) -> list[Delivered]:
    """Of every condition and receiver at its working point the candidate that delivers most and is no reference."""
    best: dict[tuple, Delivered] = {}
    for row in rows:
        key = (_key(row.condition), row.receiver)
        if row.is_working and not row.is_reference and not row.is_genie:
            known = best.get(key)
            if known is None or row.bits_per_slot.known > known.bits_per_slot.known:
                best[key] = row
    return list(best.values())


def candidates_csv(rows: Sequence[Delivered]) -> str:
    """A row per condition, receiver, Es/N0 and candidate."""
    keys = list(dict.fromkeys(key for row in rows for key in row.condition))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ("receiver", "esn0_db", "candidate", "is_reference", "best_reference", "is_working_point")
    figures = ("bits_per_slot", "bits_low", "bits_high", "share", "gain", "gain_low", "gain_high")
    writer.writerow([*keys, *names, *figures])
    for row in rows:
        numbers = [*row.bits_per_slot.plain(1), round(row.share, 6), *row.gain.plain(6)]
        facts = [row.condition.get(key, "") for key in keys]
        marks = [row.candidate, int(row.is_reference), row.best_reference, int(row.is_working)]
        cells = ["" if n is None else n for n in numbers]
        writer.writerow([*facts, row.receiver, f"{row.esn0_db:g}", *marks, *cells])
    return text.getvalue()


def candidates_json(rows: Sequence[Delivered]) -> str:
    """The same, with the reason where a gain has no value; infinite ends are null."""
    values = [
        {
            "condition": dict(row.condition),
            "receiver": row.receiver,
            "is_genie": row.is_genie,
            "esn0_db": row.esn0_db,
            "candidate": row.candidate,
            "is_reference": row.is_reference,
            "best_reference": row.best_reference,
            "is_working_point": row.is_working,
            "bits_per_slot": row.bits_per_slot.plain(1),
            "share": round(row.share, 6),
            "gain": row.gain.plain(6),
            "reason": row.gain.why_missing,
        }
        for row in rows
    ]
    return json.dumps({"rows": values}, indent=1) + "\n"
