"""Validation of plain values without conversions, in which a whole number is one by its value."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


def strictly(model: type[Model], data: object) -> Model:
    """`data`, plain values as JSON has them, as an instance of `model` without conversions such as "24" to a number.

    Whole numbers are so by value: 1e4 and 24.0 are taken where an integer is wanted, 1.5 is not.
    Errors are those of pydantic; TypeError for values that JSON does not have.
    """
    while True:
        try:
            return model.model_validate_json(json.dumps(data), strict=True)
        except ValidationError as error:
            places = [problem["loc"] for problem in error.errors(include_url=False) if _is_whole(problem)]
            changed = data
            for place in places:
                changed = _with_whole_number(changed, place)
            # NaN differs from itself; dumps has one spelling for it
            if json.dumps(changed) == json.dumps(data):
                raise
            data = changed


def _is_whole(problem: Any) -> bool:
    """Whether a problem is a whole number that was written as 1e4 or 24.0 where an integer is wanted."""
    given = problem["input"]
    return (
        problem["type"] in ("int_type", "int_from_float", "literal_error")
        and isinstance(given, float)
        and given.is_integer()
    )


def _with_whole_number(data: Any, place: tuple[int | str, ...]) -> Any:
    """`data` with the number at a place as an integer; parts of a place that only pydantic has, as tags, are passed."""
    if not place:
        return int(data) if isinstance(data, float) and data.is_integer() else data
    key, rest = place[0], place[1:]
    if isinstance(data, dict) and key in data:
        return {**data, key: _with_whole_number(data[key], rest)}
    if isinstance(data, list | tuple) and isinstance(key, int) and key < len(data):
        return [_with_whole_number(item, rest) if i == key else item for i, item in enumerate(data)]
    return _with_whole_number(data, rest)
