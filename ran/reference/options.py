"""Keys of channels, impairments, receivers and predictors: the arguments of their constructors."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from ran.config.limits import LIMITS
from ran.link.catalogue import options, options_model
from ran.reference.allowed import allowed
from ran.reference.docstring import first_line
from ran.reference.key import Key, clause_of
from ran.reference.kinds import given_by_study, options_of_study, varied_option
from ran.reference.models import default_text
from ran.reference.text import key_texts

_NUMBERS = ("integer", "number")


def option_schema(cls: type) -> dict[str, Any]:
    """JSON schema of the options of a class, numbers within the limits that are checked when it is built."""
    schema = options_model(cls, given_by_study(cls)).model_json_schema()
    properties: dict[str, Any] = schema.setdefault("properties", {})
    for name, node in properties.items():
        _limit(node, name)
    varied = varied_option(cls)
    if varied is not None:
        node = properties[varied]
        one = {key: value for key, value in node.items() if key not in ("default", "title")}
        properties[varied] = {"default": node["default"], "anyOf": [one, {"type": "array", "items": one}]}
    properties.update(options_of_study(cls))
    schema.pop("title", None)
    return schema


def option_keys(cls: type, alike: type | None = None) -> Iterator[Key]:
    """Every option of a class. alike: the class whose docstring explains what the own one leaves to it."""
    schema = option_schema(cls)
    arguments = {name: p for name, p in options(cls).items() if name not in given_by_study(cls)}
    said = key_texts(cls, list(arguments), alike)
    for name, parameter in arguments.items():
        default = None if parameter.default is parameter.empty else default_text(parameter.default)
        text = said.get(name, "")
        clause = clause_of(text, first_line(cls))
        yield Key(name, default, allowed(schema["properties"][name]), text, clause)
    for name, node in options_of_study(cls).items():
        yield Key(name, default_text(node["default"]), allowed(node), node["description"], "")


def field_keys(cls: type) -> Iterator[Key]:
    """Every option of a block that a dataclass holds, such as `near_field`."""
    names = [name for name, p in inspect.signature(cls).parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    said = key_texts(cls, names)
    for name in names:
        parameter = inspect.signature(cls).parameters[name]
        limit = LIMITS.get(name)
        yield Key(
            name,
            None if parameter.default is parameter.empty else default_text(parameter.default),
            _annotation(parameter.annotation) + (f", {limit.low:g} to {limit.high:g}" if limit else ""),
            said.get(name, ""),
            clause_of(said.get(name, ""), first_line(cls)),
        )


def _annotation(annotation: object) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    words = {"float": "number", "int": "integer", "bool": "true or false", "str": "text", "None": "null"}
    parts = [part.strip() for part in str(text).split("|")]
    return " or ".join(
        words.get(part, "list of numbers" if part.startswith("tuple[float") else "block") for part in parts
    )


def _limit(node: dict[str, Any], name: str) -> None:
    """The limits of an option's numbers, in lists and alternatives as well."""
    limit = LIMITS.get(name)
    if limit is None:
        return
    if node.get("type") in _NUMBERS:
        node.setdefault("minimum", limit.low)
        node.setdefault("maximum", limit.high)
    for inner in [*node.get("anyOf", ()), *node.get("oneOf", ()), *node.get("prefixItems", ())]:
        _limit(inner, name)
    for part in ("items", "additionalProperties"):
        if isinstance(node.get(part), Mapping):
            _limit(node[part], name)
