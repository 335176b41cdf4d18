"""What a docstring says of single names: `name: text` or `name, other: text`, up to the next one or a blank line."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable


def texts(cls: type, names: Iterable[str]) -> dict[str, str]:
    """Text by name from the docstring of a class, and of its bases for names that it does not explain."""
    wanted = list(names)
    found: dict[str, str] = {}
    for base in cls.__mro__:
        document = base.__dict__.get("__doc__")
        if document and base is not object:
            for name, text in _of_document(inspect.cleandoc(document), wanted).items():
                found.setdefault(name, text)
    return found


def first_line(cls: type) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(cls) or "").split("\n")[0]


def _of_document(document: str, names: list[str]) -> dict[str, str]:
    if not names:
        return {}
    one = "(?:" + "|".join(sorted(map(re.escape, names), key=len, reverse=True)) + r")(?: \([^)]*\))?"
    start = re.compile(rf"(?<![\w`.]){one}(?:(?:,| and|, and)\s+{one})*:\s")
    found: dict[str, str] = {}
    for paragraph in re.split(r"\n\s*\n", document):
        starts = list(start.finditer(paragraph))
        for index, match in enumerate(starts):
            end = starts[index + 1].start() if index + 1 < len(starts) else len(paragraph)
            text = " ".join(paragraph[match.end() : end].split())
            for name in re.findall(one, match.group()):
                found.setdefault(name.split(" ")[0], text)
    return found
