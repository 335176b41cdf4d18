"""Classes in a user's Python file, and what is said of errors in it."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from types import ModuleType

from ran.errors import InputError
from receivers.user_module import PREFIX, imported


def load_module(location: Path, path: str) -> ModuleType:
    """`receivers.user_module.imported` of a file. path: of the option that names it.

    `InputError` with file and line number where it cannot be imported.
    """
    try:
        return imported(location)
    except Exception as error:
        raise InputError(
            f"{path}.name: {location} cannot be imported: {type(error).__name__}: {error}{at_line(error, location)}"
        ) from error


def at_line(error: BaseException, location: Path) -> str:
    """ ", line N" of the innermost frame in a file that an error passed through; empty where it passed through none."""
    if isinstance(error, SyntaxError):
        return ""  # its own text has the line
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.lineno is not None and Path(frame.filename) == location.resolve()
    ]
    return f", line {lines[-1]}" if lines else ""


def place_in_user_code(error: BaseException) -> str | None:
    """FILE:LINE of the innermost frame in a module that `load_module` imported; None where there is none."""
    files = {
        module.__file__
        for name, module in list(sys.modules.items())
        if name.startswith(PREFIX) and getattr(module, "__file__", None)
    }
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in files:
            return f"{frame.filename}:{frame.lineno}"
    return None


def refusal_of_user_code(error: BaseException) -> InputError | None:
    """An error in a user's class as one line with its file and line number; None for any other error."""
    place = place_in_user_code(error)
    if place is None or isinstance(error, InputError):
        return None
    text = " ".join(str(error).split())
    return InputError(f"{place}: {type(error).__name__}{f': {text}' if text else ''}")
