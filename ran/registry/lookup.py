"""Classes by name, and their descriptions."""

from __future__ import annotations

import ast
import inspect
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ran.errors import InputError, bad_value, unknown_name
from ran.registry.kinds import Kind
from ran.registry.user_file import load_module


def is_user_file(name: str) -> bool:
    """Whether a name is of the form FILE.py:Class."""
    file, separator, _ = name.rpartition(":")
    return bool(separator) and file.endswith(".py")


def names(kind: Kind) -> list[str]:
    """Every name of a kind: shipped ones, then those of installed packages."""
    return [*kind.shipped, *(name for name in installed(kind) if name not in kind.shipped)]


def installed(kind: Kind) -> dict[str, EntryPoint]:
    """Entry points of installed packages, by name."""
    return {point.name: point for point in entry_points(group=kind.group)}


def find_class(kind: Kind, name: str, base_dir: Path | None = None, path: str = "", forms: tuple[str, ...] = ()) -> Any:
    """The class of that name. path: of the option that has it. forms: further forms that a name may have, for messages.

    `InputError` for an unknown name, a file that is missing or cannot be imported, and a class of another kind.
    """
    if name in kind.shipped:
        return _at(kind.shipped[name])
    if is_user_file(name):
        return _user_class(kind, name, base_dir or Path.cwd(), path)
    point = installed(kind).get(name)
    if point is None:
        raise unknown_name(f"{path}.name", name, [*names(kind), "FILE.py:ClassName", *forms])
    try:
        cls = point.load()
    except Exception as error:
        raise InputError(
            f"{path}.name: {name!r} of {point.value} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    return _of_kind(kind, cls, f"{path}.name", name, point.value)


def _user_class(kind: Kind, name: str, folder: Path, path: str) -> Any:
    file, _, class_name = name.rpartition(":")
    location = folder / file
    if not location.is_file():
        raise bad_value(f"{path}.name", name, f"a file that exists; there is no {location}")
    cls = getattr(load_module(location, path), class_name, None)
    return _of_kind(kind, cls, f"{path}.name", name, file)


def _of_kind(kind: Kind, cls: Any, what: str, name: str, file: str) -> Any:
    base = _at(kind.base)
    if not (inspect.isclass(cls) and issubclass(cls, base)):
        raise bad_value(
            what, name, f"a subclass of {kind.base.replace('.interface:', '.').replace(':', '.')} defined in {file}"
        )
    return cls


def _at(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def descriptions(kind: Kind) -> dict[str, str]:
    """Name and first line of the docstring of everything of a kind, without importing it."""
    return {name: described(kind.shipped[name]) for name in kind.shipped} | {
        name: described(point.value) for name, point in installed(kind).items() if name not in kind.shipped
    }


def described(place: str) -> str:
    """First line of the docstring of MODULE:Class, read from the source; empty where there is none."""
    module, _, name = place.partition(":")
    file = _source_file(module)
    if file is None:
        return ""
    for node in _parsed(file).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return (ast.get_docstring(node) or "").split("\n")[0]
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # a package that hands on what a module of it defines
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return described(f"{node.module}:{alias.name}")
    return ""


def option_names(place: str) -> tuple[str, ...] | None:
    """Arguments of the constructor of MODULE:Class, read from the source; None where the class has none of its own, or
    one that takes any."""
    module, _, name = place.partition(":")
    file = _source_file(module)
    classes = [] if file is None else [node for node in _parsed(file).body if isinstance(node, ast.ClassDef)]
    for node in classes:
        for part in node.body if node.name == name else ():
            if isinstance(part, ast.FunctionDef) and part.name == "__init__":
                given = part.args
                if given.vararg or given.kwarg or given.posonlyargs:
                    return None
                return tuple(argument.arg for argument in (*given.args[1:], *given.kwonlyargs))
    return None


def _source_file(module: str) -> Path | None:
    """The source of a module. Found without importing the packages that hold it, which may take long."""
    top, *parts = module.split(".")
    spec = find_spec(top)
    if spec is None or spec.origin is None:
        return None
    place = Path(spec.origin)
    if parts:
        place = place.parent.joinpath(*parts)
        place = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return place if place.suffix == ".py" and place.is_file() else None


@lru_cache(maxsize=64)
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes())
