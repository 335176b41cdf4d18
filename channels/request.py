"""The checks that every channel model makes on what it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from channels.errors import bad_value


def checked_axis(what: str, values: np.ndarray) -> np.ndarray:
    """`values` as a contiguous float64 [n]; `ValueError` unless it is one axis of finite numbers, n at least 1."""
    axis = np.ascontiguousarray(values, dtype=np.float64)
    if axis.ndim != 1 or axis.size == 0:
        raise bad_value(what, axis.shape, "one axis with at least one entry")
    if not np.isfinite(axis).all():
        raise bad_value(what, float(axis[~np.isfinite(axis)][0]), "finite numbers")
    return axis


def check_generators(generators: Sequence[np.random.Generator]) -> None:
    """`ValueError` unless there is at least one."""
    if not len(generators):
        raise bad_value("generators", list(generators), "one random generator per drop, at least one")


@runtime_checkable
class DrawsAtOnce(Protocol):
    """Generators that draw the first numbers of all of them at once."""

    def normals(self, count: int) -> np.ndarray:
        """float32 [batch, count], every row what the drop's own generator gives by one call."""


def normals(generators: Sequence[np.random.Generator], num_per_drop: int) -> np.ndarray:
    """Independent N(0, 1), float32 [batch, num_per_drop], every row by one call of the drop's own generator.

    One call per drop makes a drop depend on its generator alone, and the order of the numbers easy to state.
    """
    check_generators(generators)
    if isinstance(generators, DrawsAtOnce):
        return generators.normals(num_per_drop)
    numbers = np.empty((len(generators), num_per_drop), np.float32)
    for row, generator in zip(numbers, generators, strict=True):
        generator.standard_normal(out=row, dtype=np.float32)
    return numbers
