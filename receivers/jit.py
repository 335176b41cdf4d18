"""Compiling loops with numba: once per machine, kept on disk.

numba keeps what it compiled beside the source file, or in the user's cache directory where that cannot be written, by
version, processor and source; files are renamed into place, so processes may race.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numba

#: Folder in the cache directory that generated sources are kept in, with what numba makes of them beside: this user's
#: alone, as numba looks at neither owner nor mode of what it loads.
FOLDER = "generated"
#: No reordering of sums: a result does not depend on vector width. Fused multiply-add alone is allowed.
_OPTIONS: dict[str, Any] = {"fastmath": {"contract"}, "boundscheck": False, "error_model": "numpy", "nogil": True}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, compiled when first called with arguments of new types."""
    return _compiled(function, _OPTIONS)


def compiled_to_the_digit(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same without fused multiply-add: every operation is rounded, as in plain C for any x86-64."""
    return _compiled(function, {**_OPTIONS, "fastmath": False})


def _compiled(function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:
        # no directory can be written: every process compiles for itself
        return numba.njit(**options)(function)


def cache_directory() -> Path:
    """Where generated sources and what numba makes of them are kept: $RAN_CACHE_DIR or the user's cache directory."""
    chosen = os.environ.get("RAN_CACHE_DIR")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    home = Path(os.path.expanduser("~"))
    if not base and not home.is_absolute():  # no HOME and no entry in the list of users
        return _private_folder()
    return (Path(base) if base else home / ".cache") / "ran6g"


@lru_cache(maxsize=1)
def _private_folder() -> Path:
    """A folder among the temporary files that nobody else can write to, as code is loaded from it; the same one for
    all processes of a user, or one of this process where another user has taken its name."""
    if not hasattr(os, "getuid"):
        return Path(tempfile.mkdtemp(prefix="ran6g-"))
    folder = Path(tempfile.gettempdir()) / f"ran6g-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
    return folder if is_ours else Path(tempfile.mkdtemp(prefix="ran6g-"))


def generated_module(name: str, source: str) -> ModuleType:
    """A module made of `source`, kept in the cache directory so that numba can cache what it compiles of it.

    The file's name holds a hash of its text, and a file with another text is written anew, under another name first and
    then renamed: processes may race. Where the directory cannot be written, the module lives in memory.
    """
    path = cache_directory() / FOLDER / f"{name}_{hashlib.sha256(source.encode()).hexdigest()[:16]}.py"
    if path.stem in sys.modules:
        return sys.modules[path.stem]
    module = ModuleType(path.stem)
    if _keep(path, source):
        module.__file__ = str(path)
    sys.modules[path.stem] = module  # numba looks the module up when it loads from its cache
    exec(compile(source, getattr(module, "__file__", None) or f"<{name}>", "exec"), module.__dict__)
    return module


def _is_trusted(path: Path) -> bool:
    """Whether nobody but this user and the system can write to a file or folder, as numba loads machine code from
    beside it; also for one that is not there yet."""
    try:
        found = path.stat()
    except OSError:
        return True
    if not hasattr(os, "getuid"):
        return True
    return found.st_uid in (os.getuid(), 0) and not found.st_mode & 0o022


def _keep(path: Path, source: str) -> bool:
    """Make sure that the file holds the source; False where that is not possible."""
    if not _is_trusted(path.parent):
        return False
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if _is_trusted(path) and path.read_text(encoding="utf-8") == source:
            return True
    try:
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(source)
            os.replace(temporary, path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            return False
    except OSError:
        return False
    return True
