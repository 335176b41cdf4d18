"""Random numbers of impairments, each drop's from its own generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from channels.request import normals

#: Whether a value is the same in every drop, or uniform between its negative and itself.
Spread = Literal["fixed", "uniform"]
SPREADS = ("fixed", "uniform")


def uniforms(generators: Sequence[np.random.Generator], num_per_drop: int) -> np.ndarray:
    """Uniform on [0, 1), float64 [batch, num_per_drop], every row by one call of the drop's own generator."""
    return np.stack([generator.random(num_per_drop) for generator in generators])


def complex_normals(generators: Sequence[np.random.Generator], num_per_drop: int) -> np.ndarray:
    """CN(0, 1), complex64 [batch, num_per_drop], real before imaginary part."""
    return normals(generators, 2 * num_per_drop).view(np.complex64) * np.float32(np.sqrt(0.5))


def offsets(generators: Sequence[np.random.Generator], value: float, spread: Spread) -> np.ndarray:
    """An offset of every drop, float64 [batch, 1, 1]: `value`, or one uniform number on [-value, value]."""
    if spread == "fixed":
        return np.full((len(generators), 1, 1), value)
    return (2 * uniforms(generators, 1) - 1)[..., None] * value
