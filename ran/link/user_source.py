"""What code and files of a user an outcome depends on, as a hash."""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def source_digest(file: Path) -> str:
    """SHA-256 of a Python file and of all modules beside it that it imports, directly or through one another.

    Modules are looked for in the folder of the file alone; what is installed is named by its version elsewhere.
    """
    total = hashlib.sha256()
    for path in source_files(file):
        # names and lengths too, so that no two sets of files look alike
        content = path.read_bytes()
        name = path.relative_to(file.parent).as_posix() if path != file else ""
        total.update(f"{name}\0{len(content)}\0".encode() + content)
    return total.hexdigest()


def source_files(file: Path) -> list[Path]:
    """The file, then the modules beside it that it needs, by name."""
    found: set[Path] = set()
    waiting = [file]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        waiting += _imports(path, file.parent)
    return [file, *sorted(found - {file})]


def _imports(path: Path, folder: Path) -> Iterator[Path]:
    """Files in `folder` that a module imports."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        # what cannot be parsed cannot be imported either, which says so
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _module(folder, alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = path.parents[node.level - 1] if node.level else folder
            base = f"{node.module}." if node.module else ""
            if node.module:
                yield from _module(above, node.module)
            for alias in node.names:
                yield from _module(above, base + alias.name)


def _module(folder: Path, name: str) -> Iterator[Path]:
    """Files of a module and of the packages that hold it, where they are in `folder`."""
    place = folder
    for part in name.split("."):
        place = place / part
        for candidate in (place.with_suffix(".py"), place / "__init__.py"):
            if candidate.is_file():
                yield candidate


def named_files_digest(options: Mapping[str, Any], folder: Path) -> str:
    """SHA-256 of the content of every file that an option names, relative to `folder`; empty where none does."""
    total, any_file = hashlib.sha256(), False
    for key, value in sorted(_texts(options)):
        path = folder / os.path.expanduser(value)
        try:
            content = path.read_bytes() if path.is_file() else None
        except (OSError, ValueError):
            content = None
        if content is not None:
            any_file = True
            total.update(f"{key}\0{len(content)}\0".encode() + content)
    return total.hexdigest() if any_file else ""


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text in nested options, with its place."""
    if isinstance(value, str):
        # longer than any file system's names
        if value and len(value) < 4096:
            yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts(item, f"{path}.{index}")
