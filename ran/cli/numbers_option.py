"""Options of the command line that are several numbers in one text."""

from __future__ import annotations

from ran.errors import bad_value


def numbers(option: str, text: str, separator: str, count: int) -> list[float]:
    """So many numbers, or `InputError` that names the option."""
    try:
        found = [float(part) for part in text.split(separator)]
    except ValueError:
        found = []
    if len(found) != count:
        raise bad_value(option, text, f"{count} numbers with {separator!r} between them")
    return found


def whole_numbers(option: str, text: str, separator: str, count: int) -> list[int]:
    """So many whole numbers from 0, or `InputError` that names the option."""
    parts = [part.strip() for part in text.split(separator)]
    if len(parts) != count or not all(part.isascii() and part.isdigit() for part in parts):
        raise bad_value(option, text, f"{count} whole numbers from 0 with {separator!r} between them")
    return [int(part) for part in parts]
