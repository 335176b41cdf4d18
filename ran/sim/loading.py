"""Experiments by name or from files: one loader for all kinds of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from ran.config.overrides import apply_overrides
from ran.config.strict import Model
from ran.config.validation import validate
from ran.config.yaml_file import read_mapping
from ran.errors import InputError, unknown_name
from ran.link.constellation import with_points
from ran.sim.site_title import retitled

#: How the names of files end that experiments use.
FILE_SUFFIXES = (".safetensors", ".onnx", ".tflite", ".npz", ".xml")


def shipped(package: str) -> dict[str, Path]:
    """Name to file of the experiments that a package holds."""
    return {path.stem: path for path in sorted(Path(str(resources.files(package))).glob("*.yaml"))}


def load_as(
    model: type[Model], name_or_path: str | Path, overrides: Iterable[str], built_in: Mapping[str, Path]
) -> tuple[Model, Path]:
    """The experiment in a file, or the built-in one of that name, with `overrides` (`a.b=c`) applied; and the folder
    that its relative file names belong to: the file's, or the current one when it is built in.

    The constellation of weights that `pusch` names is put in. InputError with one line for everything that is wrong.
    """
    data, folder = read_values(name_or_path, overrides, built_in)
    if "sweep" in data:
        verbs = "`ran sim`, `ran adapt`, `ran beams` and `ran csi`"
        raise InputError(f"{name_or_path}: sweep: got one; allowed: with {verbs}, elsewhere none")
    return validate(model, with_points(data, folder), str(name_or_path)), folder


def read_values(
    name_or_path: str | Path, overrides: Iterable[str], built_in: Mapping[str, Path]
) -> tuple[dict[str, Any], Path]:
    """The values that `load_as` validates, with `overrides` applied, and the folder of their relative file names."""
    path = _find(name_or_path, built_in)
    data = read_mapping(path)
    data.setdefault("name", path.stem)
    folder = Path.cwd() if str(name_or_path) in built_in else path.resolve().parent
    return retitled(data, apply_overrides(data, overrides)), folder


def _find(name_or_path: str | Path, built_in: Mapping[str, Path]) -> Path:
    if str(name_or_path) in built_in:
        return built_in[str(name_or_path)]
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or path.exists() or not built_in:
        return path
    raise unknown_name("experiment (a YAML file or a built-in name)", str(name_or_path), built_in)


def absolute_files(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A block with its relative file names taken relative to `folder`. A label is no file, whatever its ending."""

    def absolute(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: absolute(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(absolute(item) for item in value)
        is_file = isinstance(value, str) and (".py:" in value or value.endswith(FILE_SUFFIXES))
        return str(folder / os.path.expanduser(value)) if is_file else value

    return {key: value if key == "label" else absolute(value) for key, value in values.items()}
