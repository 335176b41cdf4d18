"""The one form of every message about bad input: what, the value given, what is allowed, the nearest match."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Input that the toolkit refuses. The text is one line; the command line prints it and exits with 2."""


class ReceiverRefused(InputError):
    """A receiver that cannot work on slots of this kind. Others may, and it may on other slots."""


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice that `name` was probably meant to be, or None when nothing is close."""
    matches = difflib.get_close_matches(str(name), [str(c) for c in choices], n=1, cutoff=0.5)
    return matches[0] if matches else None


def bad_value(what: str, given: object, allowed: str) -> InputError:
    """An `InputError` that says what was wrong, what was given and what is allowed."""
    return InputError(f"{what}: got {given!r}; allowed: {allowed}")


def unknown_name(what: str, given: str, choices: Iterable[str]) -> InputError:
    """An `InputError` for a name that is not among `choices`, with the nearest match."""
    choices = sorted(str(c) for c in choices)
    match = nearest(given, choices)
    hint = f"; did you mean {match!r}?" if match else ""
    return InputError(f"{what}: got {given!r}; allowed: {', '.join(choices)}{hint}")
