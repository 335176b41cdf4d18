"""Lattices and their Voronoi codes against what is known of them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from receivers.csi.lattice import D4, E8, VoronoiCode


@pytest.mark.parametrize(("lattice", "kissing", "distance"), [(D4, 24, 2), (E8, 240, 2)])
def test_nearest_points_are_points_and_none_is_nearer(lattice, kissing, distance):
    x = np.random.default_rng(1).uniform(-4, 4, (300, lattice.dimension))
    found = lattice.nearest(x)
    coordinates = found @ np.linalg.inv(lattice.generator)
    np.testing.assert_allclose(coordinates, np.rint(coordinates), atol=1e-9)
    # the cell is bounded by the shortest vectors: as many as the lattice's kissing number
    halves = itertools.product((-1, -0.5, 0, 0.5, 1), repeat=lattice.dimension)
    if lattice is E8:
        pairs = [tuple(a * (k == i) + b * (k == j) for k in range(8)) for i, j in itertools.combinations(range(8), 2)
                 for a in (-1, 1) for b in (-1, 1)]  # fmt: skip
        halves = itertools.chain(pairs, itertools.product((-0.5, 0.5), repeat=8))
    shortest = np.array([p for p in halves if np.isclose(np.square(p).sum(), distance)])
    on = shortest @ np.linalg.inv(lattice.generator)
    shortest = shortest[np.abs(on - np.rint(on)).max(1) < 1e-9]
    assert len(shortest) == kissing
    own = ((x - found) ** 2).sum(1)
    for step in shortest:
        assert np.all(own <= ((x - found - step) ** 2).sum(1) + 1e-12)


@pytest.mark.parametrize(("lattice", "gain_db"), [(D4, 0.37), (E8, 0.65)])
def test_granular_gain(lattice, gain_db):
    """Over a scalar quantiser of as many points per volume (Conway, Sloane, table 2.3)."""
    x = np.random.default_rng(2).uniform(0, 64, (40_000, lattice.dimension))
    n = lattice.dimension
    each = ((x - lattice.nearest(x)) ** 2).sum(1) / n / lattice.volume ** (2 / n)
    tolerance = 5 * each.std() / math.sqrt(len(each))
    assert each.mean() == pytest.approx(lattice.second_moment, abs=tolerance)
    assert tolerance < 0.2 * (1 / 12 - lattice.second_moment)
    assert 10 * math.log10(1 / 12 / lattice.second_moment) == pytest.approx(gain_db, abs=0.01)


@pytest.mark.parametrize(("lattice", "modulus"), [(D4, 2), (D4, 3), (D4, 5), (E8, 2)])
def test_a_voronoi_code_has_its_points_once_each(lattice, modulus):
    code, n = VoronoiCode(lattice, modulus), lattice.dimension
    digits = np.array(list(itertools.product(range(modulus), repeat=n)))
    points = code.points(digits)
    assert len({tuple(point) for point in points.round(9)}) == modulus**n
    np.testing.assert_array_equal(code.digits(points), digits)
    # what is far outside ends within the code, and nearer than the centre
    far = 40 * np.random.default_rng(3).standard_normal((200, n))
    assert np.all(((far - code.points(code.digits(far))) ** 2).sum(1) < (far**2).sum(1))


def test_an_even_sum_takes_the_nearer_side():
    np.testing.assert_array_equal(D4.nearest(np.array([[0.4, 0.1, -0.45, 0.0]])), [[0, 0, 0, 0]])
    np.testing.assert_array_equal(D4.nearest(np.array([[1.1, 0.2, -0.45, 0.0]])), [[1, 0, -1, 0]])
