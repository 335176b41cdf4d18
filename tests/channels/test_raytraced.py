"""Channels of a site, from rays that were traced before: geometry, physics, draws and files."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from channels.arrays import antenna_array, direction
from channels.raytraced import Interaction, RaySet, RayTraced, read_rays, shipped_sets, trace_options, write_rays
from channels.raytraced.user_places import user_places
from channels.waves import SPEED_OF_LIGHT_MPS

TIMES = np.arange(14) * 0.5e-3 / 14
FREQUENCIES = (np.arange(48) - 23.5) * 30e3
NAME = "munich-street"


def generators(count: int, seed: int = 3) -> list[np.random.Generator]:
    return [np.random.Generator(np.random.Philox(key=[seed, drop])) for drop in range(count)]


@pytest.fixture(scope="module")
def rays() -> RaySet:
    return read_rays(NAME)


def straight(rays: RaySet) -> tuple[np.ndarray, np.ndarray]:
    """Positions in line of sight, and the numbers of those rays."""
    positions = np.repeat(np.arange(rays.num_positions), rays.num_rays)
    found = np.flatnonzero((rays.interactions == 0).all(1))
    return positions[found], found


def one_ray(length_m: float, zenith: float = math.pi / 2, azimuth: float = 0.3, **changes: Any) -> RaySet:
    """A free line of sight of unit gain between vertical antennas, seen from the user in a direction."""
    toward_base = direction(torch.tensor([zenith]).double(), torch.tensor([azimuth]).double())[0].numpy()
    values: dict[str, Any] = {
        "carrier_frequency_hz": 3.5e9,
        "base_position_m": np.zeros(3),
        "positions_m": np.float32([-length_m * toward_base]),
        "headings_rad": np.float32([np.nan]),
        "first": np.int32([0, 1]),
        "delays_s": np.float32([length_m / SPEED_OF_LIGHT_MPS]),
        "transfer": np.complex64([[[1, 0], [0, -1]]]),
        "base_zenith_rad": np.float32([math.pi - zenith]),
        "base_azimuth_rad": np.float32([azimuth + math.pi]),
        "user_zenith_rad": np.float32([zenith]),
        "user_azimuth_rad": np.float32([azimuth]),
        "base_radius_m": np.float32([length_m]),
        "user_radius_m": np.float32([length_m]),
        "interactions": np.zeros((1, 0), np.uint8),
        "vertices_m": np.zeros((1, 0, 3), np.float32),
        "details": {},
    }
    return RaySet(**(values | changes))


def model_of(rays: RaySet, folder: Path, **options: Any) -> RayTraced:
    write_rays(folder / "rays.npz", rays)
    return RayTraced(rays=str(folder / "rays.npz"), **options)


def test_the_shipped_set_says_where_it_comes_from(rays: RaySet) -> None:
    assert list(shipped_sets()) == [NAME]
    assert shipped_sets()[NAME].stat().st_size < 2**20
    assert rays.details["scene"] == "munich"
    assert rays.details["tracer"].startswith("sionna-rt ")
    assert len(rays.details["scene_sha256"]) == 64
    assert rays.details["positions_without_rays"] == rays.num_outages == rays.num_positions - len(rays.served)
    assert len(rays.served) > 200
    # what was left out as weak is little
    assert rays.details["largest_share_of_power_left_out"] < 0.02


def test_a_line_of_sight_is_as_long_as_the_way_and_points_to_the_other_end(rays: RaySet) -> None:
    positions, found = straight(rays)
    assert len(found) > 50
    between = rays.positions_m[positions].astype(np.float64) - rays.base_position_m
    distance = np.linalg.norm(between, axis=1)
    np.testing.assert_allclose(rays.delays_s[found] * SPEED_OF_LIGHT_MPS, distance, rtol=2e-6)
    for sign, end in ((1, "base"), (-1, "user")):
        zenith, azimuth = (torch.from_numpy(getattr(rays, f"{end}_{a}_rad")[found]) for a in ("zenith", "azimuth"))
        np.testing.assert_allclose(direction(zenith, azimuth).numpy(), sign * between / distance[:, None], atol=2e-6)


def test_a_line_of_sight_is_as_strong_as_friis_says(rays: RaySet) -> None:
    positions, found = straight(rays)
    distance = np.linalg.norm(rays.positions_m[positions] - rays.base_position_m, axis=1)
    friis = rays.wavelength_m / (4 * np.pi * distance)
    transfer = rays.transfer[found]
    np.testing.assert_allclose(np.abs(transfer[:, 0, 0]), friis, rtol=1e-4)
    # the azimuth components at both ends point against one another
    np.testing.assert_allclose(transfer[:, 1, 1], -transfer[:, 0, 0], rtol=1e-4)
    assert np.abs(transfer[:, 0, 1] / transfer[:, 0, 0]).max() < 1e-4
    cycles = rays.carrier_frequency_hz * rays.delays_s[found].astype(np.float64)
    phase = np.angle(transfer[:, 0, 0] * np.exp(2j * np.pi * (cycles % 1)))
    assert np.abs(phase).max() < 5e-3


def test_rays_are_as_long_as_their_vertices_say(rays: RaySet) -> None:
    for position in rays.served[::7]:
        for ray, line in enumerate(rays.lines_m(int(position)), int(rays.first[position])):
            length = np.linalg.norm(np.diff(line, axis=0), axis=1).sum()
            assert rays.delays_s[ray] * SPEED_OF_LIGHT_MPS == pytest.approx(length, abs=2e-3)
            for end, step in (("base", line[1] - line[0]), ("user", line[-2] - line[-1])):
                angles = (torch.tensor([float(getattr(rays, f"{end}_{a}_rad")[ray])]) for a in ("zenith", "azimuth"))
                assert np.abs(direction(*angles)[0].numpy() - step / np.linalg.norm(step)).max() < 2e-3


def test_later_rays_of_reflections_alone_are_weaker_than_free_space(rays: RaySet) -> None:
    reflected = (rays.interactions == Interaction.REFLECTION).any(1) & (rays.interactions <= 1).all(1)
    friis = rays.wavelength_m / (4 * np.pi * SPEED_OF_LIGHT_MPS * rays.delays_s[reflected])
    strongest = np.linalg.norm(rays.transfer[reflected], ord=2, axis=(1, 2))
    assert reflected.sum() > 100
    assert (strongest < friis * (1 + 1e-4)).all()


def test_the_response_is_the_sum_of_the_rays(rays: RaySet) -> None:
    """By hand: two vertical antennas at the base station, one at the user."""
    model = RayTraced(rays=NAME, normalise="none", absolute_delays=True)
    h = model.response(generators(4), 2, 1, np.zeros(1), FREQUENCIES)
    for drop, position in enumerate(model.sites(generators(4))):
        part = rays.of_position(int(position))
        sine = np.sin(rays.base_zenith_rad[part].astype(np.float64))
        along_y = sine * np.sin(rays.base_azimuth_rad[part].astype(np.float64))
        for antenna, place in enumerate((-0.25, 0.25)):  # wavelengths
            gains = rays.transfer[part, 0, 0] * np.exp(2j * np.pi * place * along_y)
            delays = rays.delays_s[part].astype(np.float64)
            expected = gains @ np.exp(-2j * np.pi * np.outer(delays, FREQUENCIES))
            np.testing.assert_allclose(
                h[drop, antenna, 0, 0].numpy(), expected, rtol=0, atol=1e-5 * np.abs(gains).sum()
            )


def test_downlink_is_the_transposed_uplink() -> None:
    base, user = {"rows": 2, "columns": 2, "polarisation": "cross"}, {"num_elements": 1, "polarisation": "VH"}
    common: dict[str, Any] = {"rays": NAME, "speed_mps": 5}
    up = RayTraced(**common, rx_array=base, tx_array=user).response(generators(3), 8, 2, TIMES, FREQUENCIES)
    down = RayTraced(**common, tx_array=base, rx_array=user, direction="downlink")
    torch.testing.assert_close(down.response(generators(3), 2, 8, TIMES, FREQUENCIES), up.transpose(1, 2))


def test_doppler_shift_is_the_speed_towards_the_base_station(tmp_path: Path) -> None:
    rays = one_ray(100.0, azimuth=0.3)
    model = model_of(rays, tmp_path, speed_mps=30, travel_azimuth_deg=math.degrees(0.3) + 60)
    h = model.response(generators(1), 1, 1, TIMES, np.zeros(1))[0, 0, 0, :, 0]
    shift = 30 * math.cos(math.radians(60)) / rays.wavelength_m
    turned = torch.exp(2j * math.pi * shift * torch.from_numpy(TIMES))
    torch.testing.assert_close(h / h[0], (turned / turned[0]).to(torch.complex64), rtol=0, atol=1e-3)


def test_users_on_a_trajectory_move_along_it(tmp_path: Path) -> None:
    away = model_of(one_ray(100.0, azimuth=0.3, headings_rad=np.float32([0.3 + math.pi])), tmp_path, speed_mps=30)
    h = away.response(generators(1), 1, 1, TIMES, np.zeros(1))[0, 0, 0, :, 0]
    phase = torch.angle(h[1] / h[0])
    assert float(phase) == pytest.approx(-2 * math.pi * 30 / away.wavelength_m * TIMES[1], rel=1e-2)


def test_spherical_wavefronts_follow_the_distance_of_every_element(tmp_path: Path) -> None:
    rays = one_ray(5.0, azimuth=0.3)
    array = {"num_elements": 64, "spacing": 0.5}
    model = model_of(rays, tmp_path, rx_array=array, spherical=True, normalise="none")
    h = model.response(generators(1), 64, 1, np.zeros(1), np.zeros(1))[0, :, 0, 0, 0]
    elements = antenna_array(array, rays.wavelength_m).positions_m
    distance = np.linalg.norm(rays.positions_m[0].astype(np.float64) - elements, axis=1)
    expected = np.exp(-2j * np.pi * (distance - 5) / rays.wavelength_m)
    np.testing.assert_allclose(h.numpy(), expected, atol=1e-3)
    planar = model_of(rays, tmp_path, rx_array=array, normalise="none")
    far = planar.response(generators(1), 64, 1, np.zeros(1), np.zeros(1))[0, :, 0, 0, 0]
    assert abs(np.vdot(far.numpy(), h.numpy())) / 64 < 0.5


def test_displacement_of_a_spherical_wave_is_that_of_the_user(tmp_path: Path) -> None:
    model = model_of(one_ray(4.0), tmp_path, spherical=True, speed_mps=1.0, travel_azimuth_deg=math.degrees(0.3) + 90)
    times = np.linspace(0, 1, 5)
    h = model.response(generators(1), 1, 1, times, np.zeros(1))[0, 0, 0, :, 0]
    expected = np.exp(-2j * np.pi * (np.hypot(4.0, times) - 4) / model.wavelength_m)
    np.testing.assert_allclose((h / h[0]).numpy(), expected, atol=2e-3)


def test_a_draw_is_at_a_position_with_rays_and_sites_say_at_which(rays: RaySet) -> None:
    model = RayTraced(rays=NAME, around_m=1.0)
    drops = 4000
    sites = model.sites(generators(drops))
    assert set(sites) <= set(rays.served)
    # of n positions that are equally likely, 1 - (1 - 1/n)^drops are met on average
    share = 1 - (1 - 1 / len(rays.served)) ** drops
    assert len(set(sites)) == pytest.approx(share * len(rays.served), abs=12)
    loss = model.paths(generators(5), 1, 1, TIMES).large_scale.path_loss_db
    np.testing.assert_allclose(loss, -10 * np.log10(rays.path_gains[sites[:5]]))


def test_a_position_has_unit_power_summed_over_its_rays(rays: RaySet) -> None:
    gains = RayTraced(rays=NAME, around_m=1.0, speed_mps=3).paths(generators(50), 4, 2, TIMES).gains
    powers = gains.abs().double().square().sum(3).mean((1, 2))  # over antenna pairs, per time
    torch.testing.assert_close(powers, torch.ones_like(powers), rtol=0, atol=1e-3)


def test_normalised_over_the_set_far_positions_stay_weak(rays: RaySet) -> None:
    model = RayTraced(rays=NAME, normalise="set")
    gains = model.paths(generators(300), 1, 1, np.zeros(1)).gains
    powers = gains.abs().double().square().sum(3).flatten()
    vertical = np.square(np.abs(rays.transfer[:, 0, 0].astype(np.complex128)))
    of_position = np.bincount(np.repeat(np.arange(rays.num_positions), rays.num_rays), vertical, rays.num_positions)
    expected = of_position / of_position[rays.served].mean()
    np.testing.assert_allclose(powers, expected[model.sites(generators(300))], rtol=1e-3)


def test_paths_and_parts_are_the_response() -> None:
    model = RayTraced(rays=NAME, around_m=1.0, speed_mps=10)
    h = model.response(generators(3), 4, 2, TIMES, FREQUENCIES)
    paths = model.paths(generators(3), 4, 2, TIMES)
    torch.testing.assert_close(paths.to_grid(torch.from_numpy(FREQUENCIES)), h, rtol=0, atol=1e-4)
    for part in model.grid_parts(generators(3), 4, 2, TIMES, FREQUENCIES, budget_bytes=1 << 18):
        own = h[part.drops, part.rx_antennas, ..., part.subcarriers]
        torch.testing.assert_close(part.grid, own, rtol=0, atol=1e-4)


def test_a_file_read_again_is_the_same(rays: RaySet, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_rays(tmp_path / f"{name}.npz", rays)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = read_rays(tmp_path / "a.npz")
    assert again.content_sha256 == rays.content_sha256
    assert again.details == rays.details
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("truncated", "truncated or not a numpy archive"),
        ("foreign", "truncated or not a numpy archive"),
        ("other archive", "no head that says what it is"),
        ("pickle", "truncated or not a numpy archive: .*pickle"),
        ("changed", "numbers that do not match their hash|truncated"),
        ("missing", "cannot be read: No such file"),
    ],
)
def test_a_file_that_is_damaged_or_foreign_is_refused_in_one_line(
    rays: RaySet, tmp_path: Path, damage: str, message: str
) -> None:
    path = tmp_path / "rays.npz"
    write_rays(path, rays)
    content = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "foreign":
        path.write_bytes(b"solid cube\n" * 100)
    elif damage == "other archive":
        np.savez(path, positions_m=np.zeros(3))
    elif damage == "pickle":
        np.savez(path, head=np.array({"a": 1}, dtype=object), allow_pickle=True)
    elif damage == "changed":
        with np.load(path) as archive:
            arrays = {name: archive[name] for name in archive.files}
        arrays["delays_s"] = arrays["delays_s"] * np.float32(2)
        np.savez_compressed(path, **arrays)
    else:
        path.unlink()
    with pytest.raises(ValueError, match=message) as error:
        RayTraced(rays=str(path))
    assert "\n" not in str(error.value)
    assert "allowed: " in str(error.value)


def test_arrays_that_do_not_belong_together_are_refused(rays: RaySet, tmp_path: Path) -> None:
    write_rays(tmp_path / "rays.npz", replace(rays, first=rays.first[:-1]))
    with pytest.raises(ValueError, match="arrays that do not belong together"):
        read_rays(tmp_path / "rays.npz")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "rays, trace: got 'neither'; allowed: one of the two"),
        ({"rays": NAME, "trace": {}}, "rays, trace: got 'both'"),
        ({"rays": "munich-stret"}, r"rays: got 'munich-stret'; .* did you mean 'munich-street'\?"),
        ({"rays": NAME, "normalise": "sets"}, "normalise: got 'sets'; allowed: position, set, none"),
        ({"rays": NAME, "direction": "up"}, "direction: got 'up'; allowed: uplink, downlink"),
        ({"rays": NAME, "around_m": -1}, "around_m: got -1; allowed: a finite number from 0"),
        ({"trace": {"scene": "munich"}}, "trace.carrier_frequency_hz: got None; allowed: a value"),
    ],
)
def test_bad_options_are_refused_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        RayTraced(**options)
    assert "\n" not in str(error.value)


TRACE = {
    "scene": "munich",
    "carrier_frequency_hz": 3.5e9,
    "base_position_m": [8.5, 21, 27],
    "users": {"layout": "positions", "positions_m": [[45, 90, 1.5]]},
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_depht": 3}, r"trace: got 'max_depht'; .* did you mean 'max_depth'\?"),
        ({"max_depth": -1}, "trace.max_depth: got -1; allowed: an integer from 0 to 20"),
        ({"scattering": 2}, "trace.scattering: got 2.0; allowed: 0 to 1"),
        ({"diffraction": 1}, "trace.diffraction: got 1; allowed: true or false"),
        ({"base_position_m": [1, 2]}, r"trace.base_position_m: got \[1, 2\]; allowed: \[x, y, z\] in metres"),
        ({"users": {"layout": "gird"}}, r"users.layout: got 'gird'; .* did you mean 'grid'\?"),
        ({"users": {"layout": "grid", "x_m": [0, 1]}}, "users.y_m: got None; allowed: "),
        ({"users": {"layout": "region", "x_m": [1, 0], "y_m": [0, 1]}}, r"users.x_m: got \[1.0, 0.0\]; allowed: "),
        ({"users": {"layout": "trajectory", "points_m": [[0, 0, 1]], "spacing_m": 1}}, "at least 2 points"),
    ],
)
def test_bad_options_of_a_trace_are_refused_in_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        trace_options(TRACE | change)
    assert "\n" not in str(error.value)


def test_users_stand_where_they_are_asked_for() -> None:
    grid, headings = user_places({"layout": "grid", "x_m": [0, 20], "y_m": [5, 15], "spacing_m": 10, "height_m": 2})
    assert grid.tolist() == [[x, y, 2] for x in (0, 10, 20) for y in (5, 15)]
    assert np.isnan(headings).all()
    block = {"layout": "region", "x_m": [-5, 5], "y_m": [10, 30], "num_positions": 500, "seed": 3}
    region, _ = user_places(block)
    assert np.array_equal(region, user_places(block)[0])
    assert (region[:, 0] >= -5).all()
    assert (region[:, 1] <= 30).all()
    assert region[:, 0].std() == pytest.approx(10 / 12**0.5, rel=0.15)
    corner = {"layout": "trajectory", "points_m": [[0, 0, 1], [10, 0, 1], [10, 5, 1]], "spacing_m": 4}
    track, headings = user_places(corner)
    np.testing.assert_allclose(track, [[0, 0, 1], [4, 0, 1], [8, 0, 1], [10, 2, 1]])
    np.testing.assert_allclose(headings, [0, 0, 0, math.pi / 2])


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("delays_s", -1e-9, r"delays_s\[5\]: got -9.*; allowed: finite delays in seconds from 0 to 0.001"),
        ("delays_s", math.nan, r"delays_s\[5\]: got nan, 1 of 2984 are wrong"),
        ("delays_s", 250.0, r"delays_s\[5\]: got 250.0.*allowed: finite delays in seconds"),
        ("transfer", math.inf, r"transfer\[5, 0, 0\]: got \(inf"),
        ("base_zenith_rad", -0.2, r"base_zenith_rad\[5\]: got -0.2.*zeniths, not elevations"),
        ("user_zenith_rad", 110.0, r"user_zenith_rad\[5\]: got 110.0.*allowed: radians from the z axis, 0 to pi"),
        ("user_azimuth_rad", 200.0, r"user_azimuth_rad\[5\]: got 200.0"),
        ("base_radius_m", math.nan, r"base_radius_m\[5\]: got nan"),
        ("positions_m", math.inf, r"positions_m\[5, 0\]: got inf"),
        ("headings_rad", math.inf, r"headings_rad\[5\]: got inf"),
        ("interactions", 3, r"interactions\[5, 0\]: got 3; allowed: 0, 1, 2, 4, 8"),
    ],
)
def test_values_that_make_no_sense_are_refused_when_read(
    rays: RaySet, tmp_path: Path, field: str, value: float, message: str
) -> None:
    array = getattr(rays, field).copy()
    array[(5, *(0,) * (array.ndim - 1))] = value
    write_rays(tmp_path / "rays.npz", replace(rays, **{field: array}))
    with pytest.raises(ValueError, match=rf"rays.npz: {message}") as error:
        read_rays(tmp_path / "rays.npz")
    assert "\n" not in str(error.value)


def test_delays_that_do_not_ascend_and_frequencies_in_ghz_are_refused(rays: RaySet, tmp_path: Path) -> None:
    position = int(np.flatnonzero(rays.num_rays > 3)[0])
    delays = rays.delays_s.copy()
    first = rays.first[position]
    delays[first : first + 2] = delays[first : first + 2][::-1]
    write_rays(tmp_path / "rays.npz", replace(rays, delays_s=delays))
    with pytest.raises(ValueError, match=rf"delays_s\[{first + 1}\]: got .* after .*ascending within a position"):
        read_rays(tmp_path / "rays.npz")
    write_rays(tmp_path / "ghz.npz", replace(rays, carrier_frequency_hz=3.5))
    with pytest.raises(ValueError, match=r"carrier_frequency_hz: got 3.5; allowed: hertz from 1e8 to 1e12"):
        read_rays(tmp_path / "ghz.npz")


def test_rays_without_power_and_wavefronts_without_a_centre_are_refused(tmp_path: Path) -> None:
    silent = one_ray(100.0, transfer=np.zeros((1, 2, 2), np.complex64))
    with pytest.raises(ValueError, match=r"transfer: got a gain of 0 at position 0; allowed: from -360 dB"):
        model_of(silent, tmp_path)
    flat = one_ray(100.0, user_radius_m=np.float32([0.0]))
    model_of(flat, tmp_path)
    with pytest.raises(ValueError, match="spherical: got True; allowed: false"):
        model_of(flat, tmp_path, spherical=True)


@pytest.mark.parametrize("level", [1e-9, 1e9])
def test_a_normalised_channel_does_not_depend_on_the_level_of_the_rays(
    rays: RaySet, tmp_path: Path, level: float
) -> None:
    """Levels beside one another: 180 dB weaker and stronger than traced."""
    grids = []
    for number, factor in enumerate((1.0, level)):
        folder = tmp_path / str(number)
        model = model_of(replace(rays, transfer=(rays.transfer * factor).astype(np.complex64)), folder)
        generators = [np.random.default_rng([3, draw]) for draw in range(8)]
        grids.append(model.response(generators, 2, 1, np.zeros(1), np.arange(12) * 1e6))
    torch.testing.assert_close(grids[1], grids[0], rtol=1e-4, atol=1e-5)
