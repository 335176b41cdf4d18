"""The form of messages about bad input here: what, the value given, what is allowed."""

from __future__ import annotations


def bad_value(what: str, given: object, allowed: str) -> ValueError:
    """A `ValueError` of one line that says what was wrong, what was given and what is allowed."""
    return ValueError(f"{what}: got {given!r}; allowed: {allowed}")
