"""What pydantic has to say about bad input, in one line: key path, value given, what is allowed, nearest match."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from ran.config.strict import Model, strictly
from ran.errors import InputError
from ran.suggestions import did_you_mean, did_you_mean_one_of, surely

_LONGEST_VALUE = 60
#: Blocks in blocks that are looked through for a key that was written elsewhere.
_DEEPEST = 3


def validate(model: type[Model], data: object, source: str = "") -> Model:
    """`data` (plain YAML values) as an instance of `model`, without conversions such as "24" or true to a number.

    Whole numbers are so by value: 1e4 and 24.0 are taken where an integer is wanted, 1.5 is not.
    Raises InputError with one line; `source` (a file name) is put in front of it.
    """
    try:
        valid = strictly(model, data)
    except ValidationError as error:
        raise InputError(_prefix(source) + explain(error, model)) from None
    except (TypeError, ValueError) as error:
        raise InputError(f"{_prefix(source)}{' '.join(str(error).split())}") from None
    # options of channels and receivers are checked when these are built, from JSON, which would have null here
    for location, value in _not_finite(data):
        raise InputError(f"{_prefix(source)}{key_path(location)}: got {value}; allowed: a finite number")
    return valid


def _not_finite(data: object, location: tuple[int | str, ...] = ()) -> Iterator[tuple[tuple[int | str, ...], float]]:
    """Places of the numbers of plain values that JSON does not have."""
    if isinstance(data, float) and not math.isfinite(data):
        yield location, data
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list | tuple) else ()
    for key, value in items:
        yield from _not_finite(value, (*location, key))


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first problem of `error` in one line, and how many more there are."""
    problems = _without_echoes(error.errors(include_url=False))
    # An unknown key is most often a misspelt one, and then the cause of a missing one.
    problems.sort(key=lambda problem: problem["type"] != "extra_forbidden")
    schema = model.model_json_schema()
    for key in getattr(model, "keys_of_loader", ()):
        schema["properties"].setdefault(key, {})
    line = _explain_one(problems[0], schema)
    return line if len(problems) == 1 else f"{line} (and {len(problems) - 1} more)"


def _without_echoes(problems: list[Any]) -> list[Any]:
    """Problems, except that a list is too short only because its items were refused."""
    places = [problem["loc"] for problem in problems]

    def is_echo(problem: Any) -> bool:
        place = problem["loc"]
        return problem["type"] == "too_short" and any(p != place and p[: len(place)] == place for p in places)

    return [problem for problem in problems if not is_echo(problem)]


def key_path(location: tuple[int | str, ...]) -> str:
    """`("receivers", 1, "name")` as `receivers.1.name`, as `--set` takes it. Tags of unions, `<so>`, are left out."""
    return ".".join(str(key) for key in location if not str(key).startswith("<"))


def _explain_one(problem: Any, schema: dict[str, Any]) -> str:
    location = tuple(problem["loc"])
    path = key_path(location)
    given = shown(problem["input"])
    kind = problem["type"]
    if kind == "extra_forbidden":
        keys = [key for c in _choices(_resolve(schema, location[:-1]), schema) for key in c.get("properties", {})]
        hint = did_you_mean_one_of(_elsewhere(location, schema)) or did_you_mean(location[-1], keys)
        return f"{path}: unknown key, got {given}; allowed: {', '.join(keys)}{hint}"
    node = _resolve(schema, location)
    allowed = describe(node, schema)
    if kind == "missing":
        return f"{path}: missing; allowed: {allowed}"
    if kind in ("value_error", "assertion_error"):
        text = " ".join(problem["msg"].removeprefix("Value error, ").split())
        return f"{path}: {text}" if path else text
    if kind == "literal_error" and isinstance(problem["input"], str):
        hint = did_you_mean(problem["input"], map(str, node.get("enum", [])))
        return f"{path}: got {given}; allowed: {allowed}{hint}"
    return f"{path or 'the file'}: got {given}; allowed: {allowed or problem['msg']}"


def _elsewhere(location: tuple[int | str, ...], schema: dict[str, Any]) -> list[str]:
    """Paths of the keys of other blocks that an unknown key stands for, those nearest to the top: `mcs` beside `pusch`
    is `pusch.mcs_index`. None where its own block has such a key."""
    paths = list(_key_paths(schema, schema))
    own = key_path(location[:-1])
    meant = surely(location[-1], [path.rpartition(".")[2] for path in paths])
    found = [path for path in paths if path.rpartition(".")[2] in meant]
    if any(path.rpartition(".")[0] == own for path in found):
        return []
    least = min((path.count(".") for path in found), default=0)
    return [path for path in found if path.count(".") == least]


def _key_paths(node: dict[str, Any], schema: dict[str, Any], path: str = "", depth: int = 0) -> Iterator[str]:
    """Dotted paths of all keys of blocks in blocks; items of lists have none."""
    for choice in _choices(node, schema):
        for key, inner in choice.get("properties", {}).items():
            yield f"{path}{key}"
            if depth < _DEEPEST:
                yield from _key_paths(inner, schema, f"{path}{key}.", depth + 1)


def shown(value: object) -> str:
    """`value` as text of bounded length on one line."""
    text = " ".join(repr(list(value) if isinstance(value, tuple) else value).split())
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."


def _resolve(schema: dict[str, Any], location: tuple[int | str, ...]) -> dict[str, Any]:
    """The part of a JSON schema that describes the value at `location`; empty when there is none."""
    node = _dereference(schema, schema)
    for key in location:
        choices = _choices(node, schema)
        if isinstance(key, str) and key.startswith("<"):
            tagged = [choice for choice in choices if choice.get("title", "").startswith(key)]
            node = tagged[0] if tagged else node
            continue
        for choice in choices:
            if isinstance(key, int) and (prefix := choice.get("prefixItems")) and key < len(prefix):
                node = prefix[key]
                break
            if isinstance(key, int) and "items" in choice:
                node = choice["items"]
                break
            if isinstance(key, str) and key in choice.get("properties", {}):
                node = choice["properties"][key]
                break
        else:
            return {}
        node = _dereference(node, schema)
    return node


def _choices(node: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """What a part of a schema may be: one or several alternatives, none of which is a choice itself."""
    node = _dereference(node, schema)
    nested = node.get("anyOf") or node.get("oneOf")
    return [choice for item in nested for choice in _choices(item, schema)] if nested else [node]


def _dereference(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return node


def describe(node: dict[str, Any], schema: dict[str, Any]) -> str:
    """The values that a part of a JSON schema allows, in words."""
    node = _dereference(node, schema)
    if text := node.get("allowed"):
        return str(text)
    if "enum" in node:
        return ", ".join(str(value) for value in node["enum"])
    if "const" in node:
        return str(node["const"])
    if choices := node.get("anyOf") or node.get("oneOf"):
        return " or ".join(describe(choice, schema) for choice in choices)
    kind = node.get("type")
    if kind == "object":
        keys = ", ".join(node.get("properties", {}))
        return f"a block with the keys {keys}" if keys else "a block of keys"
    if kind == "array":
        return f"a list of {describe(node.get('items', {}), schema) or 'values'}"
    words = {
        "integer": "a whole number",
        "number": "a number",
        "string": "text",
        "boolean": "true or false",
        "null": "null",
    }
    return words.get(str(kind), "") + _bounds(node)


def _bounds(node: dict[str, Any]) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f", {low} to {high}"
    parts = []
    if above is not None:
        parts.append(f"above {above}")
    if low is not None:
        parts.append(f"{low} or more")
    if below is not None:
        parts.append(f"below {below}")
    if high is not None:
        parts.append(f"{high} or less")
    return f", {' and '.join(parts)}" if parts else ""


def _prefix(source: str) -> str:
    return f"{source}: " if source else ""
