"""Lattices of the best quantisers in 4 and 8 dimensions, and codes of finitely many of their points.

Nearest points: J. H. Conway, N. J. A. Sloane, "Fast quantizing and decoding algorithms for lattice quantizers and
codes", IEEE Trans. Inf. Theory 28, 1982. Voronoi codes: the same, "A fast encoding method for lattice codes and
quantizers", IEEE Trans. Inf. Theory 29, 1983.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

#: Halvings with which a point outside the code is drawn towards its centre.
_HALVINGS = 12


@dataclass(frozen=True)
class Lattice:
    """generator [dimension, dimension]: rows are basis vectors. nearest: points of the lattice that are nearest to
    values [..., dimension]. second_moment: of a cell, normalised per dimension, 1 / 12 being that of a scalar quantiser
    (Conway, Sloane, "Sphere Packings, Lattices and Groups", table 2.3)."""

    generator: np.ndarray
    nearest: Callable[[np.ndarray], np.ndarray]
    second_moment: float

    @property
    def dimension(self) -> int:
        return len(self.generator)

    @property
    def volume(self) -> float:
        """Of a cell."""
        return abs(float(np.linalg.det(self.generator)))


def nearest_even(x: np.ndarray) -> np.ndarray:
    """Nearest points of D_n, whole numbers of even sum, to x [..., n]."""
    found = np.rint(x)
    off = x - found
    worst = np.abs(off).argmax(-1, keepdims=True)
    other = np.where(np.take_along_axis(off, worst, -1) < 0, -1.0, 1.0)
    odd = found.sum(-1, keepdims=True) % 2
    at_worst: np.ndarray = np.take_along_axis(found, worst, -1) + odd * other
    np.put_along_axis(found, worst, at_worst, -1)
    return found


def nearest_e8(x: np.ndarray) -> np.ndarray:
    """Nearest points of E8, D_8 and D_8 moved by a half in all dimensions, to x [..., 8]."""
    one, other = nearest_even(x), nearest_even(x - 0.5) + 0.5
    closer = ((x - one) ** 2).sum(-1, keepdims=True) <= ((x - other) ** 2).sum(-1, keepdims=True)
    return np.where(closer, one, other)


def _chain(n: int) -> np.ndarray:
    """Rows (-1, 1, 0, ...), (0, -1, 1, 0, ...) and so on, n - 1 of them."""
    return np.eye(n)[1:] - np.eye(n)[:-1]


D4 = Lattice(np.concatenate([[[1.0, 1.0, 0.0, 0.0]], _chain(4)]), nearest_even, 0.076603)
E8 = Lattice(np.concatenate([[[2.0] + [0.0] * 7], _chain(8)[:6], np.full((1, 8), 0.5)]), nearest_e8, 0.071682)


class VoronoiCode:
    """modulus**dimension points of a lattice: of those that differ by modulus times a point, the one nearest to 0.

    A point is named by its coordinates modulo `modulus`, `digits` int64 [..., dimension]; any are a point. Points are
    moved, so that none lies on the border of two codes.
    """

    def __init__(self, lattice: Lattice, modulus: int) -> None:
        self.lattice, self.modulus = lattice, modulus
        self._inverse = np.linalg.inv(lattice.generator)
        # any point without symmetry: inside the cell around 0, on none of its planes of symmetry
        n = lattice.dimension
        self.offset = _OFFSET * np.sqrt(np.arange(1, n + 1)) / n

    def points(self, digits: np.ndarray) -> np.ndarray:
        """Points [..., dimension] that digits name."""
        moved = digits @ self.lattice.generator - self.offset
        found: np.ndarray = moved - self.modulus * self.lattice.nearest(moved / self.modulus)
        return found

    def digits(self, x: np.ndarray) -> np.ndarray:
        """Names of the nearest points to x [num, dimension]; what lies outside is drawn straight towards 0 until it is
        inside."""
        digits, inside = self._tried(x)
        outside = np.flatnonzero(~inside)
        x, low, high = x[outside], np.zeros(len(outside)), np.ones(len(outside))
        found = self._tried(0 * x)[0]
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            trial, inside = self._tried(middle[:, None] * x)
            found[inside] = trial[inside]
            low, high = np.where(inside, middle, low), np.where(inside, high, middle)
        digits[outside] = found
        return digits

    def _tried(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Digits of the nearest points of the lattice, and whether they are of the code."""
        wanted = self.lattice.nearest(x + self.offset)
        digits = np.rint(wanted @ self._inverse).astype(np.int64) % self.modulus
        inside = np.abs(self.points(digits) - (wanted - self.offset)).max(-1, initial=0) < 0.25
        return digits, inside


#: How far points are moved.
_OFFSET = 0.9
