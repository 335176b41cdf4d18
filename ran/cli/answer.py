"""`--json`: what a command came to as one JSON document on standard output, for programs; the same way for every verb.

Every command says what it came to by `answer` (or `report`), whether it is asked for JSON or not. With `--json` its own
text goes to standard error, with the progress, and the document is all that standard output has.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import inspect
import json
import math
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

_JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON document; everything else goes to standard error.")
]
_PARAMETER = "as_json"

_found: dict[str, Any] = {}


def answer(**values: Any) -> None:
    """Add to what the command came to. Paths, dataclasses, numpy numbers and names of files are written as JSON has
    them; numbers that are not finite as null."""
    _found.update(values)


def report(page: Path, table: Path | None = None, **values: Any) -> None:
    """A page as the result: print where it is. table: a CSV file, whose rows are in the answer."""
    print(f"report: {page}")
    rows = {} if table is None else {"table": table, "rows": rows_of(table)}
    answer(report=page, **rows, **values)


def rows_of(table: Path) -> list[dict[str, Any]]:
    """Rows of a CSV file by the names of its columns, numbers as such and empty cells as None."""
    with table.open(encoding="utf-8", newline="") as file:
        return [{name: _cell(text) for name, text in row.items()} for row in csv.DictReader(file)]


def _cell(text: str) -> Any:
    if text == "":
        return None
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def with_json(app: typer.Typer, path: str = "") -> None:
    """Give every command of an application, and of its groups, the option `--json`."""
    for command in app.registered_commands:
        if command.callback is not None:
            command.callback = _answering(command.callback, f"{path}{command.name}")
    for group in app.registered_groups:
        if group.typer_instance is not None:
            with_json(group.typer_instance, f"{path}{group.name} ")


def _answering(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A command with the option `--json`, which hides what it prints and prints its answer."""

    @functools.wraps(function)
    def command(**arguments: Any) -> None:
        as_json = arguments.pop(_PARAMETER)
        _found.clear()
        if not as_json:
            function(**arguments)
            return
        out = sys.stdout
        try:
            with redirect_stdout(sys.stderr):
                function(**arguments)
        finally:
            # also where the command ends with a status of 1 after its results
            if _found:
                document = json.dumps(plain({"command": name, **_found}), indent=1, ensure_ascii=False)
                print(document, file=out, flush=True)

    signature = inspect.signature(function, eval_str=True)
    option = inspect.Parameter(_PARAMETER, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_JsonOption)
    command.__signature__ = signature.replace(parameters=[*signature.parameters.values(), option])  # type: ignore[attr-defined]
    command.__annotations__ = {**function.__annotations__, _PARAMETER: _JsonOption}
    return command


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # numbers and arrays of numpy
        return plain(value.tolist())
    raise TypeError(f"answer: got a {type(value).__name__}; allowed: what JSON has")
