"""DeepMIMO folders: units, padding, and what is said of folders that are none."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from channels.raytraced import RayTraced, write_rays
from channels.raytraced.deepmimo import read_deepmimo

NAN = np.nan
PAIR = "t000_tx000_r001"
FOLDER = Path(__file__).with_name("deepmimo-4.0.5-random-rays")
#: Two users; the second has one path, a third one none. Paths come by power, not by delay.
ARRAYS = {
    "power": [[-80, -86.0206, NAN], [-90, NAN, NAN], [NAN, NAN, NAN]],
    "phase": [[90, -45, NAN], [180, NAN, NAN], [NAN, NAN, NAN]],
    "delay": [[3e-7, 2e-7, NAN], [5e-7, NAN, NAN], [NAN, NAN, NAN]],
    "aod_az": [[10, 20, NAN], [30, NAN, NAN], [NAN, NAN, NAN]],
    "aod_el": [[90, 100, NAN], [110, NAN, NAN], [NAN, NAN, NAN]],
    "aoa_az": [[-170, 40, NAN], [-150, NAN, NAN], [NAN, NAN, NAN]],
    "aoa_el": [[90, 80, NAN], [70, NAN, NAN], [NAN, NAN, NAN]],
    "inter": [[12, 0, NAN], [4, NAN, NAN], [NAN, NAN, NAN]],
}
POSITIONS = [[50, 0, 1.5], [60, 10, 1.5], [70, 0, 1.5]]


def folder_of(path: Path, save: Callable[[Path, str, np.ndarray], None]) -> Path:
    path.mkdir()
    (path / "params.json").write_text(json.dumps({"version": "4.0.0", "rt_params": {"frequency": 3.5e9}}))
    places = np.full((3, 3, 2, 3), NAN, np.float32)
    places[0, 0] = [[20, 5, 3], [40, 5, 2]]
    places[1, 0, 0] = [30, 5, 2]
    extra = {"rx_pos": POSITIONS, "tx_pos": [[0, 0, 10]], "inter_pos": places}
    for name, values in (ARRAYS | extra).items():
        save(path, name, np.asarray(values, np.float32))
    return path


def save_npz(path: Path, name: str, values: np.ndarray) -> None:
    np.savez_compressed(path / f"{name}_{PAIR}.npz", **{name: values})


def save_mat(path: Path, name: str, values: np.ndarray) -> None:
    savemat(path / f"{name}_{PAIR}.mat", {name: values})


@pytest.mark.parametrize("save", [save_npz, save_mat])
def test_a_folder_becomes_rays(tmp_path: Path, save: Callable[[Path, str, np.ndarray], None]) -> None:
    rays = read_deepmimo(folder_of(tmp_path / "city", save), 0, 0, 1)
    assert rays.carrier_frequency_hz == 3.5e9
    assert rays.num_rays.tolist() == [2, 1, 0]
    assert rays.num_outages == 1
    np.testing.assert_allclose(rays.delays_s, [2e-7, 3e-7, 5e-7], rtol=1e-6)
    expected = [0.5e-4 * np.exp(-1j * math.pi / 4), 1e-4j, -(10**-4.5)]
    np.testing.assert_allclose(rays.transfer[:, 0, 0], expected, rtol=1e-5, atol=1e-11)
    assert not rays.transfer[:, 1].any()
    np.testing.assert_allclose(np.rad2deg(rays.base_azimuth_rad), [20, 10, 30], rtol=1e-6)
    np.testing.assert_allclose(np.rad2deg(rays.user_zenith_rad), [80, 90, 70], rtol=1e-6)
    # reflection then diffraction; transmission
    assert rays.interactions.tolist() == [[0, 0], [1, 8], [4, 0]]
    assert rays.lines_m(0)[1].tolist() == [[0, 0, 10], [20, 5, 3], [40, 5, 2], [50, 0, 1.5]]
    assert rays.is_line_of_sight.tolist() == [True, False, False]


def test_the_channel_has_the_power_of_the_paths(tmp_path: Path) -> None:
    write_rays(tmp_path / "city.npz", read_deepmimo(folder_of(tmp_path / "city", save_npz), 0, 0, 1))
    model = RayTraced(rays=str(tmp_path / "city.npz"), normalise="none")
    generators = [np.random.default_rng(seed) for seed in range(20)]
    sites = model.sites([np.random.default_rng(seed) for seed in range(20)])
    gains = model.paths(generators, 1, 1, np.zeros(1)).gains[:, 0, 0, :, 0]
    powers = gains.abs().double().square().sum(1)
    expected = np.where(sites == 0, 1.25e-8, 1e-9)
    np.testing.assert_allclose(powers, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "params.json").unlink(), "params.json: cannot be read: No such file"),
        (lambda f: (f / "params.json").write_text("{"), "params.json that is no JSON"),
        (lambda f: (f / "params.json").write_text("{}"), "params.json without rt_params.frequency"),
        (lambda f: (f / f"delay_{PAIR}.npz").unlink(), "no such file in .npz or .mat"),
        (lambda f: (f / f"delay_{PAIR}.npz").write_bytes(b"PK\x03\x04"), "damaged: "),
        (lambda f: save_npz(f, "delay", np.zeros((2, 3))), r"delay \(2, 3\)"),
        (lambda f: save_npz(f, "delay", np.full((3, 3), NAN)), r"delay_.*: delay\[0, 0\]: got nan"),
        (lambda f: save_npz(f, "inter", np.full((3, 3), 91.0)), "the interaction code 91"),
        (lambda f: save_npz(f, "power", np.array([["a"]])), "got <U1"),
    ],
)
def test_a_folder_that_is_none_is_refused_in_one_line(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    folder = folder_of(tmp_path / "city", save_npz)
    damage(folder)
    with pytest.raises(ValueError, match=message) as error:
        read_deepmimo(folder, 0, 0, 1)
    assert "\n" not in str(error.value)
    assert "allowed: " in str(error.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "aod_el",
            -12.0,
            r"aod_el_.*: aod_el\[0, 1\]: got -12.0.*allowed: zeniths in degrees from the z axis, 0 to 180",
        ),
        ("aoa_el", 190.0, r"aoa_el_.*: aoa_el\[0, 1\]: got 190.0.*allowed: zeniths in degrees"),
        ("aod_az", 400.0, r"aod_az_.*: aod_az\[0, 1\]: got 400.0.*allowed: azimuths in degrees"),
        ("delay", -1e-9, r"delay_.*: delay\[0, 1\]: got -9.*allowed: finite delays in seconds from 0 to 0.001"),
        ("delay", 215.0, r"delay_.*: delay\[0, 1\]: got 215.0.*allowed: finite delays in seconds"),
        ("delay", np.inf, r"delay_.*: delay\[0, 1\]: got inf"),
        ("phase", np.inf, r"phase_.*: phase\[0, 1\]: got inf"),
        ("power", 20.0, r"power_.*: power\[0, 1\]: got 20.0.*allowed: dB over what is sent"),
        ("inter", NAN, r"inter_.*: inter\[0\]: got nan.*allowed: codes from 0"),
    ],
)
def test_values_out_of_range_are_refused_file_by_file(tmp_path: Path, name: str, value: float, message: str) -> None:
    folder = folder_of(tmp_path / "city", save_npz)
    changed = np.asarray(ARRAYS[name], np.float32)
    changed[0, 1] = value
    save_npz(folder, name, changed)
    with pytest.raises(ValueError, match=message) as error:
        read_deepmimo(folder, 0, 0, 1)
    assert "\n" not in str(error.value)


def test_elevations_are_refused_that_are_within_the_range_of_zeniths(tmp_path: Path) -> None:
    """Arrival from above: elevations from 0 to 90. The line of sight says that they are none: it is straight."""
    folder = folder_of(tmp_path / "city", save_npz)
    elevations = 90 - np.asarray(ARRAYS["aoa_el"], np.float32)
    assert np.nanmin(elevations) >= 0
    save_npz(folder, "aoa_el", elevations)
    with pytest.raises(
        ValueError, match=r"aoa_el_.*: aoa_el: got 10 for a line of sight, an elevation over the horizon"
    ):
        read_deepmimo(folder, 0, 0, 1)


def test_a_folder_of_version_3_is_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "BS1_BS.mat").write_bytes(b"MATLAB 5.0")
    with pytest.raises(ValueError, match=r"version 3 \(BS1_BS.mat\); allowed: version 4: load the scenario anew with"):
        read_deepmimo(tmp_path, 0, 0, 1)


def test_of_a_dynamic_scenario_a_scene_is_read(tmp_path: Path) -> None:
    """Version 4: the number of scenes is in the parent's params.json, the arrays are in a folder each."""
    parent = tmp_path / "moving"
    parent.mkdir()
    parameters = {"rt_params": {"frequency": 28e9}, "scene": {"num_scenes": 2}}
    for name in ("scene_0", "scene_1"):
        folder_of(parent / name, save_npz)
        (parent / name / "params.json").unlink()
    (parent / "params.json").write_text(json.dumps(parameters))
    with pytest.raises(
        ValueError, match=r"a dynamic scenario of 2 scenes; allowed: the folder of one scene, .*scene_0"
    ):
        read_deepmimo(parent, 0, 0, 1)
    rays = read_deepmimo(parent / "scene_1", 0, 0, 1)
    assert rays.carrier_frequency_hz == 28e9
    assert rays.num_rays.tolist() == [2, 1, 0]


def test_another_pair_is_told_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"power_t000_tx000_r000: no such file .*; pairs here: t000_tx000_r001$"):
        read_deepmimo(folder_of(tmp_path / "city", save_npz), 0, 0, 0)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """Rays of a folder that DeepMIMO 4.0.5 wrote, as a file, and the channel that it computes of it.

    The folder has random rays; `make.txt` in it is the program that made both, on 2026-11-23 (seed 2026).
    """
    rays = read_deepmimo(FOLDER, 0, 0, 1)
    file = tmp_path_factory.mktemp("rays") / "rays.npz"
    write_rays(file, rays)
    with np.load(FOLDER / "reference.npz") as reference:
        return file, reference["channels"]


def test_the_channel_of_a_folder_is_the_one_that_deepmimo_computes(theirs: tuple[Path, np.ndarray]) -> None:
    """A panel of 4 along y and 2 along z to 2 elements along y, 64 subcarriers of 120 kHz, every third one."""
    file, expected = theirs
    half = 299_792_458 / 3.5e9 / 2
    panel = [[0.0, y * half, z * half] for z in range(2) for y in range(4)]
    upright = {"orientation_deg": [0, 0, 0]}
    model = RayTraced(
        str(file),
        direction="downlink",
        tx_array={"positions_m": panel, **upright},
        rx_array={"positions_m": panel[:2], **upright},
        normalise="none",
        absolute_delays=True,
    )
    generators = [np.random.default_rng([7, draw]) for draw in range(40)]
    users = model.sites([np.random.default_rng([7, draw]) for draw in range(40)])
    # one of the five users has no rays
    assert sorted(set(users.tolist())) == [0, 1, 2, 4]
    assert not expected[3].any()
    h = model.response(generators, 2, 8, np.zeros(1), 120e3 * np.arange(0, 64, 3))[:, :, :, 0].numpy()
    # theirs is divided by the root of the number of subcarriers; delays are float32, good to a tenth of a picosecond
    largest = np.abs(expected[users]).max(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(h / 8 / largest, expected[users] / largest, atol=1e-4)
