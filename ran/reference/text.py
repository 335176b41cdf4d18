"""What every key means, from docstrings, and from `texts.yaml` for the keys that no docstring explains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml

from ran.reference.docstring import texts


@cache
def written_texts() -> Mapping[str, Mapping[str, str]]:
    """Texts of `texts.yaml`, by class and key."""
    found: dict[str, dict[str, str]] = yaml.safe_load(
        resources.files("ran.reference").joinpath("texts.yaml").read_text()
    )
    return found


def key_texts(cls: type, names: Iterable[str], alike: type | None = None) -> dict[str, str]:
    """Text by key of a class: its docstring and those of its bases, then of `alike`, then `texts.yaml`."""
    wanted = list(names)
    found: dict[str, str] = {}
    for base in (cls, *([alike] if alike else [])):
        for name, text in texts(base, wanted).items():
            found.setdefault(name, _sentence(text))
    for base in cls.__mro__:
        for name, text in written_texts().get(base.__name__, {}).items():
            if name in wanted:
                found.setdefault(name, text)
    return found


def _sentence(text: str) -> str:
    """The text without what joins it to the next one."""
    return text.strip().rstrip(";").strip()


def model_classes(model: Any) -> dict[str, type]:
    """A model and those inside it, by name, as the definitions of its schema are called."""
    from ran.reference.models import inner_models

    found: dict[str, type] = {model.__name__: model}
    for field in model.model_fields.values():
        for inner in inner_models(field.annotation, with_blocks=True):
            if inner.__name__ not in found:
                found.update(model_classes(inner))
    return found
