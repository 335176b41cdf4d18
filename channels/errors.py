"""The form of every message about bad input here: what, the value given, what is allowed, the nearest match."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable


def bad_value(what: str, given: object, allowed: str) -> ValueError:
    """A `ValueError` of one line that says what was wrong, what was given and what is allowed."""
    return ValueError(f"{what}: got {given!r}; allowed: {allowed}")


def unknown_name(what: str, given: object, choices: Iterable[str]) -> ValueError:
    """A `ValueError` for a name that is not among `choices`, with the nearest match."""
    choices = list(choices)
    by_lower_case = {choice.lower(): choice for choice in choices}
    last = str(given).lower().rpartition("-")[2]  # "TDL-A" is profile "A"
    matches = [last] if last in by_lower_case else difflib.get_close_matches(str(given).lower(), by_lower_case, 1, 0.5)
    hint = f"; did you mean {by_lower_case[matches[0]]!r}?" if matches else ""
    return bad_value(what, given, ", ".join(choices) + hint)


def non_negative(what: str, given: float) -> float:
    """`given` as a float; `ValueError` unless it is a finite number from 0."""
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not (math.isfinite(given) and given >= 0):
        raise bad_value(what, given, "a finite number from 0")
    return float(given)
