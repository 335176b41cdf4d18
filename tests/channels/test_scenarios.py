"""Scenarios: places, large-scale state and clusters against closed forms, and one line for what is not allowed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import norm

from channels import Inf, Inh, Rma, Sma, Uma, Umi
from channels.scenarios import ScenarioChannel
from channels.scenarios.environment import LOS, NLOS, O2I
from channels.scenarios.large_scale import LinkNumbers, link_states
from channels.scenarios.links import Links
from channels.scenarios.parameters import ORDER

TIMES, FREQUENCIES = np.arange(4) * 1e-3, np.linspace(-5e6, 5e6, 11)
#: Two-sided, at a false-alarm level of 1e-6 over at most a hundred figures of a test.
Z = float(norm.isf(1e-6 / 200))


def generators(drops: int, seed: int = 5) -> list[np.random.Generator]:
    return [np.random.Generator(np.random.Philox(key=[seed, drop])) for drop in range(drops)]


@pytest.mark.parametrize(
    ("model", "condition"),
    [
        (Umi(6e9), LOS),
        (Umi(28e9), NLOS),
        (Umi(3e9), O2I),
        (Uma(10e9), LOS),
        (Uma(3e9), NLOS),
        (Uma(6e9), O2I),
        (Rma(3e9), LOS),
        (Rma(2e9), NLOS),
        (Rma(6e9), O2I),
        (Sma(6e9), LOS),
        (Sma(8e9), NLOS),
        (Sma(3e9), O2I),
        (Inh(30e9), LOS),
        (Inh(6e9), NLOS),
        (Inf(6e9, "SL"), LOS),
        (Inf(6e9, "DL"), NLOS),
        (Inf(28e9, "SH"), NLOS),
        (Inf(6e9, "DH"), NLOS),
        (Inf(6e9, "HH"), LOS),
    ],
)
def test_large_scale_parameters_have_the_tables_moments_and_correlations(
    model: ScenarioChannel, condition: int
) -> None:
    """Means, standard deviations and correlations of logarithms, before spreads are cut off."""
    number = 20_000
    rng = np.random.default_rng(3)
    distance = np.full(number, 60.0)
    links = Links(
        distance,
        np.zeros(number),
        np.full(number, model.environment.base_height_m),
        np.full(number, 1.5),
        np.full(number, condition == O2I),
    )
    numbers = LinkNumbers(
        rng.random(number),
        rng.random((number, 2)),
        rng.standard_normal((number, 7)),
        rng.random(number),
        rng.standard_normal(number),
    )
    wanted = None if condition == O2I else condition
    state = link_states(model.environment, model.parameters, links, numbers, wanted=wanted)
    assert (state.condition == condition).all()
    drawn = {
        "sf": state.shadowing_db,
        "k": state.k_factor_db if condition == LOS else np.zeros(number),
        "ds": np.log10(state.delay_spread_s),
        "asd": np.log10(state.asd_deg),
        "asa": np.log10(state.asa_deg),
        "zsd": np.log10(state.zsd_deg),
        "zsa": np.log10(state.zsa_deg),
    }
    root = model.parameters.root[condition]
    expected = root @ root.T
    most = {"asd": np.log10(104), "asa": np.log10(104), "zsd": np.log10(52), "zsa": np.log10(52)}
    whole = []
    for place, name in enumerate(ORDER):
        mean, std = model.parameters.mean[condition, place], model.parameters.std[condition, place]
        if name in ("zsd", "sf") or std == 0:
            continue  # zsd: of every link its own
        if name == "ds" and isinstance(model, Inf):  # table 7.5-6 part 3: by volume over surface
            length, width, height = model.environment.size_m
            ratio = length * width * height / (2 * (length * width + length * height + width * height))
            mean = np.log10(26 * ratio + 14) - 9.35 if condition == LOS else np.log10(30 * ratio + 32) - 9.44
        # cut off at most at one in a thousand: far below the standard error
        if norm.sf((most.get(name, np.inf) - mean) / std) > 1e-6:
            continue
        whole.append(place)
        assert abs(drawn[name].mean() - mean) < Z * std / number**0.5, name
        assert abs(drawn[name].std() / std - 1) < Z / (2 * number) ** 0.5, name
    for i in [0, *whole]:
        for j in whole:
            correlation = np.corrcoef(drawn[ORDER[i]], drawn[ORDER[j]])[0, 1]
            bound = Z * (1 - expected[i, j] ** 2) / number**0.5 + 1e-9
            assert abs(correlation - expected[i, j]) < bound, (ORDER[i], ORDER[j])


@pytest.mark.parametrize("model", [Umi(6e9, indoor_ratio=0.0), Uma(6e9, indoor_ratio=0.0), Inh(6e9), Inf(6e9, "SL")])
def test_share_of_lines_of_sight(model: ScenarioChannel) -> None:
    drop = model.drops(generators(4000))
    probability = model.environment.los_probability(drop.links)
    expected, variance = probability.sum(), (probability * (1 - probability)).sum()
    assert abs((drop.state.condition == LOS).sum() - expected) < Z * variance**0.5


@pytest.mark.parametrize("model", [Umi(28e9, condition="nlos"), Uma(6e9), Rma(3e9, condition="los"), Inf(6e9, "DH")])
def test_power_is_one_over_paths_and_rays(model: ScenarioChannel) -> None:
    clusters = model.drops(generators(300)).clusters
    np.testing.assert_allclose(clusters.powers.sum(1) + clusters.los_power, 1, rtol=1e-12)
    of_rays = (clusters.power_of_ray[..., None] * clusters.in_part).sum((1, 2)) + clusters.los_power
    np.testing.assert_allclose(of_rays, 1, rtol=1e-12)


def test_strong_clusters_come_in_three_parts() -> None:
    """Shares of 10, 6 and 4 rays, 1.28 and 2.56 cluster delay spreads apart (TR 38.901 table 7.5-5)."""
    model = Umi(6e9, condition="nlos")
    clusters = model.drops(generators(50)).clusters
    spread = model.parameters.cluster_delay_spread_s[NLOS]
    most = int(model.parameters.num_clusters.max())
    whole = clusters.power_of_ray * 20
    for drop in range(50):
        first, second = np.argsort(-whole[drop, :most], kind="stable")[:2]
        for place, extra in ((first, most), (second, most + 1)):
            parts = [place, extra, extra + 2]
            assert list(clusters.in_part[drop, parts].sum(-1)) == [10, 6, 4]
            assert (clusters.in_part[drop, parts].sum(0) == 1).all()
            delays = clusters.delays_s[drop, parts] - clusters.delays_s[drop, place]
            np.testing.assert_allclose(delays, np.array([0, 1.28, 2.56]) * spread, atol=1e-18)
            # rays of a part are coupled among themselves: angles of arrival are those of its own places
            arrivals = np.sort(clusters.rays_rad["aoa"][drop, parts[2]][clusters.in_part[drop, parts[2]]])
            departures = np.sort(clusters.rays_rad["aod"][drop, parts[2]][clusters.in_part[drop, parts[2]]])
            ratio = np.ptp(arrivals) / np.ptp(departures)
            assert ratio == pytest.approx(
                model.parameters.cluster_asa_deg[NLOS] / model.parameters.cluster_asd_deg[NLOS]
            )


def test_path_loss_is_in_the_gains_when_asked_for() -> None:
    """Mean power over antennas and frequencies of a drop is its gain, for isotropic antennas of one polarisation."""
    frequencies = np.linspace(-1e9, 1e9, 101)
    model = Umi(28e9, pathloss=True, condition="nlos", distance_m=[50, 150])
    paths = model.paths(generators(400), 2, 2, np.zeros(1))
    assert paths.large_scale is not None
    h = model.response(generators(400), 2, 2, np.zeros(1), frequencies)
    power_db = 10 * torch.log10(h.abs().square().double().mean((1, 2, 3, 4)))
    gain_db = paths.large_scale.shadowing_db - paths.large_scale.path_loss_db
    # what is left is fading: of mean 0 dB or a little below, and a few dB wide
    left = (power_db - gain_db).numpy()
    assert abs(10 * np.log10((10 ** (left / 10)).mean())) < 0.5
    assert left.std() < 4


def test_users_are_where_they_are_asked_for() -> None:
    drop = Uma(6e9, distance_m=[50, 300]).drops(generators(3000))
    distance = drop.links.distance_2d_m
    assert distance.min() >= 50
    assert distance.max() <= 300
    # uniform over the area
    mean_square = (50**2 + 300**2) / 2
    width = (300**2 - 50**2) / 12**0.5
    assert abs((distance**2).mean() - mean_square) < Z * width / 3000**0.5
    assert np.abs(drop.azimuth_rad).max() <= np.pi / 3
    hexagon = Uma(6e9, inter_site_distance_m=500).drops(generators(3000))
    outside = hexagon.links.distance_2d_m - hexagon.links.indoor_distance_m
    assert outside.min() >= 35
    assert hexagon.links.distance_2d_m.max() <= 500 / 3**0.5
    assert abs(hexagon.links.indoor.mean() - 0.8) < Z * (0.8 * 0.2 / 3000) ** 0.5


def test_the_line_of_sight_points_along_the_geometry() -> None:
    """A wide array at the base station sees the strongest direction at the user's azimuth when K is high."""
    model = Umi(28e9, condition="los", rx_array={"num_elements": 64})
    drop = model.drops(generators(40))
    h = model.response(generators(40), 64, 1, np.zeros(1), np.zeros(1))[:, :, 0, 0, 0]
    seen = 0
    for row, azimuth, zenith, k_db in zip(
        h, drop.azimuth_rad, drop.links.zenith_at_base_rad, drop.state.k_factor_db, strict=True
    ):
        if k_db < 12:
            continue
        seen += 1
        sines = np.linspace(-1, 1, 2001)
        beams = np.exp(-2j * np.pi * 0.5 * np.outer(sines, np.arange(64) - 31.5))
        found = sines[np.abs(beams @ row.numpy()).argmax()]
        assert abs(found - np.sin(azimuth) * np.sin(zenith)) < 2 / 64
    assert seen >= 5


def test_doppler_is_limited_by_speed() -> None:
    model = Umi(28e9, speed_mps=30, condition="nlos")
    limit = 30 * 28e9 / 299_792_458
    times = np.arange(4096) / (8 * limit)
    h = model.response(generators(3), 1, 1, times, np.zeros(1))[:, 0, 0, :, 0].to(torch.complex128)
    window = torch.hann_window(4096, dtype=torch.float64)
    spectrum = torch.fft.fft(h * window).abs().square()
    frequency = np.abs(np.fft.fftfreq(4096, times[1]))
    outside = torch.from_numpy(frequency > 1.02 * limit)
    assert (spectrum[:, outside].sum(1) / spectrum.sum(1)).max() < 1e-6


REFUSED = {
    "carrier_frequency_hz: got 200000000000.0; allowed: 0.5e9 to 100e9": lambda: Umi(200e9),
    "carrier_frequency_hz: got 10000000000.0; allowed: 0.5e9 to 7e9": lambda: Rma(10e9),
    "distance_m: got [5, 50]; allowed: least and largest distance within 10": lambda: Umi(6e9, distance_m=[5, 50]),
    "distance_m: got [20, 50]; allowed: least and largest distance within 35": lambda: Uma(6e9, distance_m=[20, 50]),
    "distance_m: got [50]": lambda: Uma(6e9, distance_m=[50]),
    "inter_site_distance_m: got 60.0; allowed: more than 70": lambda: Umi(6e9, inter_site_distance_m=60.0),
    "inter_site_distance_m: got nan": lambda: Umi(6e9, inter_site_distance_m=float("nan")),
    "indoor_ratio: got 1.5; allowed: 0 to 1": lambda: Umi(6e9, indoor_ratio=1.5),
    "did you mean 'nlos'?": lambda: Umi(6e9, condition="nlo"),
    "condition: got 'o2i'; allowed: los, nlos": lambda: Inh(6e9, condition="o2i"),
    "office: got 'closed'; allowed: open, mixed": lambda: Inh(6e9, office="closed"),
    "hall: got 'XL'; allowed: SL, DL, SH, DH, HH": lambda: Inf(6e9, "XL"),
    "condition: got 'nlos'; allowed: los in hall 'HH'": lambda: Inf(6e9, "HH", condition="nlos"),
    "clutter_density: got 1.0; allowed: 0 to 0.99": lambda: Inf(6e9, "SL", clutter_density=1.0),
    "clutter_height_m: got 1.0; allowed: more than the users' 1.5": lambda: Inf(6e9, "SH", clutter_height_m=1.0),
    "hall_size_m: got [10.0, 5.0]; allowed: length, width and height": lambda: Inf(6e9, "SL", hall_size_m=[10.0, 5.0]),
    "building_height_m: got 1.0; allowed: 5 to 50": lambda: Rma(2e9, building_height_m=1.0),
    "o2i_loss: got 'some'; allowed: low, high, mixed": lambda: Umi(6e9, o2i_loss="some"),
    "direction: got 'sideways'": lambda: Umi(6e9, direction="sideways"),
    "speed_mps: got -1": lambda: Umi(6e9, speed_mps=-1),
    "num_rx_ant: got 4; allowed: 8, the ports of rx_array": lambda: Umi(6e9, rx_array={"num_elements": 8}).check(4, 1),
    "generators: got []": lambda: Umi(6e9).response([], 1, 1, TIMES, FREQUENCIES),
}


@pytest.mark.parametrize("text", REFUSED)
def test_bad_input_is_named_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        REFUSED[text]()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
