"""Networks of cells: layouts without an edge, where users stand, correlated fields, serving sectors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from channels.arrays import antenna_array
from channels.scenarios import HexagonalLayout, UrbanMacro, UrbanMicro, drop_users, noise_power_dbm, site_channels
from channels.scenarios.environment import LOS, NLOS
from channels.scenarios.field import correlated_fields
from channels.scenarios.network import floor_height_m

Z = float(norm.isf(1e-6 / 2))
SECTOR = antenna_array({"rows": 10, "columns": 1, "pattern": "38.901", "subarray_rows": 10}, 0.05)


@pytest.mark.parametrize("num_sites", [1, 7, 19])
def test_the_torus_looks_alike_from_every_site(num_sites: int) -> None:
    """Moving all users by the way from one site to another only renames the sites."""
    layout = HexagonalLayout(num_sites, 200.0)
    rng = np.random.default_rng(1)
    users = layout.place(rng.random((200, 3))) + layout.sites_m[rng.integers(num_sites, size=200)]
    here = np.sort(np.hypot(*layout.from_sites_m(users).transpose(2, 0, 1)), 1)
    for site in layout.sites_m:
        copies = (users + site)[:, None] - layout.shifts_m
        # back into the cells of the cluster
        nearest = np.hypot(*(copies[:, :, None] - layout.sites_m).transpose(3, 0, 1, 2)).min(-1).argmin(-1)
        moved = layout.from_sites_m(copies[np.arange(200), nearest])
        np.testing.assert_allclose(np.sort(np.hypot(*moved.transpose(2, 0, 1)), 1), here, atol=1e-9)
    # nobody is farther from the nearest site than a corner of its hexagon
    assert here[:, 0].max() <= 200 / 3**0.5 + 1e-9


@pytest.mark.parametrize("num_sites", [1, 7, 19])
def test_copies_of_a_cluster_tile_the_plane(num_sites: int) -> None:
    layout = HexagonalLayout(num_sites, 1.0)
    places = (layout.shifts_m[:, None] + layout.sites_m).reshape(-1, 2)
    distances = np.hypot(*(places[:, None] - places).transpose(2, 0, 1))
    distances[np.eye(len(places), dtype=bool)] = 9
    assert distances.min() == pytest.approx(1.0)
    # in the middle cluster every site has six neighbours
    assert (np.isclose(distances[:num_sites], 1.0).sum(1) == 6).all()


def test_a_sector_faces_the_next_site() -> None:
    layout = HexagonalLayout(7, 1.0)
    azimuths = np.rad2deg(np.arctan2(layout.sites_m[1:, 1], layout.sites_m[1:, 0])) % 360
    assert np.isclose(azimuths[:, None] % 360, [30.0, 150.0, 270.0]).any(0).all()


@pytest.mark.parametrize("least_m", [0.0, 35.0, 80.0])
def test_users_are_uniform_over_a_hexagon(least_m: float) -> None:
    number, isd = 20_000, 200.0
    layout = HexagonalLayout(19, isd)
    places = layout.place(np.random.default_rng(2).random((number, 3)), least_m)
    radius = np.hypot(*places.T)
    assert radius.min() >= least_m
    # nearest to their own site of all the lattice
    assert (layout.from_sites_m(places)[:, 0] == places).all()
    side = isd / 3**0.5
    area, moment = 1.5 * 3**0.5 * side**2, 5 / 12 * side**2
    disk = np.pi * least_m**2
    expected = (area * moment - disk * least_m**2 / 2) / (area - disk)
    assert abs((radius**2).mean() - expected) < Z * (radius**2).std() / number**0.5
    # third-order symmetry, and as many in every sixth
    assert np.abs(places.mean(0)).max() < Z * places.std() / number**0.5
    sixth = np.floor((np.arctan2(places[:, 1], places[:, 0]) + np.pi) / (np.pi / 3)).astype(int) % 6
    assert np.abs(np.bincount(sixth, minlength=6) - number / 6).max() < Z * (number * 5 / 36) ** 0.5


def test_fields_have_exponential_correlation() -> None:
    distance = np.repeat([10.0, 50.0], 3000)
    steps = np.array([0.0, 2.0, 10.0, 25.0, 100.0])
    places = np.stack([steps, 0.5 * steps], -1)
    values = correlated_fields(np.random.default_rng(3), distance, places)
    for length in (10.0, 50.0):
        part = values[distance == length]
        expected = np.exp(-steps * 1.25**0.5 / length)
        assert np.abs((part * part[:, :1]).mean(0) - expected).max() < Z * 1.5 / 3000**0.5
        assert np.abs(part.mean(0)).max() < Z / 3000**0.5
    # close to Gaussian: the fourth moment
    assert abs((values**4).mean() - 3) < Z * 96**0.5 / 2000**0.5


def test_shadowing_of_neighbours_is_alike_when_asked_for() -> None:
    """Pairs of users in the same condition towards a site, over many drops, against exp(-d / D)."""
    environment, layout = UrbanMacro(6e9), HexagonalLayout(7, 500.0)
    near, far = [], []
    for seed in range(12):
        drop = drop_users(
            environment, layout, np.random.default_rng(seed), 400, SECTOR, indoor_ratio=0.0, correlated=True
        )
        normal = drop.state.shadowing_db / np.where(drop.state.condition == LOS, 4.0, 6.0)
        way = layout.from_sites_m(drop.users_m)
        for site in range(7):
            which = np.flatnonzero(drop.state.condition[:, site] == NLOS)
            first, second = np.triu_indices(len(which), 1)
            apart = np.hypot(*(way[which[first], site] - way[which[second], site]).T)
            product = normal[which[first], site] * normal[which[second], site]
            near.append(product[apart < 10])
            far.append(product[apart > 400])
    alike, apart = np.concatenate(near), np.concatenate(far)
    # up to 10 m of 50: exp(-0.13) on average over the disk
    assert abs(alike.mean() - 0.875) < Z * alike.std() / (len(alike) / 2) ** 0.5 + 0.01
    # fields of 12 drops and 7 sites: far pairs share few of them
    assert abs(apart.mean()) < 0.1


def test_floors() -> None:
    heights = floor_height_m(np.random.default_rng(5).random((20_000, 2)), (4, 8))
    assert set(np.unique(heights)) == {1.5 + 3 * floor for floor in range(8)}
    # any of n floors, n from 4 to 8: mean over n of (n - 1) / 2 floors
    assert abs(heights.mean() - (1.5 + 3 * 2.5)) < Z * heights.std() / 20_000**0.5


def test_serving_sector_and_geometry() -> None:
    drop = drop_users(UrbanMicro(6e9), HexagonalLayout(19, 200.0), np.random.default_rng(7), 500, SECTOR)
    assert drop.gain_db.shape == (500, 57)
    power = 10 ** (drop.gain_db / 10)
    best = np.take_along_axis(power, drop.serving[:, None], 1)[:, 0]
    np.testing.assert_allclose(drop.coupling_loss_db, 10 * np.log10(best))
    np.testing.assert_allclose(drop.geometry_db(), 10 * np.log10(best / (power.sum(1) - best)), rtol=1e-6)
    noise = noise_power_dbm(20e6, 9)
    assert noise == pytest.approx(-174 + 73.0103 + 9, abs=1e-3)
    assert (drop.geometry_db(44, noise) < drop.geometry_db()).all()
    np.testing.assert_allclose(drop.geometry_db(44, -400), drop.geometry_db(), rtol=1e-6)
    # a wall costs: users in buildings have less
    assert np.median(drop.coupling_loss_db[drop.indoor]) < np.median(drop.coupling_loss_db[~drop.indoor]) - 10


def test_gain_along_the_beam() -> None:
    """8 dBi of an element and 10 dB of ten of them (TR 38.901 table 7.3-1), straight ahead."""
    from channels.scenarios.network import sector_gain_db

    zenith, azimuth = np.array([np.pi / 2]), np.deg2rad([30.0])
    gain = sector_gain_db(SECTOR, UrbanMicro(299_792_458 / 0.05), zenith, azimuth)[0]
    assert gain[0] == pytest.approx(18.0, abs=1e-4)
    # 120 degrees aside: the limit of 30 dB
    assert gain[1] == pytest.approx(18.0 - 30.0, abs=1e-4)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: HexagonalLayout(3, 200.0), "num_sites: got 3; allowed: 1, 7 or 19"),
        (lambda: HexagonalLayout(7, 0.0), "inter_site_distance_m: got 0.0"),
        (lambda: HexagonalLayout(7, 60.0).place(np.zeros((1, 3)), 40.0), "min_distance_m: got 40.0"),
    ],
)
def test_bad_layouts(make, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


def test_channels_to_all_sectors_have_the_gains_of_the_network() -> None:
    """Omnidirectional sectors: powers over paths are the large-scale gains times fading of mean one."""
    environment, layout = UrbanMicro(6e9), HexagonalLayout(1, 200.0, wrap=False)
    element = antenna_array({"num_elements": 1}, 0.05)
    drop = drop_users(environment, layout, np.random.default_rng(8), 1500, element)
    [site] = site_channels(environment, layout, drop, element, element, np.random.default_rng(9))
    powers = site.powers
    np.testing.assert_allclose(powers[:, 1:], powers[:, :1].repeat(2, 1), rtol=1e-3)
    fading = powers[:, 0] / 10 ** (drop.state.gain_db[:, 0] / 10)
    assert abs(fading.mean() - 1) < Z * fading.std() / len(fading) ** 0.5
    assert 0.1 < fading.std() < 1
    assert site.gains.shape[:4] == (1500, 3, 1, 1)
    assert site.delays_s.shape == (1500, site.gains.shape[-1])
