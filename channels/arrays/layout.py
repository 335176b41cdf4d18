"""Where the elements of usual arrays are, and how sub-arrays combine them."""

from __future__ import annotations

import math

import numpy as np

#: Slants of the elements at a place, radians (TR 38.901 §7.3: +-45 degrees, or 0 and 90).
SLANTS_RAD = {
    "V": (0.0,),
    "H": (math.pi / 2,),
    "VH": (0.0, math.pi / 2),
    "cross": (math.pi / 4, -math.pi / 4),
}


def linear(num_elements: int, spacing: float, axis: str) -> np.ndarray:
    """Places on a line, centred, in wavelengths, float64 [num_elements, 3]. axis: "x", "y" or "z"."""
    places = np.zeros((num_elements, 3))
    places[:, "xyz".index(axis)] = (np.arange(num_elements) - (num_elements - 1) / 2) * spacing
    return places


def panel(rows: int, columns: int, spacing: tuple[float, float]) -> np.ndarray:
    """Places of one panel in the y-z plane, centred, in wavelengths, float64 [columns * rows, 3].

    Column by column, from the bottom up in each: the order of the ports of the Type I codebook, whose first dimension
    is the horizontal one (TS 38.214 §5.2.2.2.1). spacing: vertical, horizontal.
    """
    z = (np.arange(rows) - (rows - 1) / 2) * spacing[0]
    y = (np.arange(columns) - (columns - 1) / 2) * spacing[1]
    places = np.zeros((columns, rows, 3))
    places[..., 1], places[..., 2] = y[:, None], z
    return places.reshape(-1, 3)


def panel_centres(rows: int, columns: int, spacing: tuple[float, float]) -> np.ndarray:
    """Centres of several panels in wavelengths, row by row from the bottom, float64 [rows * columns, 3]."""
    z = (np.arange(rows) - (rows - 1) / 2) * spacing[0]
    y = (np.arange(columns) - (columns - 1) / 2) * spacing[1]
    centres = np.zeros((rows, columns, 3))
    centres[..., 1], centres[..., 2] = y, z[:, None]
    return centres.reshape(-1, 3)


def with_slants(places: np.ndarray, slants: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Elements at `places`: all of the first slant, then all of the second. Positions and slants per element."""
    return np.tile(places, (len(slants), 1)), np.repeat(slants, len(places))


def subarray_weights(num_elements: int, size: int, spacing: float, tilt_zenith_rad: float) -> np.ndarray:
    """One port for every `size` elements in a row, complex128 [num_elements / size, num_elements].

    The elements of a sub-array stand above one another; its beam points to the zenith angle given, with
    1/sqrt(size) exp(-2j pi k spacing cos(zenith)) (the one-dimensional virtualisation of TR 36.897 §5.2.2). Phases
    refer to the centre of each sub-array.
    """
    k = np.arange(size) - (size - 1) / 2
    row = np.exp(-2j * np.pi * k * spacing * np.cos(tilt_zenith_rad)) / np.sqrt(size)
    return np.kron(np.eye(num_elements // size), row)
