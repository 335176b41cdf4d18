"""Spherical wavefronts and visibility against geometry."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import fresnel

from channels import Cdl
from channels.arrays import AntennaArray, antenna_array, direction
from channels.near_field import Visibility, fraunhofer_distance_m, wavefront_correlation

CARRIER_HZ = 15e9
WAVELENGTH_M = 299_792_458 / CARRIER_HZ
BROADSIDE = torch.tensor([1.0, 0, 0], dtype=torch.float64)


def generators(count: int) -> list[np.random.Generator]:
    return [np.random.Generator(np.random.Philox(key=[23, n])) for n in range(count)]


def line(count: int, **options: Any) -> AntennaArray:
    return antenna_array({"num_elements": count, **options}, WAVELENGTH_M)


def test_wavefront_correlation_is_the_fresnel_integral() -> None:
    """A line at right angles to the wave: |C(x) + j S(x)| / x with x = D / sqrt(2 wavelength distance)."""
    array = line(257)
    distances = torch.tensor([20.0, 40, 80, 160, 640, 2560], dtype=torch.float64)
    found = wavefront_correlation(array, WAVELENGTH_M, BROADSIDE, distances).numpy()
    length = 257 * WAVELENGTH_M / 2
    x = length / np.sqrt(2 * WAVELENGTH_M * distances.numpy())
    sine, cosine = fresnel(x)
    np.testing.assert_allclose(found, np.hypot(sine, cosine) / x, atol=6e-3)
    assert np.all(np.diff(found) > 0)


def test_at_the_fraunhofer_distance_the_edge_is_late_by_a_sixteenth() -> None:
    array = line(129)
    distance = fraunhofer_distance_m(array.aperture_m, WAVELENGTH_M)
    response = array.response_to_points((distance * BROADSIDE)[None], WAVELENGTH_M)[:, 0, 0]
    late = torch.angle(response[64] / response[0]) / (2 * math.pi)
    assert float(late) == pytest.approx(1 / 16, rel=1e-3)
    nearly_one = wavefront_correlation(array, WAVELENGTH_M, BROADSIDE, torch.tensor([distance], dtype=torch.float64))
    assert 0.98 < float(nearly_one) < 0.999


def test_an_oblique_wave_sees_a_shorter_array() -> None:
    array = line(257)
    oblique = direction(torch.tensor(math.pi / 2).double(), torch.tensor(math.radians(60.0)).double())
    distances = torch.tensor([60.0], dtype=torch.float64)
    seen = float(wavefront_correlation(array, WAVELENGTH_M, oblique, distances))
    # the curvature goes with the square of the cosine
    alike = float(wavefront_correlation(array, WAVELENGTH_M, BROADSIDE, distances * 4))
    assert seen == pytest.approx(alike, abs=0.02)


def near_and_far(distance_m: float, **options: Any) -> tuple[Cdl, Cdl]:
    block = {"num_elements": 64}
    common: dict[str, Any] = {"rx_array": block, "speed_mps": 3, **options}
    return (
        Cdl("D", 100, CARRIER_HZ, near_field={"distance_m": distance_m}, **common),
        Cdl("D", 100, CARRIER_HZ, **common),
    )


def test_far_away_the_near_field_is_the_far_field() -> None:
    times = np.arange(14) * 35e-6
    near, far = near_and_far(1e6)
    ours, planar = (model.paths(generators(2), 64, 2, times).gains for model in (near, far))
    torch.testing.assert_close(ours, planar, rtol=0, atol=2e-3)


def test_line_of_sight_bends_by_the_distance_between_elements() -> None:
    """Two arrays 4 m apart: phases of the first cluster, which is nearly all line of sight, against geometry."""
    distance = 4.0
    tx = {"num_elements": 8}
    near, far = near_and_far(distance, k_factor_db=80, tx_array=tx)
    gains = near.paths(generators(1), 64, 8, np.zeros(1)).gains[0, :, :, 0, 0].to(torch.complex128)
    base, terminal = near.arrays(64, 8)
    to_terminal = direction(torch.tensor(math.radians(98.5)).double(), torch.tensor(0.0).double())
    places = distance * to_terminal + terminal.global_positions()
    lengths = torch.linalg.vector_norm(places - base.global_positions()[:, None], dim=-1)
    expected = torch.exp(-2j * math.pi * (lengths - distance) / WAVELENGTH_M)
    ratio = gains / expected
    torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio), rtol=0, atol=3e-3)
    # near arrays see several directions in one another: more than one strong mode, where plane waves have one
    near_modes = torch.linalg.svdvals(gains)
    planar = far.paths(generators(1), 64, 8, np.zeros(1)).gains[0, :, :, 0, 0].to(torch.complex128)
    far_modes = torch.linalg.svdvals(planar)
    assert far_modes[1] / far_modes[0] < 1e-3
    assert near_modes[1] / near_modes[0] > 0.02


def test_motion_close_by_turns_the_line_of_sight_with_its_distance() -> None:
    """Passing at 1 m: the phase is the distance, not a constant shift."""
    distance, speed = 1.0, 50.0
    model = Cdl(
        "D",
        100,
        CARRIER_HZ,
        speed_mps=speed,
        travel_azimuth_deg=90,
        k_factor_db=80,
        near_field={"distance_m": distance},
    )
    times = np.linspace(0, 4e-3, 200)
    gains = model.paths(generators(1), 1, 1, times).gains[0, 0, 0, 0].numpy()
    length = np.hypot(distance, speed * times)
    expected = np.exp(-2j * np.pi * (length - distance) / WAVELENGTH_M)
    np.testing.assert_allclose(gains * np.conj(gains[0]), expected, atol=2e-3)


def test_mean_power_stays_one_close_by() -> None:
    near, _ = near_and_far(10.0)
    gains = near.paths(generators(200), 64, 1, np.zeros(1)).gains.sum(-2).abs().square().mean((1, 2, 3)).numpy()
    assert abs(gains.mean() - 1) < 5 * gains.std() / np.sqrt(200)


def panel() -> AntennaArray:
    return antenna_array({"rows": 24, "columns": 32}, WAVELENGTH_M)


def test_visible_parts_are_rectangles_of_the_drawn_share() -> None:
    array = panel()
    sharp = Visibility(probability=1.0, share=(0.2, 0.8), slope_db=1e3, floor_db=60)
    uniforms = torch.from_numpy(np.random.default_rng(4).random((40, 3, Visibility.NUMBERS)))
    gains = sharp.element_gains(array, WAVELENGTH_M, uniforms)
    assert gains.shape == (40, 768, 3)
    seen = gains > 0.5
    share = seen.double().mean(1)
    wanted = 0.2 + 0.6 * uniforms[..., 1]
    # an interval of n places covers its length to within two of them
    assert (share - wanted).abs().max() < 2 / 24 + 2 / 32
    # columns from the left, rows from below: what is seen is an interval of both
    plane = seen.view(40, 32, 24, 3)
    for sides, across in ((plane.any(2), 1), (plane.any(1), 1)):
        changes = (sides[:, 1:] != sides[:, :-1]).sum(across)
        assert changes.max() <= 2
    whole = seen.view(40, 32, 24, 3).double()
    product = plane.any(2)[:, :, None].double() * plane.any(1)[:, None].double()
    torch.testing.assert_close(whole, product)


def test_loss_beyond_the_edge_grows_to_its_floor() -> None:
    array = line(64)
    soft = Visibility(probability=1.0, share=(0.5, 0.5), slope_db=2.0, floor_db=12.0)
    # all of the share along y, at the left end
    uniforms = torch.tensor([[[0.0, 0.5, 1.0, 0.0, 0.0]]], dtype=torch.float64)
    loss = -20 * torch.log10(soft.element_gains(array, WAVELENGTH_M, uniforms)[0, :, 0].double())
    beyond = (torch.from_numpy(array.positions_m[:, 1]) / WAVELENGTH_M).clamp(min=0)
    torch.testing.assert_close(loss, (2 * beyond).clamp(max=12), rtol=0, atol=1e-4)


def test_as_many_clusters_are_partly_visible_as_the_probability_says() -> None:
    chance = Visibility(probability=0.3, slope_db=1e3)
    uniforms = torch.from_numpy(np.random.default_rng(8).random((300, 20, Visibility.NUMBERS)))
    partly = (chance.element_gains(panel(), WAVELENGTH_M, uniforms) < 0.5).any(1).double()
    assert abs(float(partly.mean()) - 0.3) < 5 * math.sqrt(0.21 / 6000)


def test_visibility_takes_power_from_the_channel() -> None:
    options = {"distance_m": 30, "visibility": {"probability": 1, "share": [0.2, 0.4]}}
    rx = {"rows": 8, "columns": 8}
    partly = Cdl("A", 100, CARRIER_HZ, rx_array=rx, near_field=options)
    power = partly.paths(generators(60), 64, 1, np.zeros(1)).gains.abs().square()
    per_cluster = power.mean((1, 2, 4)).numpy().mean(0) / partly.clusters.powers
    assert np.all(per_cluster < 0.85)
    assert np.all(per_cluster > 0.15)


def test_along_a_track_delays_drift_with_the_way_to_the_line_of_sight() -> None:
    """Past the base station: the first path's delay is its distance, and the direction follows."""
    distance, speed = 40.0, 10.0
    model = Cdl("E", 100, CARRIER_HZ, speed_mps=speed, travel_azimuth_deg=90, near_field={"distance_m": distance})
    # the line of sight as the terminal sees it, and a way across it
    toward = direction(
        torch.tensor(math.radians(80.4), dtype=torch.float64), torch.tensor(-math.pi, dtype=torch.float64)
    ).numpy()
    for time in (0.0, 1.0, 4.0):
        paths = model.track(generators(2), 2, 1, time)
        left = distance * toward - np.array([0, speed * time, 0])
        length = np.linalg.norm(left)
        assert float(paths.delays_s[0, 0]) == pytest.approx((length - distance) / 299_792_458, abs=1e-15)
        assert paths.angles is not None
        found = direction(paths.angles.zod_rad[1, 0], paths.angles.aod_rad[1, 0]).numpy()
        np.testing.assert_allclose(found, left / length, atol=1e-9)


def test_delay_drift_and_doppler_shift_are_one_motion() -> None:
    """Cluster by cluster: the delay's rate of change times the carrier is the shift of the cluster's centre."""
    model = Cdl("A", 100, CARRIER_HZ, speed_mps=20, travel_azimuth_deg=10, near_field={"distance_m": 500})
    step = 1e-3
    before, after = (model.track(generators(1), 1, 1, t) for t in (0.0, step))
    rate = (after.delays_s - before.delays_s)[0].numpy() / step
    assert before.angles is not None
    toward = direction(before.angles.zod_rad[0], before.angles.aod_rad[0])
    velocity = 20 * np.array([math.cos(math.radians(10)), math.sin(math.radians(10)), 0])
    shift = toward.numpy() @ velocity / WAVELENGTH_M
    np.testing.assert_allclose(-rate * CARRIER_HZ, shift, rtol=1e-2, atol=0.5)


def test_a_track_goes_on_where_the_slot_ends() -> None:
    """One antenna at the terminal: gains of snapshots are those of one long draw."""
    model = Cdl("D", 100, CARRIER_HZ, speed_mps=20, travel_azimuth_deg=10, near_field={"distance_m": 30})
    times = np.linspace(0, 2e-3, 5)
    together = model.paths(generators(2), 4, 1, times).gains
    for n, time in enumerate(times):
        torch.testing.assert_close(
            model.track(generators(2), 4, 1, float(time)).gains[..., 0], together[..., n], rtol=0, atol=2e-4
        )


def test_a_track_needs_places() -> None:
    with pytest.raises(ValueError, match="near_field: got None; allowed: a block with distance_m"):
        Cdl("D", 100, CARRIER_HZ).track(generators(1), 1, 1, 0.0)
