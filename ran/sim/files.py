"""Write files so that a reader finds the old one or the new one, never half of it."""

from __future__ import annotations

import os
from pathlib import Path

from ran.errors import InputError


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in one step. InputError when that is not possible."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.unlink(missing_ok=True)  # of a killed process, or a link that somebody laid
        with new.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


def make_folder(path: Path) -> None:
    """The folder and those above it. InputError when that is not possible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be made: {error.strerror or error}; allowed: a writable folder") from None
