"""The one form of every message about bad input: what, the value given, what is allowed, the nearest match."""

from __future__ import annotations

from collections.abc import Iterable

from ran.suggestions import did_you_mean


class InputError(ValueError):
    """Input that the toolkit refuses. The text is one line; the command line prints it and exits with 2."""


class ReceiverRefused(InputError):
    """A receiver that cannot work on slots of this kind. Others may, and it may on other slots."""


def bad_value(what: str, given: object, allowed: str) -> InputError:
    """An `InputError` that says what was wrong, what was given and what is allowed."""
    return InputError(f"{what}: got {given!r}; allowed: {allowed}")


def unknown_name(what: str, given: str, choices: Iterable[str]) -> InputError:
    """An `InputError` for a name that is not among `choices`, with the nearest match."""
    choices = sorted(str(c) for c in choices)
    return InputError(f"{what}: got {given!r}; allowed: {', '.join(choices)}{did_you_mean(given, choices)}")
