"""Apply `--set a.b=c` to the mapping that an experiment file holds."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from ran.config.yaml_file import parse
from ran.errors import InputError, bad_value


def apply_overrides(data: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """A copy of `data` with every override `path=value` applied in order.

    A path is keys joined by dots; an item of a list is named by its number, from 0. The value is YAML. A block that
    is written as a bare name (`channel: awgn`) becomes a block when one of its options is set.
    Raises InputError for an override that is not of this form or that leads through a plain value.
    """
    data = copy.deepcopy(data)
    for override in overrides:
        path, equals, text = override.partition("=")
        keys = [key.strip() for key in path.split(".")]
        if not equals or not all(keys):
            raise bad_value("--set", override, "KEY.PATH=VALUE, for example carrier.num_prb=51")
        _assign(data, keys, parse(text, f"--set {path}"), f"--set {override}")
    return data


def assigned(data: dict[str, Any], values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """A copy of `data` with values put in by their paths, as by `apply_overrides`. source: names them in messages."""
    data = copy.deepcopy(data)
    for path, value in values.items():
        keys = [key.strip() for key in path.split(".")]
        if not all(keys):
            raise bad_value(source, path, "keys joined by dots, for example carrier.num_prb")
        _assign(data, keys, value, f"{source} {path}")
    return data


def _assign(data: dict[str, Any], keys: list[str], value: Any, override: str) -> None:
    parent: Any = data
    for depth, key in enumerate(keys[:-1]):
        child = _child(parent, key, keys[: depth + 1], override)
        if isinstance(child, str):
            child = {"name": child}
        elif child is None:
            child = {}
        elif not isinstance(child, dict | list):
            raise InputError(f"{override}: {'.'.join(keys[: depth + 1])} holds {child!r}; allowed: a block of keys")
        parent[_index(parent, key, keys[: depth + 1], override)] = child
        parent = child
    parent[_index(parent, keys[-1], keys, override)] = value


def _child(parent: Any, key: str, path: list[str], override: str) -> Any:
    if isinstance(parent, list):
        return parent[_index(parent, key, path, override)]
    return parent.get(key)


def _index(parent: Any, key: str, path: list[str], override: str) -> Any:
    if not isinstance(parent, list):
        return key
    if not key.isdecimal() or int(key) >= len(parent):
        raise bad_value(f"{override}: {'.'.join(path)}", key, f"a list index, 0 to {len(parent) - 1}")
    return int(key)
