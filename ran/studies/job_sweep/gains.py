"""What the page of a sweep draws and compares: a point per combination and curve, and its gain on the same drops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ran.report.verdict import tally
from ran.stats import Estimate
from ran.studies.job_sweep.run import PartFound, SweepFound
from ran.studies.kind import Comparison, Row
from ran.studies.sweep.facets import Swept, axis_key
from ran.studies.sweep.request import shown


@dataclass(frozen=True, eq=False)
class Point:
    """A row of a combination, as a point of a curve.

    facts: swept values that curves do not tell, and those of the study that panels have, by key. value: the study's
    main figure. gain: over the row that `over` names, on the same drops; no value, and why, where there is none.
    """

    part: PartFound
    row: Row
    facts: Mapping[str, Any]
    curve: str
    value: Estimate
    gain: Estimate
    over: str

    @property
    def place(self) -> str:
        """The values of the facts in words."""
        return ", ".join(f"{key} {shown(value)}" for key, value in self.facts.items())


def points_of(found: SweepFound) -> list[Point]:
    """All points, in the order of the combinations; none where the kind of study compares nothing.

    A row is compared with the first of its own combination that is no genie and has common random numbers; where it
    is that one or there is none, with the first of the whole sweep: combinations may differ in what changes no random
    number, such as feedback. So differences are paired, drop by drop.
    """
    comparison = found.kind.comparison
    if comparison is None:
        return []
    rows = [
        (part, row)
        for part in found.parts
        if part.results is not None
        for row in found.kind.rows(part.results)
        if row.paired is not None and comparison.figure in row.figures
    ]
    varying = [column for column in comparison.curves if len({row.of[column] for _, row in rows}) > 1]
    columns = varying or comparison.curves[:1]
    keys = _untold(found.keys, [(part, _title(row, columns)) for part, row in rows])
    groups: dict[tuple[str, str], list[_Entry]] = {}
    entries = []
    for part, row in rows:
        facts = {key: part.facts.get(key, "") for key in keys}
        facts |= {column: _number(row.of[column]) for column in comparison.panels}
        entries.append(_Entry(part, row, facts, _title(row, columns)))
        groups.setdefault(entries[-1].group, []).append(entries[-1])
    return [_point(comparison, entry, groups[entry.group]) for entry in entries]


def _untold(keys: Sequence[str], curves: Sequence[tuple[PartFound, str]]) -> list[str]:
    """The swept keys that curves do not tell; all of them where that would leave none. A curve tells a key, such as a
    swept list of predictors, whose value is the same all along every curve and not on all of them."""

    def is_told(key: str) -> bool:
        values: dict[str, set[str]] = {}
        for part, curve in curves:
            values.setdefault(curve, set()).add(shown(part.facts.get(key, "")))
        return all(len(own) == 1 for own in values.values()) and len(set().union(*values.values())) > 1

    return [key for key in keys if not is_told(key)] or list(keys)


@dataclass(frozen=True, eq=False)
class _Entry:
    part: PartFound
    row: Row
    facts: Mapping[str, Any]
    curve: str

    @property
    def group(self) -> tuple[str, str]:
        """Of all with common random numbers, which are compared."""
        return self.part.drops, "" if self.row.paired is None else self.row.paired.group


def _point(comparison: Comparison, entry: _Entry, group: Sequence[_Entry]) -> Point:
    value = entry.row.figures[comparison.figure].scaled(comparison.scale)
    candidates = [other for other in group if not other.row.is_genie]
    own = next((other for other in candidates if other.part is entry.part), None)
    best = own if own is not None and own is not entry else next(iter(candidates), None)
    if best is None or best is entry or best.row.paired is None or entry.row.paired is None:
        gain, over = Estimate.missing("reference" if len(group) > 1 else "nothing with common random numbers"), ""
    else:
        gain = comparison.gain(entry.row.paired.of_drops, best.row.paired.of_drops)
        others = [f"{key} {shown(v)}" for key, v in best.facts.items() if v != entry.facts[key]]
        over = f"{best.curve} ({', '.join(others)})" if others else best.curve
    return Point(entry.part, entry.row, entry.facts, entry.curve, value, gain, over)


def _title(row: Row, columns: Sequence[str]) -> str:
    return ", ".join(row.of[column] for column in columns)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def swept_points(points: Sequence[Point], keys: Sequence[str]) -> tuple[str, list[Swept]]:
    """The key along the axis, of the swept ones, and the points of the figure."""
    axis = axis_key([point.facts for point in points], [key for key in keys if key in points[0].facts])
    return axis, [Swept(point.facts, point.curve, point.row.is_genie, point.value) for point in points]


def findings(points: Sequence[Point], comparison: Comparison) -> list[str]:
    """For every curve and what it is compared with in a sentence: how often its gain is decided, most and least."""
    pairs = dict.fromkeys((point.curve, point.over) for point in points if point.over and not point.row.is_genie)
    sentences = []
    for curve, over in pairs:
        gains = [(point.place, point.gain) for point in points if (point.curve, point.over) == (curve, over)]
        sentences.append(tally(curve, over, comparison.what, gains, "combinations", comparison.notation))
    return [sentence for sentence in sentences if sentence]
