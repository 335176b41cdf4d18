"""Users on their way: drift against geometry and the standard's own recursion, continuity, laws that stay."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import kstest, norm

from channels import Inh, Paths, Uma, Umi
from channels.scenarios import ScenarioChannel
from channels.scenarios.additions import Additions
from channels.scenarios.consistency import alike_numbers, soft_line_of_sight
from channels.scenarios.evolution import Clusters, moved
from channels.scenarios.track import Tracks
from channels.scenarios.way import by_way_points, straight
from channels.waves import SPEED_OF_LIGHT_MPS

#: Two-sided, at a false-alarm level of 1e-6 over at most a hundred figures of a test.
Z = float(norm.isf(1e-6 / 200))


def generators(drops: int, seed: int = 5) -> list[np.random.Generator]:
    return [np.random.Generator(np.random.Philox(key=[seed, drop])) for drop in range(drops)]


def tracks(model: ScenarioChannel, drops: int, times_s: list[float], way_points_m: list[list[float]] | None = None):
    return Tracks(
        model.environment, model.parameters, model.cell, generators(drops), model.speed_mps, np.array(times_s),
        way_points_m, model.wavelength_m, model.additions,
    )  # fmt: skip


def by_recursion(clusters: Clusters, step_m: np.ndarray, steps: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Angles of centres and lengths of ways by eq. (7.6-9) to (7.6-14), with matrices as printed; one drop."""

    def about_y(angle: float) -> np.ndarray:
        c, s = math.cos(angle), math.sin(angle)
        return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])

    def about_z(angle: float) -> np.ndarray:
        c, s = math.cos(angle), math.sin(angle)
        return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])

    angles = {name: values[0].copy() for name, values in clusters.draw.centres_rad.items()}
    length, move = clusters.length_m[0].copy(), np.append(step_m, 0.0) / steps
    for _ in range(steps):
        for n in range(len(length)):
            aoa, zoa, aod, zod = (angles[name][n] for name in ("aoa", "zoa", "aod", "zod"))
            mirror = np.diag([1.0, clusters.mirrored[0, n], 1.0])
            turn = about_z(aod + math.pi) @ about_y(math.pi / 2 - zod) @ mirror @ about_y(math.pi / 2 - zoa)
            at_base, at_user = turn @ about_z(-aoa) @ move, -move
            arrival = np.array([math.sin(zoa) * math.cos(aoa), math.sin(zoa) * math.sin(aoa), math.cos(zoa)])
            for end, azimuth, zenith, v in (("d", aod, zod, at_base), ("a", aoa, zoa, at_user)):
                across = np.array([-math.sin(azimuth), math.cos(azimuth), 0])
                down = [math.cos(zenith) * math.cos(azimuth), math.cos(zenith) * math.sin(azimuth), -math.sin(zenith)]
                angles[f"ao{end}"][n] += v @ across / (length[n] * math.sin(zenith))
                angles[f"zo{end}"][n] += v @ np.array(down) / length[n]
            length[n] -= arrival @ move
    return angles, length


@pytest.mark.parametrize("condition", ["los", "nlos"])
def test_clusters_drift_as_in_procedure_a(condition: str) -> None:
    """The closed form is what the recursion comes to as its steps get small: the difference halves with the step.

    Departures differ a little for good: the recursion sets its mirrors upright again at every step, while those of an
    image stay as they are.
    """
    stage = tracks(Umi(6e9, speed_mps=1, condition=condition), 1, [0.0])._stage(0, int(condition == "nlos"))
    step = np.array([0.6, -0.8])
    found, lengths = moved(stage, step[None], 0.05)
    errors, way = [], {}
    for steps in (25, 50):
        angles, expected = by_recursion(stage, step, steps)
        off = [np.abs(lengths[0] - expected).max()]
        for name in ("aoa", "zoa", "aod", "zod"):
            turned = found.centres_rad[name][0] - angles[name]
            off.append(np.abs((turned + math.pi) % (2 * math.pi) - math.pi).max())
            way[name] = np.abs(angles[name] - stage.draw.centres_rad[name][0]).max()
            assert way[name] > 1e-3
        errors.append(off)
    assert errors[1][0] < 1e-3
    for place in range(3):
        assert errors[1][place] < 0.6 * errors[0][place]
    assert max(errors[1][3:]) < 0.02 * max(way["aod"], way["zod"])


def test_delays_drift_with_doppler() -> None:
    """Of every path: the way gets shorter by the speed towards where it comes from."""
    model = Umi(6e9, speed_mps=10.0, direction="downlink")
    here, there = model.track(generators(6), 1, 1, np.array([0.3, 0.3001]), [[-60.0, 80.0]])
    velocity = torch.tensor([-6.0, 8.0, 0.0], dtype=torch.float64)
    assert here.angles is not None
    zenith, azimuth = here.angles.zoa_rad, here.angles.aoa_rad
    toward = torch.stack([zenith.sin() * azimuth.cos(), zenith.sin() * azimuth.sin(), zenith.cos()], -1)
    drift = (there.delays_s - here.delays_s) / 1e-4
    # a millimetre turns the nearest image, some 10 m away, by 1e-4
    torch.testing.assert_close(drift, -(toward @ velocity) / SPEED_OF_LIGHT_MPS, rtol=0, atol=1e-3 * 10 / 3e8)


def test_the_line_of_sight_is_geometry() -> None:
    model = Umi(6e9, speed_mps=20.0, condition="los", distance_m=[40, 60])
    track = tracks(model, 5, [0.0, 1.0, 2.2], [[10.0, 30.0], [-20.0, 30.0]])
    start = track.at(0).drop.links
    for index, gone in enumerate((0.0, 20.0, 44.0)):
        snapshot = track.at(index)
        first = math.hypot(10, 30)
        step = np.array([10, 30]) * gone / first if gone < first else np.array([10 - (gone - first), 30])
        x = start.distance_2d_m * np.cos(track.user.azimuth_rad) + step[0]
        y = start.distance_2d_m * np.sin(track.user.azimuth_rad) + step[1]
        whole = np.sqrt(x**2 + y**2 + 8.5**2)
        np.testing.assert_allclose(snapshot.drop.links.distance_3d_m, whole, rtol=1e-12)
        delay = (whole - start.distance_3d_m) / SPEED_OF_LIGHT_MPS
        np.testing.assert_allclose(snapshot.delays_s[:, 0], delay, atol=1e-15)
        arrival = np.exp(1j * snapshot.drop.clusters.centres_rad["aoa"][:, 0])
        np.testing.assert_allclose(arrival, np.exp(1j * np.arctan2(-y, -x)), atol=1e-12)


def test_phases_of_a_snapshot_lead_to_the_next() -> None:
    """Symbols of a snapshot turn with Doppler shifts; a snapshot later the ways have changed by as much."""
    model = Umi(6e9, speed_mps=10.0, pathloss=True)
    times = np.array([0.5, 0.502])
    first, second = model.track(generators(20), 2, 2, times, None, np.array([0.0, 0.002]))
    early, late = first.gains[..., 1], second.gains[..., 0]
    # 2 cm, 0.4 wavelengths: without the Doppler shift nothing would be left in common
    assert (early - late).abs().square().sum() < 0.01 * late.abs().square().sum()
    assert (first.gains[..., 0] - late).abs().square().sum() > late.abs().square().sum()


@pytest.mark.slow
def test_a_smaller_step_changes_less() -> None:
    """Mean square change of the response over 50 MHz, relative to its power, through stages and lines of sight."""
    model = Umi(3e9, speed_mps=1.0, pathloss=True, indoor_ratio=0.2)
    band = torch.linspace(-25e6, 25e6, 5, dtype=torch.float64)

    def change(step_m: float) -> float:
        places = np.array([5.0, 11.999, 12.0, 20.0])
        times = np.sort(np.concatenate([places, places + step_m]))
        if step_m == 1e-3:
            times = np.array([5.0, 5.001, 11.999, 12.0, 12.0, 12.001, 20.0, 20.001])
        h = [paths.to_grid(band) for paths in model.track(generators(30), 1, 2, times)]
        parts = []
        for a, b in zip(h[::2], h[1::2], strict=True):
            parts.append((a - b).abs().square().sum((1, 2, 3, 4)) / b.abs().square().sum((1, 2, 3, 4)))
        return float(torch.stack(parts).mean())

    millimetre, tenth = change(1e-3), change(1e-4)
    assert millimetre < 0.02
    assert tenth < millimetre / 5


def test_a_path_keeps_its_place() -> None:
    model = Umi(6e9, speed_mps=1.0, condition="nlos")
    found = model.track(generators(3), 1, 1, A_METRE)
    power = torch.stack([p.gains.abs().square()[:, 0, 0, :, 0] for p in found])
    delays = torch.stack([p.delays_s for p in found])
    jumps = (delays[1:] - delays[:-1]).abs() > 0.011 / SPEED_OF_LIGHT_MPS
    # a place of the list goes to another path only when nothing comes there
    assert jumps.any()
    assert torch.minimum(power[1:], power[:-1])[jumps].max() < 1e-4


#: Centimetre by centimetre over the border between two stages, 12 m from the start.
A_METRE = np.arange(11.8, 12.2, 0.01)


@pytest.mark.parametrize("model", [Umi(6e9, speed_mps=30, condition="nlos"), Inh(28e9, speed_mps=3, condition="los")])
def test_laws_stay_along_the_way(model: ScenarioChannel) -> None:
    """Large-scale parameters by Kolmogorov-Smirnov, powers over delay by their means: at a stage, and between two."""
    drops = 250
    spacing = 12.0 if model.name == "umi" else 10.0
    way = np.array([0.0, 2.0, 3.4]) * spacing
    track = tracks(model, drops, list(way / model.speed_mps), [[2.5 * spacing, 0.0], [0.0, 0.0]])
    first = track.at(0)
    for index in (1, 2):
        later = track.at(index)
        clusters = later.drop.clusters
        np.testing.assert_allclose(clusters.powers.sum(1) + clusters.los_power, 1, rtol=1e-12)
        column = int(model.cell.condition or 0)
        normals = track.fields.normals[:, column, track.stages_m.shape[1] + index]
        for values in normals.T:
            assert kstest(values, "norm").pvalue > 1e-6 / 14

        def excess(snapshot) -> np.ndarray:
            whole = snapshot.delays_s * SPEED_OF_LIGHT_MPS + first.drop.links.distance_3d_m[:, None]
            late = (whole - snapshot.drop.links.distance_3d_m[:, None]) / SPEED_OF_LIGHT_MPS
            return (snapshot.drop.clusters.powers * late).sum(1)

        a, b = excess(first), excess(later)
        assert abs(a.mean() - b.mean()) < Z * math.sqrt((a.var() + b.var()) / drops)


def test_soft_line_of_sight() -> None:
    """Half at the border, hard far from it, and with a line of sight as often as the probability says."""
    field = np.random.default_rng(8).standard_normal(100_000)
    for probability in (0.1, 0.5, 0.83):
        soft = soft_line_of_sight(np.full_like(field, probability), field, 0.05)
        share = (soft > 0.5).mean()
        assert abs(share - probability) < Z * math.sqrt(probability * (1 - probability) / field.size)
    assert soft_line_of_sight(np.array([0.5]), np.array([0.0]), 0.05)[0] == pytest.approx(0.5)
    # 1/2 + arctan(20) / pi at one standard deviation for a wavelength of 5 cm
    assert soft_line_of_sight(np.array([0.5]), np.array([1.0]), 0.05)[0] == pytest.approx(0.98409, abs=1e-5)
    assert soft_line_of_sight(np.array([1.0, 0.0]), np.array([-3.0, 3.0]), 0.05).tolist() == [1.0, 0.0]


def test_the_line_of_sight_comes_and_goes_as_often_as_it_should() -> None:
    model = Umi(6e9, speed_mps=10.0, indoor_ratio=0.0)
    track = tracks(model, 300, [0.0, 6.0])
    for index in (0, 1):
        snapshot = track.at(index)
        links = snapshot.drop.links
        links = replace(links, distance_2d_m=np.maximum(links.distance_2d_m, 10.0))
        probability = model.environment.los_probability(links)
        found, variance = (snapshot.sight > 0.5).sum(), (probability * (1 - probability)).sum()
        assert abs(found - probability.sum()) < Z * math.sqrt(variance)
    assert ((track.at(0).sight > 0.5) != (track.at(1).sight > 0.5)).mean() > 0.05


def test_numbers_of_stages_are_alike_as_the_distance_says() -> None:
    places = np.broadcast_to(np.array([[0.0, 0.0], [6.0, 0.0], [6.0, 8.0]]), (40, 3, 2))
    numbers = alike_numbers(generators(40), places, np.full((40, 1), 12.0), 500)[:, 0]
    samples = numbers.swapaxes(0, 1).reshape(3, -1)
    for i, j, apart in ((0, 1, 6.0), (1, 2, 8.0), (0, 2, 10.0)):
        expected = math.exp(-apart / 12)
        found = np.corrcoef(samples[i], samples[j])[0, 1]
        assert abs(found - expected) < Z * (1 - expected**2) / math.sqrt(samples.shape[1])


def test_a_longer_way_begins_as_a_shorter_one() -> None:
    model = Uma(6e9, speed_mps=10.0)
    short = model.track(generators(3), 1, 1, np.array([1.0]))[0]
    long = model.track(generators(3), 1, 1, np.array([0.5, 1.0, 30.0]))[1]
    torch.testing.assert_close(short.gains, long.gains, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(short.delays_s, long.delays_s, rtol=1e-9, atol=1e-16)


@pytest.mark.parametrize("direction", ["uplink", "downlink"])
def test_a_slot_with_mobility(direction: str) -> None:
    """Over a centimetre the response is that of a track; a drop is the same in any batch; parts are parts."""
    model = Umi(6e9, direction, speed_mps=30.0, mobility=True)
    times, band = np.arange(5) * 1.7e-3, np.linspace(-5e6, 5e6, 7)
    whole = model.response(generators(3), 2, 2, times, band)
    alone = model.response(generators(3)[1:2], 2, 2, times, band)
    assert torch.equal(whole[1:2], alone)
    part = model.response_within(generators(3), 2, 2, times, slice(1, 3), band)
    torch.testing.assert_close(whole[..., 1:3, :], part, rtol=1e-4, atol=1e-5)
    exact: list[Paths] = model.track(generators(3), 2, 2, times)
    grid = torch.cat([p.to_grid(torch.from_numpy(band)) for p in exact], -2)
    # looked at anew every 5 cm: 0.08 ns and 1e-3 rad at most off
    error = (grid - whole).abs().square().mean() / grid.abs().square().mean()
    assert error < 5e-3
    assert whole.abs().square().mean().item() == pytest.approx(1.0, abs=0.6)


def test_a_generator_moves_on_alike_whatever_the_way() -> None:
    """Several users of a drop draw one after the other: the next must not see which times were asked for."""
    model = Umi(6e9, speed_mps=30.0, mobility=True, blockage={"model": "A"}, absolute_delay=True)
    early, late = generators(1), generators(1)
    times = np.arange(200) * 1e-2
    model.response_within(early, 1, 1, times, slice(0, 2), np.zeros(1))
    model.response_within(late, 1, 1, times, slice(190, 192), np.zeros(1))
    assert early[0].random() == late[0].random()


def test_users_wait_at_the_last_way_point() -> None:
    way = by_way_points([[3.0, 4.0], [3.0, 0.0]], 2, 2.0)
    places, velocities = way.at(np.array([0.0, 2.5, 3.5, 9.0]))
    np.testing.assert_allclose(places[1], [[0, 0], [3, 4], [3, 2], [3, 0]], atol=1e-12)
    np.testing.assert_allclose(velocities[0], [[1.2, 1.6], [0, -2], [0, -2], [0, 0]], atol=1e-12)
    ahead, _ = straight(np.array([math.pi / 2]), 3.0).at(np.array([5.0]))
    np.testing.assert_allclose(ahead[0], [[0, 15]], atol=1e-12)


@pytest.mark.parametrize("points", [[[0.0, 0.0]], [[1.0, 2.0], [1.0, 2.0]], [[1.0]], [[float("nan"), 0.0]], []])
def test_bad_way_points_are_named(points: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="way_points_m: got"):
        Umi(6e9, speed_mps=1.0).track(generators(1), 1, 1, np.zeros(1), points)


def test_times_before_the_start_are_named() -> None:
    with pytest.raises(ValueError, match=r"times_s: got -1\.0; allowed: times from 0"):
        Umi(6e9, speed_mps=1.0).track(generators(1), 1, 1, np.array([-1.0, 0.0]))


def test_a_user_who_stands_still_sees_nothing_change() -> None:
    first, second = Umi(6e9).track(generators(2), 1, 1, np.array([0.0, 5.0]))
    assert torch.equal(first.gains, second.gains)
    assert Additions(Umi(6e9).environment).any is False


def test_paths_with_mobility_are_the_track() -> None:
    model = Umi(6e9, speed_mps=30.0, mobility=True)
    times = 0.4 + np.arange(14) * 3.5e-5
    paths = model.paths(generators(2), 2, 1, times)
    band = torch.linspace(-5e6, 5e6, 7, dtype=torch.float64)
    grid = model.response(generators(2), 2, 1, times, band.numpy())
    error = (paths.to_grid(band) - grid).abs().square().mean() / grid.abs().square().mean()
    assert error < 5e-3
    parts = list(model.grid_parts(generators(2), 2, 1, times, band.numpy()))
    torch.testing.assert_close(torch.cat([part.grid for part in parts]), paths.to_grid(band), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"times_s: got 1\.0; allowed: 0\.0166667 from first to last with mobility"):
        model.paths(generators(1), 1, 1, np.array([0.0, 1.0]))
