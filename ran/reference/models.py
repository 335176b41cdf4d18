"""Keys of the files that pydantic models describe."""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from ran.reference.allowed import allowed
from ran.reference.docstring import first_line
from ran.reference.key import Key, clause_of
from ran.reference.text import key_texts
from ran.sim.experiment import Block


def model_keys(model: type[BaseModel], prefix: str = "", variant: str = "") -> Iterator[Key]:
    """Every key of a file that a model describes, blocks before their own keys, in the order of the model."""
    schema = model.model_json_schema()
    said = key_texts(model, model.model_fields)
    document = inspect.getdoc(model) or ""
    for name, field in model.model_fields.items():
        node = schema["properties"][name]
        inner = tuple(inner_models(field.annotation))
        text = said.get(name) or (first_line(inner[0]) if len(inner) == 1 else "")
        clause = clause_of(text, *([document.split("\n")[0]] if not inner else [inspect.getdoc(inner[0]) or ""]))
        path = f"{prefix}{name}"
        yield Key(path, _default(field.default, field.default_factory), allowed(node), text, clause, variant)
        in_list = "[]" if _is_list(node) else ""
        for part in inner:
            which = _variant(part) if len(inner) > 1 else variant
            yield from model_keys(part, f"{path}{in_list}.", which)


def inner_models(annotation: Any, *, with_blocks: bool = False) -> Iterator[type[BaseModel]]:
    """Models of an annotation, in order; blocks {name: ..., options} only on demand, as their names have pages."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        if with_blocks or not issubclass(annotation, Block):
            yield annotation
        return
    for part in typing.get_args(annotation):
        yield from inner_models(part, with_blocks=with_blocks)


def _is_list(node: Mapping[str, Any]) -> bool:
    """Whether a value is a list, where it is not null."""
    forms = [form for form in node.get("anyOf", [node]) if form.get("type") != "null"]
    return bool(forms) and all(form.get("type") == "array" for form in forms)


def _variant(model: type[BaseModel]) -> str:
    """The name of one of several blocks: `svd` of `name: svd`, or its only key."""
    field = model.model_fields.get("name")
    names = typing.get_args(field.annotation) if field else ()
    return str(names[0]) if names else ""


def _default(value: Any, factory: Any) -> str | None:
    if value is PydanticUndefined:
        return "{}" if factory is not None else None
    if isinstance(value, BaseModel):
        return "the defaults of its keys"
    return default_text(value)


def default_text(value: Any) -> str:
    """A default as YAML has it."""
    if isinstance(value, tuple):
        value = list(value)
    return json.dumps(value, default=str).strip('"')
