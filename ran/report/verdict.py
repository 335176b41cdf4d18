"""Comparisons in words. The interval decides: where it includes no difference, the sentence says undecided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from ran.stats import Estimate, Notation

Verdict = Literal["better", "worse", "undecided"]


def verdict(gain: Estimate) -> Verdict:
    """Better or worse where all of the interval of a gain is on that side of 0; else, and without one, undecided."""
    if gain.is_above(0):
        return "better"
    return "worse" if gain.is_below(0) else "undecided"


def tally(
    name: str, over: str, what: str, gains: Sequence[tuple[str, Estimate]], places: str, notation: Notation
) -> str:
    """How often the gains of one over another are decided, and the extremes: one sentence without its full stop.

    gains: with the place of each, such as "0 dB"; those that are not known are left out. what: that is gained.
    places: what the places are, such as "combinations". "" where no gain is known.
    """
    known = [(where, gain) for where, gain in gains if gain.is_known]
    if not known:
        return ""
    counts = Counter(verdict(gain) for _, gain in known)
    parts = [f"{counts[v]} {v}" for v in ("better", "worse", "undecided") if counts[v]]
    sentence = f"{name} against {over}, {what} in {len(known)} {places}: {', '.join(parts)}"
    if len(known) == 1:
        return f"{sentence} ({notation.text(known[0][1])} at {known[0][0]})"
    most = max(known, key=lambda entry: entry[1].known)
    least = min(known, key=lambda entry: entry[1].known)
    if notation.text(most[1]) == notation.text(least[1]):
        return f"{sentence}; {notation.text(most[1])} in each"
    return (
        f"{sentence}; largest {notation.text(most[1])} at {most[0]}, smallest {notation.text(least[1])} at {least[0]}"
    )
