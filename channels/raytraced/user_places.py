"""Where the users of a scene are: on a grid, anywhere in a region, along a trajectory, or at given positions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from channels.errors import bad_value, unknown_name

_OF_LAYOUT = {
    "grid": {"x_m", "y_m", "spacing_m", "height_m"},
    "region": {"x_m", "y_m", "num_positions", "height_m", "seed"},
    "trajectory": {"points_m", "spacing_m"},
    "positions": {"positions_m"},
}
_MAX_POSITIONS = 1_000_000


def user_places(block: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Positions float64 [num_positions, 3] in metres, and headings float64 [num_positions] in radians, NaN for none.

    layout: "grid" (x_m and y_m as [from, to], spacing_m, height_m 1.5), "region" (x_m, y_m, num_positions, height_m
    1.5, seed 0: uniformly random), "trajectory" (points_m: corners of a line in space, spacing_m along it; users head
    along it) or "positions" (positions_m). `ValueError` in one line names the option.
    """
    if not isinstance(block, Mapping):
        raise bad_value("users", block, f"a block with layout: {', '.join(_OF_LAYOUT)}")
    layout = block.get("layout")
    if layout not in _OF_LAYOUT:
        raise unknown_name("users.layout", layout, _OF_LAYOUT)
    for key in block:
        if key not in _OF_LAYOUT[layout] | {"layout"}:
            raise unknown_name(f"users.{key}", key, sorted(_OF_LAYOUT[layout]))
    if layout == "trajectory":
        return _trajectory(points("users.points_m", block.get("points_m"), 2), _above_zero(block, "spacing_m"))
    if layout == "positions":
        places = points("users.positions_m", block.get("positions_m"), 1)
    else:
        x, y = _interval(block, "x_m"), _interval(block, "y_m")
        height = number("users.height_m", block.get("height_m", 1.5))
        if layout == "grid":
            spacing = _above_zero(block, "spacing_m")
            sides = [np.arange(low, high + 1e-9 * spacing, spacing) for low, high in (x, y)]
            _check_count(len(sides[0]) * len(sides[1]))
            across = np.stack(np.meshgrid(*sides, indexing="ij"), -1).reshape(-1, 2)
        else:
            count = _count(block, "num_positions", None, 1)
            _check_count(count)
            # a stream of its own: the same block, the same places
            generator = np.random.Generator(np.random.Philox(key=[_count(block, "seed", 0, 0), 0]))
            across = generator.uniform([x[0], y[0]], [x[1], y[1]], (count, 2))
        places = np.concatenate([across, np.full((len(across), 1), height)], axis=1)
    return places, np.full(len(places), np.nan)


def points(what: str, value: Any, least: int) -> np.ndarray:
    """Points in space, float64 [n, 3]."""
    good = isinstance(value, (list, tuple)) and len(value) >= least
    if not good or any(not isinstance(row, (list, tuple)) or len(row) != 3 for row in value):
        raise bad_value(what, value, f"a list of at least {least} points [x, y, z]")
    return np.array([[number(what, entry) for entry in row] for row in value])


def number(what: str, value: Any) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise bad_value(what, value, "a finite number")
    return float(value)


def _trajectory(corners: np.ndarray, spacing_m: float) -> tuple[np.ndarray, np.ndarray]:
    steps = np.diff(corners, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    if not (lengths > 0).all():
        raise bad_value("users.points_m", corners.tolist(), "corners that differ from one to the next")
    ends = np.concatenate([[0.0], np.cumsum(lengths)])
    _check_count(int(ends[-1] / spacing_m) + 1)
    along = np.arange(0, ends[-1] + 1e-9 * spacing_m, spacing_m)
    leg = np.clip(np.searchsorted(ends, along, side="right") - 1, 0, len(steps) - 1)
    places = corners[leg] + steps[leg] * ((along - ends[leg]) / lengths[leg])[:, None]
    return places, np.arctan2(steps[leg, 1], steps[leg, 0])


def _check_count(count: int) -> None:
    if count > _MAX_POSITIONS:
        raise bad_value("users", f"{count} positions", f"at most {_MAX_POSITIONS}")


def _interval(block: Mapping[str, Any], key: str) -> tuple[float, float]:
    value = block.get(key)
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise bad_value(f"users.{key}", value, "[from, to] in metres")
    low, high = (number(f"users.{key}", entry) for entry in value)
    if high < low:
        raise bad_value(f"users.{key}", [low, high], "[from, to] in ascending order")
    return low, high


def _above_zero(block: Mapping[str, Any], key: str) -> float:
    value = block.get(key)
    if value is None or not number(f"users.{key}", value) > 0:
        raise bad_value(f"users.{key}", value, "a finite number above 0")
    return float(value)


def _count(block: Mapping[str, Any], key: str, default: int | None, least: int) -> int:
    value = block.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise bad_value(f"users.{key}", value, f"an integer from {least}")
    return value
