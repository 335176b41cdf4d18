"""Sionna's scenarios of TR 38.901 V19.2 as the second opinion: formulas, tables, and the law of clusters and rays."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from importlib import resources

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from sionna.phy import config
from sionna.phy.channel.tr38901 import InF, InH, PanelArray, RMa, UMa, UMi

from channels import Inf, Inh, Rma, Uma, Umi
from channels.scenarios import ScenarioChannel
from channels.scenarios.environment import LOS
from channels.scenarios.large_scale import LinkNumbers, link_states
from channels.scenarios.link_drop import LinkDrop
from channels.scenarios.links import Links
from channels.scenarios.penetration import wall_loss_db

FALSE_ALARM = 1e-6
#: Sionna computes in single precision.
TOLERANCE_DB = 2e-2

CASES = {
    "umi": (lambda f: Umi(f), UMi, {"o2i_model": "low"}),
    "uma": (lambda f: Uma(f), UMa, {"o2i_model": "high"}),
    "rma": (lambda f: Rma(f), RMa, {}),
    "inh-open": (lambda f: Inh(f, office="open"), InH, {"indoor_scenario": "open"}),
    "inh-mixed": (lambda f: Inh(f, office="mixed"), InH, {"indoor_scenario": "mixed"}),
    "inf-sl": (lambda f: Inf(f, "SL"), InF, {"factory_scenario": "SL"}),
    "inf-dl": (lambda f: Inf(f, "DL"), InF, {"factory_scenario": "DL"}),
    "inf-sh": (lambda f: Inf(f, "SH"), InF, {"factory_scenario": "SH"}),
    "inf-dh": (lambda f: Inf(f, "DH"), InF, {"factory_scenario": "DH"}),
    "inf-hh": (lambda f: Inf(f, "HH"), InF, {"factory_scenario": "HH"}),
}


def theirs(case: str, frequency_hz: float, places: np.ndarray, base_height_m: float, los, indoor: bool, **more):
    """A Sionna model with one site at the origin and a user at each of the places, [batch, 3], one per batch entry."""
    _, cls, options = CASES[case]
    array = PanelArray(1, 1, "single", "V", "omni", frequency_hz, device="cpu")
    model = cls(
        carrier_frequency=frequency_hz,
        ut_array=array,
        bs_array=array,
        direction="downlink",
        device="cpu",
        **options,
    )
    batch = len(places)

    def zeros(*shape: int) -> torch.Tensor:
        return torch.zeros(batch, *shape)

    site = torch.tensor([0.0, 0.0, base_height_m]).expand(batch, 1, 3).contiguous()
    model.set_topology(
        ut_loc=torch.from_numpy(places).float()[:, None],
        bs_loc=site,
        ut_orientations=zeros(1, 3),
        bs_orientations=zeros(1, 3),
        ut_velocities=zeros(1, 3),
        in_state=torch.full((batch, 1), indoor or cls in (InH, InF)),
        los=los,
        **more,
    )
    return model


def links_at(places: np.ndarray, base_height_m: float, indoor: bool, inside_m: float = 0.0) -> Links:
    distance = np.hypot(places[:, 0], places[:, 1])
    return Links(
        distance,
        np.full_like(distance, inside_m),
        np.full_like(distance, base_height_m),
        places[:, 2],
        np.full(distance.shape, indoor),
    )


def places_of(environment) -> np.ndarray:
    # users above 13 m have a random environment height in UMa
    heights = [environment.user_height_m] if environment.name in ("inh", "inf", "rma") else [1.5, 7.5, 12.0]
    most = {"inh": 100.0, "inf": 280.0}.get(environment.name, 4500.0)
    distances = np.geomspace(max(environment.min_distance_m, 2.0), most, 9)
    return np.array([(d * math.cos(d), d * math.sin(d), h) for d in distances for h in heights])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("frequency_hz", [0.8e9, 30e9])
def test_path_loss_line_of_sight_and_large_scale_means(case: str, frequency_hz: float) -> None:
    if case == "rma" and frequency_hz > 7e9:
        frequency_hz = 3e9
    ours: ScenarioChannel = CASES[case][0](frequency_hz)
    environment, constants = ours.environment, ours.parameters
    places = places_of(environment)
    links = links_at(places, environment.base_height_m, False)
    for los in (True, False):
        if case == "inf-hh" and not los:
            continue
        scenario = theirs(case, frequency_hz, places, environment.base_height_m, los, False)._scenario
        state = np.full(len(places), los)
        loss = environment.path_loss_db(links, state, np.zeros((len(places), 2)))
        np.testing.assert_allclose(loss, scenario.basic_pathloss[:, 0, 0].numpy(), atol=TOLERANCE_DB)
        np.testing.assert_allclose(
            environment.los_probability(links), scenario.los_probability[:, 0, 0].numpy(), atol=1e-5
        )
        zsd_mean, zsd_std, offset = environment.zenith_spread_of_departure(links, state)
        condition = np.where(state, 0, 1)
        mean, std = constants.mean[condition], constants.std[condition]
        ds = environment.log_delay_spread(condition, mean[:, 2])
        sf = environment.shadowing_std_db(links, condition, std[:, 0])
        # Sionna's order: DS, ASD, ASA, SF, K, ZSA, ZSD; K and SF in B
        expected_mean = np.stack([ds, mean[:, 3], mean[:, 4], 0 * ds, mean[:, 1] / 10, mean[:, 6], zsd_mean], -1)
        expected_std = np.stack([std[:, 2], std[:, 3], std[:, 4], sf / 10, std[:, 1] / 10, std[:, 6], zsd_std], -1)
        np.testing.assert_allclose(expected_mean, scenario.lsp_log_mean[:, 0, 0].numpy(), atol=2e-5)
        np.testing.assert_allclose(expected_std, scenario.lsp_log_std[:, 0, 0].numpy(), atol=2e-5)
        np.testing.assert_allclose(offset, scenario.zod_offset[:, 0, 0].numpy(), atol=2e-3)


@pytest.mark.parametrize("case", ["umi", "uma", "rma", "inh-open", "inf-sl"])
def test_cross_correlations(case: str) -> None:
    ours: ScenarioChannel = CASES[case][0](6.5e9)
    environment = ours.environment
    places = np.array([[100.0, 0.0, environment.user_height_m]])
    states = [(0, True, False), (1, False, False)] + ([(2, False, True)] if environment.indoor_ratio else [])
    for condition, los, indoor in states:
        model = theirs(case, 6.5e9, places, environment.base_height_m, los, indoor)
        root = model._lsp_sampler._cross_lsp_correlation_matrix_sqrt[0, 0, 0].numpy()
        np.testing.assert_allclose(ours.parameters.root[condition], root, atol=1e-5)


@pytest.mark.parametrize("indoor_m", [0.0, 12.0])
@pytest.mark.parametrize(("case", "loss"), [("umi", "low"), ("uma", "high")])
def test_walls(case: str, loss: str, indoor_m: float) -> None:
    """Mean over Sionna's draws of the random part, whose standard deviation is 4.4 or 6.5 dB."""
    frequency, draws = 10e9, 4000
    ours: ScenarioChannel = CASES[case][0](frequency)
    places = np.tile([[300.0, 0.0, 1.5]], (draws, 1))
    config.seed = 5
    model = theirs(
        case, frequency, places, ours.environment.base_height_m, False, True,
        distance_2d_in=torch.full((draws, 1), indoor_m),
    )  # fmt: skip
    sampler = model._lsp_sampler
    losses = (sampler._o2i_low_loss() if loss == "low" else sampler._o2i_high_loss())[:, 0, 0].numpy()
    expected = wall_loss_db(frequency / 1e9, loss == "high") + 0.5 * indoor_m
    spread = {"low": 4.4, "high": 6.5}[loss]
    assert abs(losses.mean() - expected) < 5 * spread / draws**0.5
    links = links_at(places, ours.environment.base_height_m, True, indoor_m)
    rng = np.random.default_rng(4)
    numbers = LinkNumbers(
        rng.random(draws), rng.random((draws, 2)), rng.standard_normal((draws, 7)), rng.random(draws),
        rng.standard_normal(draws),
    )  # fmt: skip
    state = link_states(ours.environment, ours.parameters, links, numbers, loss)
    assert ks_2samp(state.penetration_db, losses).pvalue > FALSE_ALARM
    mixed = link_states(ours.environment, ours.parameters, links, numbers, "mixed").penetration_db
    both = (wall_loss_db(10, False) + wall_loss_db(10, True)) / 2 + 0.5 * indoor_m
    assert abs(mixed.mean() - both) < 5 * mixed.std() / draws**0.5


DRAWS = 1000


@lru_cache(maxsize=8)
def statistics(case: str, condition: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Statistics of drops at one place, ours and Sionna's."""
    frequency, distance = 6.5e9, 90.0
    make = {"umi": Umi, "uma": Uma, "rma": Rma, "inh-mixed": Inh, "inf-sh": Inf}[case]
    ours = make(frequency, distance_m=[distance, distance], condition=condition)
    generators = [np.random.Generator(np.random.Philox(key=[11, drop])) for drop in range(DRAWS)]
    drop = ours.drops(generators)
    heights = drop.links.user_height_m
    places = np.stack(
        [distance * np.cos(drop.azimuth_rad), distance * np.sin(drop.azimuth_rad), heights], -1
    )  # the same places, so that angles are comparable
    config.seed = 17
    los, indoor = condition == "los", condition == "o2i"
    more = {"distance_2d_in": torch.from_numpy(drop.links.indoor_distance_m).float()[:, None]} if indoor else {}
    # users in buildings: the way to the wall has a line of sight or not
    sight = "random" if indoor else los
    model = theirs(case, frequency, places, ours.environment.base_height_m, sight, indoor, **more)
    lsp = model._lsp_sampler()
    rays = model._ray_sampler(lsp)
    k = lsp.k_factor[:, 0, 0].double().numpy() if los else np.zeros(DRAWS)
    powers = rays.powers[:, 0, 0].double().numpy() / (1 + k)[:, None]
    angles = {name: getattr(rays, name)[:, 0, 0].double().numpy() for name in ("aoa", "aod", "zoa", "zod")}
    away = {
        "aoa": drop.azimuth_rad + np.pi,
        "aod": drop.azimuth_rad,
        "zoa": np.pi - drop.links.zenith_at_base_rad,
        "zod": drop.links.zenith_at_base_rad,
    }
    delays = rays.delays[:, 0, 0].double().numpy()
    # Sionna has no parts of clusters here: ours are brought back to the clusters they belong to
    most = int(ours.parameters.num_clusters.max())
    clusters = drop.clusters
    whole = clusters.power_of_ray[:, :most] * 20
    mine = of_rays(whole, clusters.delays_s[:, :most], clusters.rays_rad, clusters.los_power, away, most)
    other = of_rays(powers, delays, angles, k / (1 + k), away, powers.shape[1])
    mine |= large_scale(drop)
    other |= {
        "set delay spread": np.log10(lsp.ds[:, 0, 0].numpy()),
        "set asa": np.log10(lsp.asa[:, 0, 0].numpy()),
        "set asd": np.log10(lsp.asd[:, 0, 0].numpy()),
        "set zsa": np.log10(lsp.zsa[:, 0, 0].numpy()),
        "set zsd": np.log10(lsp.zsd[:, 0, 0].numpy()),
        "shadowing": 10 * np.log10(lsp.sf[:, 0, 0].numpy()),
        "k": 10 * np.log10(lsp.k_factor[:, 0, 0].numpy()) if los else np.zeros(DRAWS),
    }
    mine["xpr"] = 10 * np.log10(clusters.xpr[:, 0, :]).ravel()[::20]
    other["xpr"] = 10 * np.log10(rays.xpr[:, 0, 0, 0].numpy()).ravel()[::20]
    return mine, other


def large_scale(drop: LinkDrop) -> dict[str, np.ndarray]:
    state = drop.state
    k = np.where(state.condition == LOS, state.k_factor_db, 0.0)
    return {
        "set delay spread": np.log10(state.delay_spread_s),
        "set asa": np.log10(state.asa_deg),
        "set asd": np.log10(state.asd_deg),
        "set zsa": np.log10(state.zsa_deg),
        "set zsd": np.log10(state.zsd_deg),
        "shadowing": state.shadowing_db,
        "k": k,
    }


def of_rays(powers, delays, angles, los_power, los_angles, most: int) -> dict[str, np.ndarray]:
    """Spreads of what is received, over all rays and the line of sight."""
    total = powers.sum(1) + los_power
    mean = (powers * delays).sum(1) / total
    found = {
        "delay spread": np.log10(np.sqrt((powers * delays**2).sum(1) / total - mean**2)),
        "strongest": powers.max(1),
        "number": (powers > 0).sum(1).astype(float),
    }
    for name, values in angles.items():
        vectors = (powers[:, :, None] / 20 * np.exp(1j * values[:, :most])).sum((1, 2))
        vectors = (vectors + los_power * np.exp(1j * los_angles[name])) / total
        found[name] = np.sqrt(-2 * np.log(np.clip(np.abs(vectors), None, 1.0)))
        found[f"mean {name}"] = np.angle(vectors * np.exp(-1j * los_angles[name]))
    return found


STATES = [
    ("umi", "los"), ("umi", "nlos"), ("umi", "o2i"), ("uma", "los"), ("uma", "nlos"), ("uma", "o2i"), ("rma", "los"),
    ("rma", "nlos"), ("rma", "o2i"), ("inh-mixed", "los"), ("inh-mixed", "nlos"), ("inf-sh", "los"), ("inf-sh", "nlos"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "condition"), STATES)
def test_clusters_and_rays_have_the_same_law(case: str, condition: str) -> None:
    """Two-sample Kolmogorov-Smirnov tests of drops at the same places."""
    mine, other = statistics(case, condition)
    assert mine.keys() == other.keys()
    # spreads are cut off at the same value, which single precision has slightly elsewhere
    levels = {name: ks_2samp(mine[name].round(4), other[name].astype(np.float64).round(4)).pvalue for name in mine}
    assert min(levels.values()) > FALSE_ALARM / len(levels), min(levels, key=lambda name: levels[name])


@pytest.mark.parametrize(("ours", "name"), [(Umi, "UMi"), (Uma, "UMa")])
@pytest.mark.parametrize("spec", [14, 19])
@pytest.mark.parametrize("frequency_hz", [3.5e9, 30e9, 70e9])
def test_tables_of_both_releases(ours, name: str, spec: int, frequency_hz: float) -> None:
    """Sionna's tables of V16.1, whose values are those of Rel-14, and of V19.2."""
    version = {14: "v16_1", 19: "v19_2"}[spec]
    found = ours(frequency_hz, spec=spec).parameters
    for condition, other in enumerate(("LoS", "NLoS", "O2I")):
        text = (
            resources.files("sionna.phy.channel.tr38901.models").joinpath(version, f"{name}_{other}.json").read_text()
        )
        theirs = json.loads(text)
        floor = 2.0 if name == "UMi" else 6.0
        ghz = max(frequency_hz / 1e9, floor)
        log_f = math.log10(ghz) if name == "UMa" else math.log10(1 + ghz)
        for place, key in ((2, "DS"), (3, "ASD"), (4, "ASA"), (6, "ZSA")):
            for moment, values in (("mu", found.mean), ("sigma", found.std)):
                expected = theirs[f"{moment}{key}a"] * log_f + theirs[f"{moment}{key}c"]
                assert values[condition, place] == pytest.approx(expected, abs=1e-9), (other, key, moment)
        assert found.cluster_asd_deg[condition] == theirs["cASD"]


def test_coated_glass_of_both_releases() -> None:
    """Of 70 % glass and 30 % concrete: 23 + 0.3 f before Rel-19, 25.4 + 0.11 f from it on."""
    for spec, glass in ((14, 23 + 0.3 * 30), (19, 25.4 + 0.11 * 30)):
        expected = 5 - 10 * math.log10(0.7 * 10 ** (-glass / 10) + 0.3 * 10 ** (-(5 + 4 * 30) / 10))
        assert wall_loss_db(30.0, True, spec) == pytest.approx(expected)
        assert wall_loss_db(30.0, False, spec) == wall_loss_db(30.0, False)
    with pytest.raises(ValueError, match="spec: got 16; allowed: 14 or 19"):
        Umi(30e9, spec=16)
