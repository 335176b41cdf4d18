"""The form of messages about bad input here: what, the value given, what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def bad_value(what: str, given: object, allowed: str) -> ValueError:
    """A `ValueError` of one line that says what was wrong, what was given and what is allowed."""
    return ValueError(f"{what}: got {given!r}; allowed: {allowed}")


def unknown_name(what: str, given: str, choices: Iterable[str]) -> ValueError:
    """A `ValueError` for a name that is not among `choices`, with those that it may stand for."""
    choices = list(choices)
    return bad_value(what, given, ", ".join(choices) + did_you_mean(given, choices))


def did_you_mean(given: str, choices: Iterable[str]) -> str:
    """The end of a message about an unknown name: the allowed ones that begin with it, or the one that it misspells."""
    choices = list(choices)
    close = difflib.get_close_matches(given, choices, n=1, cutoff=0.8)
    found = close or [choice for choice in choices if choice.startswith(given)]
    found = found or difflib.get_close_matches(given, choices, n=1, cutoff=0.5)
    return f"; did you mean {' or '.join(map(repr, found))}?" if given and found else ""
