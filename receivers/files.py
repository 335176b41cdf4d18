"""Files of models: regular ones alone, of at most so many bytes.

The counterpart of `ran.config.doors`, which this package does not import.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

#: Largest file of weights or of a model.
MOST_BYTES = 2 * 2**30
#: Largest model card, and deepest nesting in it. The largest of ours has 66 kB.
MOST_CARD_BYTES = 4 * 2**20
MOST_DEPTH = 64


def read_bytes(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """Content of a regular file of at most so many bytes; `ValueError` in one line for anything else."""
    try:
        # before it is opened, which a pipe would not return from
        found = os.stat(path)
        _check(path, found, most_bytes)
        with path.open("rb") as file:
            return file.read(found.st_size)  # python sets aside as much as is asked for
    except OSError as error:
        raise ValueError(f"{_shown(path)}: cannot be read: {error.strerror or error}") from None


def read_json(path: Path) -> Any:
    """The value in a JSON file of at most `MOST_CARD_BYTES` bytes and `MOST_DEPTH` levels; `ValueError` otherwise."""
    return parse_json(read_bytes(path, MOST_CARD_BYTES))


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. `ValueError` for what is none or is nested deeper than `MOST_DEPTH`."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(f"got more than {MOST_DEPTH} levels; allowed: up to {MOST_DEPTH}") from None
    level = [value]
    for _ in range(MOST_DEPTH + 1):
        level = [
            item
            for outer in level
            if isinstance(outer, dict | list)
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return value
    raise ValueError(f"got more than {MOST_DEPTH} levels; allowed: up to {MOST_DEPTH}")


def _check(path: Path, found: os.stat_result, most_bytes: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{_shown(path)}: cannot be read: is no regular file; allowed: a file")
    if found.st_size > most_bytes:
        raise ValueError(f"{_shown(path)}: got {found.st_size} bytes; allowed: up to {most_bytes}")


def _shown(path: Path) -> str:
    text = str(path).encode(errors="replace").decode(errors="replace")
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= 300 else f"{text[:80]}... ({len(text)} characters)"
