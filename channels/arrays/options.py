"""Antenna arrays from the blocks of experiment files."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from channels.arrays.antenna_array import AntennaArray
from channels.arrays.layout import SLANTS_RAD, linear, panel, panel_centres, subarray_weights, with_slants
from channels.arrays.pattern import check_pattern
from channels.errors import bad_value, unknown_name

_COMMON = {"layout", "pattern", "polarisation", "orientation_deg", "weights"}
_OF_LAYOUT = {
    "linear": {"num_elements", "spacing", "axis"},
    "panel": {"rows", "columns", "spacing", "panels", "panel_spacing", "subarray_rows", "subarray_zenith_deg"},
    "positions": {"positions_m", "slants_deg"},
}


def antenna_array(
    block: Mapping[str, Any],
    wavelength_m: float,
    what: str = "array",
    facing: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> AntennaArray:
    """An array from its options; `ValueError` of one line names the option.

    layout: "linear" (num_elements, spacing 0.5, axis "y"), "panel" (rows, columns, spacing [0.5, 0.5], panels [1, 1],
        panel_spacing: the M, N, (d_V, d_H), (Mg, Ng), (dg_V, dg_H) of TR 38.901 §7.3, Rel-18; vertical before
        horizontal, in wavelengths; subarray_rows and subarray_zenith_deg 90 for ports of several elements) or
        "positions" (positions_m, slants_deg). Left out: the layout whose options are there.
    pattern: "omni", "38.901" or "handheld". polarisation: "V", "H", "VH" or "cross" (+45 and -45 degrees).
    orientation_deg: bearing, downtilt and slant of the array; left out: `facing`, in degrees.
    weights: a list per port with a number, or a pair of real and imaginary part, per element.

    Ports: panels, in each the slants, in each column by column from the bottom up.
    """
    if not isinstance(block, Mapping):
        raise bad_value(what, block, "a block of options, such as {rows: 4, columns: 8, polarisation: cross}")
    layout = _layout(block, what)
    known = _COMMON | _OF_LAYOUT[layout]
    for key in block:
        if key not in known:
            # a misspelt option may have hidden which layout is meant
            raise unknown_name(what, key, sorted(known if "layout" in block else _COMMON.union(*_OF_LAYOUT.values())))
    pattern = block.get("pattern", "omni")
    try:
        check_pattern(pattern)
    except ValueError as error:
        raise ValueError(f"{what}.{error}") from None
    read = _Reader(block, what)
    if layout == "positions":
        places, slants = read.matrix("positions_m", 3), None
        if "slants_deg" in block:
            if "polarisation" in block:
                raise bad_value(f"{what}.polarisation", block["polarisation"], "none beside slants_deg")
            slants = np.deg2rad(np.array(read.numbers("slants_deg", len(places))))
    else:
        places, slants = _places(read, layout) * wavelength_m, None
    weights = None
    if slants is None:
        polarisation = block.get("polarisation", "V")
        if polarisation not in SLANTS_RAD:
            raise unknown_name(f"{what}.polarisation", polarisation, SLANTS_RAD)
        places, slants, weights = _polarised(read, layout, places, SLANTS_RAD[polarisation], wavelength_m)
    if "weights" in block:
        if weights is not None:
            raise bad_value(f"{what}.weights", "weights", "none beside subarray_rows, which has its own")
        weights = read.weights(len(places))
    orientation = read.numbers("orientation_deg", 3, facing)
    turned = (math.radians(orientation[0]), math.radians(orientation[1]), math.radians(orientation[2]))
    return AntennaArray(places, np.asarray(slants), pattern, turned, weights)


def _layout(block: Mapping[str, Any], what: str) -> str:
    given: str | None = block.get("layout")
    if given is None:
        given = "positions" if "positions_m" in block else "panel" if {"rows", "columns"} & set(block) else "linear"
    if given not in _OF_LAYOUT:
        raise unknown_name(f"{what}.layout", given, _OF_LAYOUT)
    return given


def _places(read: _Reader, layout: str) -> np.ndarray:
    """Places in wavelengths; of a panel array, panel after panel."""
    if layout == "linear":
        axis = read.block.get("axis", "y")
        if axis not in ("x", "y", "z"):
            raise unknown_name(f"{read.what}.axis", axis, ("x", "y", "z"))
        return linear(read.count("num_elements"), read.spacing(), axis)
    rows, columns = read.count("rows", 1), read.count("columns", 1)
    spacing = read.pair("spacing", (0.5, 0.5), _positive)
    # a pitch of whole panels: elements go on over the edge as if there were none
    pitch = (rows * spacing[0], columns * spacing[1])
    panels = read.pair("panels", (1, 1), _count)
    between = read.pair("panel_spacing", pitch, _positive)
    for axis, (given, size, step) in enumerate(zip(between, (rows, columns), spacing, strict=True)):
        if panels[axis] > 1 and given <= (size - 1) * step:
            raise bad_value(
                f"{read.what}.panel_spacing", given, f"more than a panel's {(size - 1) * step:g} wavelengths"
            )
    centres = panel_centres(int(panels[0]), int(panels[1]), between)
    return (centres[:, None] + panel(rows, columns, spacing)).reshape(-1, 3)


def _polarised(
    read: _Reader, layout: str, places: np.ndarray, slants: tuple[float, ...], wavelength_m: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Elements of all slants at places in metres: positions, slants, and the weights of sub-arrays if there are any."""
    num_panels, rows = 1, 1
    if layout == "panel":
        panels = read.pair("panels", (1, 1), _count)
        num_panels, rows = int(panels[0] * panels[1]), read.count("rows", 1)
    parts = [with_slants(of_panel, slants) for of_panel in np.split(places, num_panels)]
    positions, all_slants = np.concatenate([p for p, _ in parts]), np.concatenate([s for _, s in parts])
    size = read.count("subarray_rows", 1)
    if size == 1:
        return positions, all_slants, None
    if rows % size:
        raise bad_value(f"{read.what}.subarray_rows", size, f"a divisor of rows, {rows}")
    spacing = read.pair("spacing", (0.5, 0.5), _positive)[0]
    zenith = math.radians(read.number("subarray_zenith_deg", 90.0))
    return positions, all_slants, subarray_weights(len(positions), size, spacing, zenith)


def _positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


_ALLOWED: dict[Callable[[Any], bool], str] = {
    _positive: "a finite number above 0",
    _count: "an integer from 1",
    _finite: "a finite number",
}


class _Reader:
    """Typed values from a block, with messages that name the option."""

    def __init__(self, block: Mapping[str, Any], what: str) -> None:
        self.block, self.what = block, what

    def _one(self, key: str, value: Any, test: Callable[[Any], bool]) -> Any:
        if not test(value):
            raise bad_value(f"{self.what}.{key}", value, _ALLOWED[test])
        return value

    def count(self, key: str, default: int | None = None) -> int:
        return int(self._one(key, self.block.get(key, default), _count))

    def number(self, key: str, default: float) -> float:
        return float(self._one(key, self.block.get(key, default), _finite))

    def spacing(self) -> float:
        return float(self._one("spacing", self.block.get("spacing", 0.5), _positive))

    def pair(self, key: str, default: tuple[float, float], test: Callable[[Any], bool]) -> tuple[float, float]:
        """Vertical and horizontal; one number stands for both."""
        value = self.block.get(key, default)
        if not isinstance(value, (list, tuple)):
            value = (value, value)
        if len(value) != 2:
            raise bad_value(f"{self.what}.{key}", value, "two numbers, vertical before horizontal")
        vertical, horizontal = (self._one(key, entry, test) for entry in value)
        return vertical, horizontal

    def numbers(self, key: str, length: int, default: tuple[float, ...] | None = None) -> tuple[float, ...]:
        value = self.block.get(key, default)
        if not isinstance(value, (list, tuple)) or len(value) != length:
            raise bad_value(f"{self.what}.{key}", value, f"{length} numbers")
        return tuple(float(self._one(key, entry, _finite)) for entry in value)

    def matrix(self, key: str, columns: int) -> np.ndarray:
        value = self.block.get(key)
        good = isinstance(value, (list, tuple)) and value and all(isinstance(row, (list, tuple)) for row in value)
        if not good or any(len(row) != columns for row in value or ()):
            raise bad_value(f"{self.what}.{key}", value, f"a list with {columns} numbers per entry")
        return np.array([[float(self._one(key, entry, _finite)) for entry in row] for row in value or ()])

    def weights(self, num_elements: int) -> np.ndarray:
        value = self.block["weights"]
        rows = []
        for row in value if isinstance(value, (list, tuple)) else (value,):
            if not isinstance(row, (list, tuple)) or len(row) != num_elements:
                raise bad_value(
                    f"{self.what}.weights", row, f"a list per port with {num_elements} entries, one per element"
                )
            pairs = [entry if isinstance(entry, (list, tuple)) and len(entry) == 2 else (entry, 0.0) for entry in row]
            rows.append([complex(self._one("weights", a, _finite), self._one("weights", b, _finite)) for a, b in pairs])
        if not rows:
            raise bad_value(f"{self.what}.weights", value, "at least one port")
        return np.array(rows)
