"""The door that every input file comes in by: regular files alone, up to a stated size, and JSON up to a stated depth.

What is opened by name may be a pipe that nobody writes to, a device without an end, or a text that unfolds into
gigabytes. Size and kind are looked at before anything is read, nesting before anything walks through it.
`channels.files` and `receivers.files` are the doors of those two packages, which import nothing of this one.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from ran.errors import InputError

#: Largest text that a person or this program writes, such as an experiment or metadata.
MOST_TEXT_BYTES = 16 * 2**20
#: Deepest nesting of lists and mappings. What is read is walked by functions that call themselves.
MOST_DEPTH = 64


def check_regular(path: Path, most_bytes: int | None = None) -> int:
    """Size of a file in bytes; InputError unless it is a regular file of at most `most_bytes` bytes."""
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{shown_path(path)}: cannot be read: {_why(error)}") from None
    _check(path, found, most_bytes)
    return found.st_size


def read_bytes(path: Path, most_bytes: int) -> bytes:
    """Content of a regular file of at most `most_bytes` bytes; InputError in one line for anything else."""
    check_regular(path, most_bytes)
    try:
        # not to wait for the writer of a pipe that took the file's place in between
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            _check(path, found, most_bytes)
            return file.read(found.st_size)  # python sets aside as much as is asked for
    except OSError as error:
        raise InputError(f"{shown_path(path)}: cannot be read: {_why(error)}") from None


def read_text(path: Path, most_bytes: int = MOST_TEXT_BYTES, kind: str = "text") -> str:
    """A file of UTF-8 text. kind: what is allowed, for messages."""
    try:
        return read_bytes(path, most_bytes).decode()
    except UnicodeDecodeError:
        raise InputError(f"{shown_path(path)}: cannot be read: not UTF-8 text; allowed: {kind}") from None


def read_json(path: Path, most_bytes: int = MOST_TEXT_BYTES) -> Any:
    """The value in a JSON file."""
    return parse_json(read_text(path, most_bytes, "a JSON file"), str(shown_path(path)))


def parse_json(text: str | bytes, source: str) -> Any:
    """The value of a JSON text; InputError for what is none, or is nested deeper than `MOST_DEPTH`.

    source: names the text in messages.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise _too_deep(source) from None
    except (ValueError, TypeError) as error:
        raise InputError(f"{source}: not valid JSON: {' '.join(str(error).split())}") from None
    check_depth(value, source)
    return value


def check_depth(value: Any, source: str) -> None:
    """InputError for lists and mappings that are nested deeper than `MOST_DEPTH`."""
    level = [value]
    for _ in range(MOST_DEPTH + 1):
        level = [
            item
            for outer in level
            if isinstance(outer, dict | list)
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise _too_deep(source)


def shown_path(path: Path | str) -> str:
    """A path as messages give it: printable, and of one that is longer than a screen the beginning."""
    text = str(path).encode(errors="replace").decode(errors="replace")
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= 300 else f"{text[:80]}... ({len(text)} characters)"


def _check(path: Path, found: os.stat_result, most_bytes: int | None) -> None:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFSOCK: "a socket",
    }
    if not stat.S_ISREG(found.st_mode):
        kind = kinds.get(stat.S_IFMT(found.st_mode), "a special file")
        raise InputError(f"{shown_path(path)}: cannot be read: is {kind}; allowed: a regular file")
    if most_bytes is not None and found.st_size > most_bytes:
        raise _too_large(path, found.st_size, most_bytes)


def _too_large(path: Path, size: int, most_bytes: int) -> InputError:
    return InputError(f"{shown_path(path)}: got {size} bytes; allowed: up to {most_bytes}")


def _too_deep(source: str) -> InputError:
    return InputError(f"{source}: got lists and mappings in more than {MOST_DEPTH} levels; allowed: up to {MOST_DEPTH}")


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split())
