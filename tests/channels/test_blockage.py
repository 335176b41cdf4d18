"""Blockage, oxygen and absolute delays of TR 38.901 §7.6, against closed forms and against Sionna."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import kstest, norm
from sionna.phy.channel.tr38901.blockage import BlockageModelB

from channels import Inf, Inh, Rma, Uma, Umi
from channels.scenarios import ScenarioChannel
from channels.scenarios.additions import oxygen_db_per_km
from channels.scenarios.blockage import edge_term, region_loss_db, screen_db, screen_loss_db
from channels.waves import SPEED_OF_LIGHT_MPS

WAVELENGTH_M = 0.01
Z = float(norm.isf(1e-6 / 200))


def generators(drops: int, seed: int = 5) -> list[np.random.Generator]:
    return [np.random.Generator(np.random.Philox(key=[seed, drop])) for drop in range(drops)]


def knife_edge_field(excess_m: float, wavelength_m: float) -> float:
    """Share that the standard's knife edge lets pass behind a half plane: 1/2 - atan(pi/2 sqrt(pi d / w)) / pi."""
    return 0.5 - math.atan(math.pi / 2 * math.sqrt(math.pi * excess_m / wavelength_m)) / math.pi


def test_half_a_plane_takes_half_of_the_field() -> None:
    """On the edge of a screen that is wide and high on all other sides: 6 dB; farther behind it, the knife edge's."""
    edge = edge_term(np.array([0.0]), np.array([1.0]), WAVELENGTH_M)
    assert edge[0] == 0
    assert screen_loss_db(np.array(0.5), np.array(1.0)) == pytest.approx(6.0206, abs=1e-4)
    # receiver 5 m behind a screen whose right edge the way misses by `inside`
    for inside in (0.05, 0.2, 0.8):
        offset = np.array([5.0, 5000 - inside, 0.0])
        loss = screen_db(offset, np.array(0.0), np.array(math.pi / 2), 1e4, 1e4, None, WAVELENGTH_M)
        passed = knife_edge_field(math.hypot(5.0, inside) - 5.0, WAVELENGTH_M)
        # the far edges let a thousandth pass
        assert float(loss) == pytest.approx(-20 * math.log10(passed), abs=0.25)


def test_a_knife_edge_is_near_the_exact_one() -> None:
    """The standard's arctangent against the Fresnel integral, whose loss it approximates: within 1.5 dB."""
    from scipy.special import fresnel

    for excess in (0.0, 0.5e-3, 2e-3, 1e-2, 5e-2):
        v = 2 * math.sqrt(excess / WAVELENGTH_M)
        sine, cosine = fresnel(v)
        exact = math.hypot(0.5 - cosine, 0.5 - sine) / math.sqrt(2)
        assert 20 * abs(math.log10(knife_edge_field(excess, WAVELENGTH_M) / exact)) < 1.5


def test_a_person_between_base_station_and_user() -> None:
    """0.3 x 1.7 m, half way on 20 m at 30 GHz, by the four edges of eq. (7.6-30) written out."""
    half, wide, high = 10.0, 0.15, 0.85
    excess = [2 * (math.hypot(half, edge) - half) for edge in (wide, high)]
    f = [math.atan(math.pi / 2 * math.sqrt(math.pi / WAVELENGTH_M * e)) / math.pi for e in excess]
    expected = -20 * math.log10(1 - 2 * f[0] * 2 * f[1])
    zenith, azimuth = np.array([math.pi / 2]), np.array([0.7])
    offset = 10 * np.array([[math.cos(0.7), math.sin(0.7), 0.0]])
    direct = screen_db(offset, azimuth, zenith, 0.3, 1.7, np.array([20.0]), WAVELENGTH_M)
    assert direct[0] == pytest.approx(expected, abs=1e-9)
    assert 6 < expected < 30
    # behind the user, or behind the base station, it is in nobody's way
    for away in (-1.0, 2.1):
        assert screen_db(away * offset, azimuth, zenith, 0.3, 1.7, np.array([20.0]), WAVELENGTH_M)[0] == 0


def test_screens_are_those_of_sionna() -> None:
    model = Umi(28e9)
    drop = model.drops(generators(20))
    x, y = (drop.links.distance_2d_m * f(drop.azimuth_rad) for f in (np.cos, np.sin))
    users = np.stack([x, y, drop.links.user_height_m], -1)
    rng = np.random.default_rng(2)
    centres = users[:, None] + rng.uniform(-8, 8, (20, 6, 3)) * [1, 1, 0.2]
    sizes = rng.uniform(0.5, 6.0, (2, 6))
    scenario = SimpleNamespace(
        precision="double",
        device="cpu",
        lambda_0=torch.tensor(model.wavelength_m, dtype=torch.float64),
        ut_loc=torch.from_numpy(users)[:, None],
        bs_virtual_loc=torch.tensor([0.0, 0.0, 10.0], dtype=torch.float64).expand(20, 1, 1, 3),
    )
    theirs = BlockageModelB(scenario, torch.from_numpy(centres), *map(torch.from_numpy, sizes), precision="double")
    degrees = {k: torch.from_numpy(np.degrees(v))[:, None, None] for k, v in drop.clusters.rays_rad.items()}
    los = np.degrees(drop.azimuth_rad + np.pi), np.degrees(np.pi - drop.links.zenith_at_base_rad)
    expected, expected_los = theirs(degrees["aoa"], degrees["zoa"], *(torch.from_numpy(a)[:, None, None] for a in los))
    assert expected_los is not None
    found, found_los = np.zeros((20, 23, 20)), np.zeros(20)
    for k in range(6):
        offset, size = centres[:, k] - users, (sizes[0, k], sizes[1, k])
        rays = drop.clusters.rays_rad
        found += screen_db(offset[:, None, None], rays["aoa"], rays["zoa"], *size, None, model.wavelength_m)
        direction = drop.azimuth_rad + np.pi, np.pi - drop.links.zenith_at_base_rad
        found_los += screen_db(offset, *direction, *size, drop.links.distance_3d_m, model.wavelength_m)
    assert (found > 3).any()
    np.testing.assert_allclose(found, expected[:, 0, 0].numpy(), atol=1e-6)
    np.testing.assert_allclose(found_los, expected_los[:, 0, 0].numpy(), atol=1e-6)


def test_a_region_by_its_formula() -> None:
    """In the middle of 10 x 5 degrees at 10 m; beyond its edge; beyond its width."""

    def term(degrees: float, sign: float) -> float:
        root = math.sqrt(math.pi / WAVELENGTH_M * 10 * (1 / math.cos(math.radians(degrees)) - 1))
        return math.atan(sign * math.pi / 2 * root) / math.pi

    def loss(azimuth: float, zenith: float) -> float:
        off = np.array([azimuth]), np.array([zenith])
        return float(region_loss_db(*off, np.array([10.0]), np.array([5.0]), 10.0, WAVELENGTH_M)[0])

    assert loss(0, 0) == pytest.approx(-20 * math.log10(1 - 4 * term(5, 1) * term(2.5, 1)))
    beside = (term(2, -1) + term(12, 1)) * (term(3.5, 1) + term(1.5, 1))
    assert loss(7, 1) == pytest.approx(-20 * math.log10(1 - beside))
    assert loss(-7, -1) == pytest.approx(loss(7, 1))
    assert loss(10.1, 0) == loss(0, 5.1) == 0
    assert loss(0, 0) > 10 > loss(7, 1) > 0


@pytest.mark.parametrize(("mode", "centre", "width"), [("portrait", 260.0, 120.0), ("landscape", 40.0, 160.0)])
def test_a_body_takes_30_db_of_what_comes_through_it(mode: str, centre: float, width: float) -> None:
    model = Umi(28e9, blockage={"model": "A", "self_blocking": mode, "num_blockers": 0})
    plain, blocked = Umi(28e9).drops(generators(200)), model.drops(generators(200))
    azimuth = np.degrees(plain.clusters.centres_rad["aoa"] - plain.bearing_rad[:, None])
    inside = np.abs((azimuth - centre + 180) % 360 - 180) < width / 2
    zenith = np.degrees(plain.clusters.centres_rad["zoa"])
    inside &= (zenith > 60) & (zenith < 140) if mode == "portrait" else (zenith > 72.5) & (zenith < 147.5)
    there = plain.clusters.powers > 0
    ratio = blocked.clusters.powers[there] / plain.clusters.powers[there]
    np.testing.assert_allclose(ratio, np.where(inside, 1e-3, 1.0)[there], rtol=1e-9)
    assert 0.1 < inside.mean() < 0.5


def test_regions_are_drawn_as_the_tables_say() -> None:
    for model, width, height in ((Inh(30e9), (15, 45), (5, 15)), (Uma(30e9, indoor_ratio=0.0), (5, 15), (5, 5))):
        blocked = type(model)(30e9, blockage={"model": "A"}).additions
        places = np.zeros((500, 2, 2))
        places[:, 1, 0] = 5.0
        drawn = blocked.draw(generators(500), places, np.zeros(500, bool)).regions
        assert drawn is not None
        assert drawn.centre_deg.shape == (500, 2, 4)
        assert kstest(drawn.centre_deg[:, 0].ravel() / 360, "uniform").pvalue > 1e-6
        assert kstest((drawn.width_deg.ravel() - width[0]) / (width[1] - width[0]), "uniform").pvalue > 1e-6
        assert height[0] <= drawn.height_deg.min() <= drawn.height_deg.max() <= height[1]
        here, there = (norm.ppf(drawn.centre_deg[:, i].ravel() / 360) for i in (0, 1))
        expected = math.exp(-5 / (5 if model.name == "inh" else 10))
        assert abs(np.corrcoef(here, there)[0, 1] - expected) < Z * (1 - expected**2) / math.sqrt(2000)


def test_a_wall_takes_the_power_that_its_loss_says() -> None:
    """A screen of 9 x 9 km at the site: every ray from beyond it loses more than 20 dB, the others nothing."""
    plain = Umi(28e9, pathloss=True, condition="nlos")
    walls = [[0.0, 0.0, 1.5, 9000.0, 9000.0]]
    model = Umi(28e9, pathloss=True, condition="nlos", blockage={"model": "B", "screens": walls})
    drop = model.drops(generators(30))
    assert drop.clusters.ray_factors is not None
    towards = np.cos(drop.clusters.rays_rad["aoa"] - drop.azimuth_rad[:, None, None] - np.pi)
    assert drop.clusters.ray_factors[towards > 0.1].max() < 0.1
    assert (drop.clusters.ray_factors[towards < 0] == 1).all()
    before, after = (m.paths(generators(30), 1, 1, np.zeros(1)).gains.abs().square().sum() for m in (plain, model))
    assert after < 0.7 * before


@pytest.mark.parametrize(("frequency_ghz", "expected"), [(28, 0), (53, 1), (60, 15), (62.5, 12.4), (66, 1.9), (90, 0)])
def test_oxygen_per_kilometre(frequency_ghz: float, expected: float) -> None:
    assert oxygen_db_per_km(frequency_ghz) == pytest.approx(expected)


def test_oxygen_takes_power_by_the_way() -> None:
    """15 dB per km at 60 GHz: of the line of sight by its distance, of a later path by more."""
    plain, model = (Umi(60e9, condition="los", distance_m=[100, 200], oxygen=on) for on in (False, True))
    a, b = plain.drops(generators(20)), model.drops(generators(20))
    loss = 0.015 * a.links.distance_3d_m
    np.testing.assert_allclose(b.clusters.los_power, a.clusters.los_power * 10 ** (-loss / 10), rtol=1e-12)
    way = a.links.distance_3d_m[:, None] + SPEED_OF_LIGHT_MPS * a.clusters.delays_s
    np.testing.assert_allclose(b.clusters.powers, a.clusters.powers * 10 ** (-0.0015 * way), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(
    ("model", "mean", "std", "most"),
    [
        (lambda **o: Umi(6e9, condition="nlos", **o), -7.5, 0.5, math.inf),
        (lambda **o: Uma(6e9, condition="nlos", **o), -7.4, 0.2, math.inf),
        (lambda **o: Rma(2e9, condition="nlos", **o), -8.33, 0.26, math.inf),
        (lambda **o: Inf(6e9, "SH", hall_size_m=[20, 10, 5], condition="nlos", **o), -7.5, 0.4, 40 / 299792458),
    ],
)
def test_absolute_delays(model: Any, mean: float, std: float, most: float) -> None:
    """The first path comes after the distance and a lognormal excess (table 7.6.9-1), bounded in a hall."""
    drop = model(absolute_delay=True).drops(generators(800))
    first = drop.clusters.delays_s[:, 0]
    excess = first - drop.links.distance_3d_m / SPEED_OF_LIGHT_MPS
    bounded = excess > most * (1 - 1e-9)
    assert excess.max() <= most * (1 + 1e-9)
    drawn = (np.log10(excess) - mean) / std
    if math.isinf(most):
        assert kstest(drawn, "norm").pvalue > 1e-6
    else:
        share = norm.sf((math.log10(most) - mean) / std)
        assert abs(bounded.mean() - share) < Z * math.sqrt(share * (1 - share) / 800)


def test_absolute_delay_of_a_line_of_sight_is_the_distance() -> None:
    model = Umi(6e9, condition="los", absolute_delay=True, speed_mps=1.0)
    drop = model.drops(generators(10))
    np.testing.assert_allclose(drop.clusters.delays_s[:, 0] * SPEED_OF_LIGHT_MPS, drop.links.distance_3d_m, rtol=1e-12)
    track = model.track(generators(10), 1, 1, np.zeros(1))[0]
    torch.testing.assert_close(track.delays_s[:, 0], torch.from_numpy(drop.clusters.delays_s[:, 0]), rtol=1e-12, atol=0)


def test_blockage_along_a_track() -> None:
    """Regions stay where they are alike: a step of a millimetre changes next to nothing."""
    model: ScenarioChannel = Umi(28e9, speed_mps=1.0, blockage={"model": "A"}, oxygen=True, absolute_delay=True)
    first, second = model.track(generators(10), 1, 1, np.array([1.0, 1.00001]))
    assert (first.gains - second.gains).abs().square().sum() < 0.05 * first.gains.abs().square().sum()


REFUSED: dict[str, Any] = {
    "blockage.model: got 'C'; allowed: A, B": lambda: Umi(6e9, blockage={"model": "C"}),
    "blockage.model: got 'A'; allowed: B in factories": lambda: Inf(6e9, blockage={"model": "A"}),
    "blockage.self_blocking: got 'upright'": lambda: Umi(6e9, blockage={"model": "A", "self_blocking": "upright"}),
    "blockage.num_blockers: got -1": lambda: Umi(6e9, blockage={"model": "A", "num_blockers": -1}),
    "blockage: got 'screens'; allowed: model, self_blocking": lambda: Umi(6e9, blockage={"model": "A", "screens": []}),
    "blockage.screens: got [[1, 2, 3]]": lambda: Umi(6e9, blockage={"model": "B", "screens": [[1, 2, 3]]}),
    "blockage.screens: got None": lambda: Umi(6e9, blockage={"model": "B"}),
    "blockage.screens: got [[0, 0, 1, -1, 2]]": lambda: Umi(
        6e9, blockage={"model": "B", "screens": [[0, 0, 1, -1, 2]]}
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_bad_blockage_is_named_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        REFUSED[text]()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
