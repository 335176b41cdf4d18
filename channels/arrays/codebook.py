"""Codebooks of beams for uniform panels: DFT grids, sectors of them, wide beams, and hierarchies of both."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from channels.errors import bad_value

#: Most beams per half-power width and dimension: the oversampling of TS 38.214 table 5.2.2.2.1-2, Rel-18.
MAX_OVERSAMPLING = 4


@dataclass(frozen=True, eq=False)
class Codebook:
    """Beams of a panel in the y-z plane of its local coordinates, facing along x; the same for either polarisation.

    weights complex128 [num_places, num_beams]: a beam's signal is the sum over places of a column times the elements'
        signals, without conjugation, as the rows of `AntennaArray.weights`. Columns have norm 1.
    cosines float64 [num_beams, 2]: where beams point, as direction cosines: along y, along z.
    widths float64 [2]: of the cell that a beam serves, in both cosines.
    grid: rows and columns. Beam i is in row i // columns; rows go up, columns towards positive y.
    """

    weights: np.ndarray
    cosines: np.ndarray
    widths: np.ndarray
    grid: tuple[int, int]

    @property
    def num_places(self) -> int:
        return len(self.weights)

    @property
    def num_beams(self) -> int:
        return self.weights.shape[1]

    @property
    def zenith_rad(self) -> np.ndarray:
        """Zenith angle of every beam in local coordinates, [num_beams]."""
        return np.arccos(np.clip(self.cosines[:, 1], -1, 1))

    @property
    def azimuth_rad(self) -> np.ndarray:
        """Azimuth of every beam in local coordinates, [num_beams]; of grid points that are no direction, the edge's."""
        y, z = self.cosines.T
        return np.arctan2(y, np.sqrt(np.maximum(1 - y**2 - z**2, 0)))

    def gains(self, positions: np.ndarray, cosines: np.ndarray) -> np.ndarray:
        """Power gain of isotropic elements towards directions, float64 [num_directions, num_beams].

        positions [num_places, 3] in wavelengths; cosines [num_directions, 2].
        """
        waves = np.exp(2j * np.pi * cosines @ positions[:, 1:].T)
        return np.asarray(np.abs(waves @ self.weights) ** 2)

    def port_weights(self, num_polarisations: int) -> np.ndarray:
        """As `AntennaArray.weights` for elements of all slants in turn: [num_polarisations * num_beams, elements]."""
        return np.kron(np.eye(num_polarisations), self.weights.T)


def dft_codebook(
    positions: np.ndarray, size: tuple[int, int], spacing: tuple[float, float], oversampling: tuple[int, int] = (1, 1)
) -> Codebook:
    """The DFT grid over all directions: rows * columns * oversampling beams, orthogonal every `oversampling` steps.

    positions [num_places, 3] in wavelengths, size: rows and columns of the panel, spacing in wavelengths (vertical
    before horizontal, as everywhere). A panel closer than half a wavelength has grid points that are no direction.
    """
    for factor in oversampling:
        if factor not in range(1, MAX_OVERSAMPLING + 1):
            raise bad_value("oversampling", factor, f"1 to {MAX_OVERSAMPLING} (TS 38.214 table 5.2.2.2.1-2)")
    beams = (size[0] * oversampling[0], size[1] * oversampling[1])
    limits = [(-0.5 / d, 0.5 / d) for d in spacing]
    return _grid(positions, beams, limits[1], limits[0], broad=False)


def sector_codebook(
    positions: np.ndarray,
    beams: tuple[int, int],
    azimuth_deg: tuple[float, float] = (-60.0, 60.0),
    zenith_deg: tuple[float, float] = (90.0, 90.0),
    broad: bool = False,
) -> Codebook:
    """Beams evenly over a sector, in direction cosines: rows and columns of cells, each beam at its cell's middle.

    azimuth_deg, zenith_deg: limits of the sector in local coordinates; one row points to the middle of the zenith's
    limits. broad: beams as wide as their cells, where these are wider than the panel's own (see `_phases`).
    `ValueError` for more beams than the panel can form: cells narrower than a fourth of the beams' own width.
    """
    for what, (low, high), most in (("azimuth_deg", azimuth_deg, 90.0), ("zenith_deg", zenith_deg, 180.0)):
        least = -90.0 if what == "azimuth_deg" else 0.0
        if not least <= low <= high <= most:
            raise bad_value(what, [low, high], f"two angles from {least:g} to {most:g}, the lower first")
    across = (math.sin(math.radians(azimuth_deg[0])), math.sin(math.radians(azimuth_deg[1])))
    up = (math.cos(math.radians(zenith_deg[1])), math.cos(math.radians(zenith_deg[0])))
    for axis, number, limits, what in ((2, beams[0], up, "vertical"), (1, beams[1], across, "horizontal")):
        most_beams = _most_beams(positions[:, axis], limits)
        if isinstance(number, bool) or not 1 <= number <= most_beams:
            allowed = f"1 to {most_beams} {what} beams: {MAX_OVERSAMPLING} per beam width (TS 38.214 table 5.2.2.2.1-2)"
            raise bad_value("beams", list(beams), allowed)
    return _grid(positions, beams, across, up, broad)


def _most_beams(places: np.ndarray, limits: tuple[float, float]) -> int:
    return max(1, math.floor(MAX_OVERSAMPLING * _length(places) * (limits[1] - limits[0]) + 1e-9))


def _length(places: np.ndarray) -> float:
    """Of one dimension of the panel in wavelengths, half a pitch beyond the outermost elements; 0 for one element."""
    different = np.unique(np.round(places, 9))
    return 0.0 if len(different) == 1 else float(np.ptp(different) * len(different) / (len(different) - 1))


def _grid(
    positions: np.ndarray, beams: tuple[int, int], across: tuple[float, float], up: tuple[float, float], broad: bool
) -> Codebook:
    axes, widths = [], []
    for number, (low, high) in zip(beams, (up, across), strict=True):
        widths.append((high - low) / number)
        axes.append(low + widths[-1] * (np.arange(number) + 0.5))
    z, y = np.meshgrid(*axes, indexing="ij")
    cosines = np.stack([y.reshape(-1), z.reshape(-1)], -1)
    cycles = sum(
        _phases(positions[:, axis], cosines[:, place], widths[1 - place] if broad else 0.0)
        for place, axis in enumerate((1, 2))
    )
    weights = np.exp(-2j * np.pi * cycles) / math.sqrt(len(positions))
    return Codebook(weights, cosines, np.array(widths[::-1]), beams)


def _phases(places: np.ndarray, towards: np.ndarray, width: float) -> np.ndarray:
    """Phases in cycles, [num_places, num_beams]: linear, and square for beams wider than the panel's own.

    With a square phase every part of the panel points elsewhere, at full power of all elements.
    """
    bend = _bend(places, width) * places**2 if width else np.zeros_like(places)
    return np.asarray(places[:, None] * towards + bend[:, None])


def _bend(places: np.ndarray, width: float) -> float:
    """Cycles per square wavelength for which the weakest direction within a cell gets most, by trying many."""
    different = np.unique(np.round(places, 9))
    length = _length(places)
    if not length or width * length <= 1:
        return 0.0
    tried = np.linspace(0, 2 * width / length, 201)
    weights = np.exp(-2j * np.pi * tried[:, None] * different**2)
    waves = np.exp(2j * np.pi * different[:, None] * np.linspace(-width / 2, width / 2, 33))
    return float(tried[np.abs(weights @ waves).min(1).argmax()])


@dataclass(frozen=True, eq=False)
class BeamTree:
    """A codebook of narrow beams, and coarser ones whose wide beams cover ever more of them.

    levels: from the narrow beams on, each with half as many as the one before, down to two or one. parents[i]: of every
    beam of level i its wide beam in level i + 1.
    """

    levels: tuple[Codebook, ...]
    parents: tuple[np.ndarray, ...]

    @property
    def first(self) -> tuple[int, ...]:
        """Where each level begins when all beams are in one list."""
        return tuple(int(n) for n in np.cumsum([0, *(level.num_beams for level in self.levels[:-1])]))

    @property
    def weights(self) -> np.ndarray:
        """Of all beams, level by level, complex128 [num_places, num_beams]."""
        return np.concatenate([level.weights for level in self.levels], 1)

    def level_of(self, num_beams: int) -> int:
        """The level with so many beams; `ValueError` when there is none."""
        sizes = [level.num_beams for level in self.levels]
        if num_beams not in sizes:
            raise bad_value("wide beams", num_beams, ", ".join(map(str, sizes[1:])))
        return sizes.index(num_beams)


def beam_tree(positions: np.ndarray, narrow: Codebook) -> BeamTree:
    """Joins neighbours along the side on which cells are narrower, until one beam is left or numbers are odd."""
    levels: list[Codebook] = [narrow]
    parents: list[np.ndarray] = []
    up, across = _limits(narrow, 1), _limits(narrow, 0)
    while True:
        rows, columns = levels[-1].grid
        fold = _fold(rows, columns, levels[-1].widths)
        if fold is None:
            return BeamTree(tuple(levels), tuple(parents))
        grid = (rows // fold[0], columns // fold[1])
        row, column = np.divmod(np.arange(rows * columns), columns)
        parents.append(row // fold[0] * grid[1] + column // fold[1])
        levels.append(_grid(positions, grid, across, up, broad=True))


def _fold(rows: int, columns: int, widths: np.ndarray) -> tuple[int, int] | None:
    sides = sorted([(float(widths[0]), columns, (1, 2)), (float(widths[1]), rows, (2, 1))])
    return next((fold for _, number, fold in sides if number % 2 == 0), None)


def _limits(codebook: Codebook, axis: int) -> tuple[float, float]:
    half = codebook.widths[axis] / 2
    return float(codebook.cosines[:, axis].min() - half), float(codebook.cosines[:, axis].max() + half)
