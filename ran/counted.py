"""Numbers with what they count."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """ "1 drop", "2 drops". plural: where an s does not make it."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
