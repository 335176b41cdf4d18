"""The checks that constructors of impairments make on their options."""

from __future__ import annotations

import math
from collections.abc import Iterable

from channels.errors import bad_value, unknown_name


def finite(what: str, given: float) -> float:
    """`given` as a float; `ValueError` unless it is a finite number."""
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not math.isfinite(given):
        raise bad_value(what, given, "a finite number")
    return float(given)


def positive(what: str, given: float) -> float:
    """`given` as a float; `ValueError` unless it is a finite number above 0."""
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not (math.isfinite(given) and given > 0):
        raise bad_value(what, given, "a finite number above 0")
    return float(given)


def whole(what: str, given: int, low: int, high: int) -> int:
    """`given`; `ValueError` unless it is an integer from `low` to `high`."""
    if isinstance(given, bool) or not isinstance(given, int) or not low <= given <= high:
        raise bad_value(what, given, f"an integer from {low} to {high}")
    return given


def one_of(what: str, given: str, choices: Iterable[str]) -> str:
    """`given`; `ValueError` with the nearest match unless it is one of `choices`."""
    choices = list(choices)
    if given not in choices:
        raise unknown_name(what, given, choices)
    return given
