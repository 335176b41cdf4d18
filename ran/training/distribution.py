"""Configurations whose leaves may be drawn: `{choice: [...]}`, `{uniform: [a, b]}`, `{log_uniform: [a, b]}`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from sys import float_info
from typing import Any

import numpy as np

from ran.errors import bad_value

_KINDS = ("choice", "uniform", "log_uniform")


def is_distribution(node: Any) -> bool:
    return isinstance(node, Mapping) and len(node) == 1 and next(iter(node)) in _KINDS


def check(node: Any, path: str) -> None:
    """Refuse malformed distributions anywhere in a tree, naming the key's path."""
    if is_distribution(node):
        kind, argument = next(iter(node.items()))
        where = f"{path}.{kind}"
        if kind == "choice":
            if not isinstance(argument, (list, tuple)) or not argument:
                raise bad_value(where, argument, "a list with at least one entry")
            for i, value in enumerate(argument):
                check(value, f"{where}.{i}")
            return
        numbers = isinstance(argument, (list, tuple)) and len(argument) == 2
        numbers = numbers and all(
            isinstance(v, (int, float)) and not isinstance(v, bool) and abs(v) <= float_info.max for v in argument
        )
        if not numbers or not argument[0] <= argument[1]:
            raise bad_value(where, argument, "[low, high] with low <= high")
        if kind == "log_uniform" and not argument[0] > 0:
            raise bad_value(where, argument, "[low, high] with low > 0")
    elif isinstance(node, Mapping):
        for key, value in node.items():
            check(value, f"{path}.{key}")
    elif isinstance(node, (list, tuple)):
        for i, value in enumerate(node):
            check(value, f"{path}.{i}")


def ends(node: Any) -> Iterator[Any]:
    """What a sound distribution may be at its ends, or all that it may be; of a plain value the value."""
    if is_distribution(node):
        for value in next(iter(node.values())):
            yield from ends(value)
    else:
        yield node


def extremes(tree: Mapping[str, Any], generator: np.random.Generator) -> Iterator[Any]:
    """Trees in which every distribution in turn is at each of its ends, or all that it may be, and the others are
    drawn."""
    for path, node in _distributions(tree):
        for value in ends(node):
            yield draw(_put(tree, path, value), generator)


def _distributions(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if is_distribution(node):
        yield path, node
        return
    items = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list | tuple) else ()
    for key, value in items:
        yield from _distributions(value, (*path, key))


def _put(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    if isinstance(node, Mapping):
        return {**node, path[0]: _put(node[path[0]], path[1:], value)}
    return [_put(item, path[1:], value) if i == path[0] else item for i, item in enumerate(node)]


def draw(node: Any, generator: np.random.Generator) -> Any:
    """A tree of the same shape with every distribution replaced by a value drawn from it."""
    if is_distribution(node):
        kind, argument = next(iter(node.items()))
        if kind == "choice":
            return draw(argument[int(generator.integers(len(argument)))], generator)
        low, high = float(argument[0]), float(argument[1])
        if kind == "uniform":
            return float(generator.uniform(low, high))
        return float(np.exp(generator.uniform(np.log(low), np.log(high))))
    if isinstance(node, Mapping):
        return {key: draw(value, generator) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [draw(value, generator) for value in node]
    return node


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `change` laid over it, mappings merged key by key."""
    out = dict(base)
    for key, value in change.items():
        old = out.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        replace = not both or is_distribution(old) or is_distribution(value) or "name" in value
        out[key] = value if replace else merge(old, value)  # type: ignore[arg-type]
    return out
