"""Arrays over wide bands against sums of the elements' own delays, and one wavelength where that is enough."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from channels import Cdl, RayTraced, Umi
from channels.array_channel import ArrayChannel
from channels.arrays import direction
from channels.raytraced import RaySet, write_rays
from channels.waves import SPEED_OF_LIGHT_MPS
from channels.wide_band import MAX_CYCLES, band_cycles, band_nodes, longest_delay_s

CARRIER_HZ = 28e9
#: 2 GHz around the carrier.
BAND_HZ = np.linspace(-1e9, 1e9, 33)
LINE = {"num_elements": 64, "orientation_deg": [0, 0, 0]}
WAVELENGTH_M = SPEED_OF_LIGHT_MPS / CARRIER_HZ


def generators(count: int = 2) -> list[np.random.Generator]:
    return [np.random.default_rng([11, draw]) for draw in range(count)]


def one_ray(folder: Path, azimuth_deg: float, length_m: float = 90.0) -> str:
    """A line of sight from a base station at the origin, in a direction from the x axis."""
    azimuth = math.radians(azimuth_deg)
    toward = direction(torch.tensor([math.pi / 2]).double(), torch.tensor([azimuth]).double())[0].numpy()
    rays = RaySet(
        carrier_frequency_hz=CARRIER_HZ,
        base_position_m=np.zeros(3),
        positions_m=np.float32([length_m * toward]),
        headings_rad=np.float32([np.nan]),
        first=np.int32([0, 1]),
        delays_s=np.float32([length_m / SPEED_OF_LIGHT_MPS]),
        transfer=np.complex64([[[1, 0], [0, -1]]]),
        base_zenith_rad=np.float32([math.pi / 2]),
        base_azimuth_rad=np.float32([azimuth]),
        user_zenith_rad=np.float32([math.pi / 2]),
        user_azimuth_rad=np.float32([azimuth - math.pi]),
        base_radius_m=np.float32([length_m]),
        user_radius_m=np.float32([length_m]),
        interactions=np.zeros((1, 0), np.uint8),
        vertices_m=np.zeros((1, 0, 3), np.float32),
        details={},
    )
    write_rays(folder / "line.npz", rays)
    return str(folder / "line.npz")


def beam_gain_db(h: np.ndarray) -> np.ndarray:
    """Gain of a beam that is steered to the user at the carrier, over the band, relative to that there.

    h [num_elements, num_subcarriers], the carrier in the middle.
    """
    steered = np.abs(h[:, h.shape[1] // 2].conj() @ h)
    return 20 * np.log10(steered / steered[h.shape[1] // 2])


def test_a_beam_of_64_elements_squints_as_the_elements_delays_say(tmp_path: Path) -> None:
    """28 GHz, 60 degrees: at 1 GHz off the centre the beam has lost 33 dB and more; one wavelength says 0.0 dB."""
    rays = one_ray(tmp_path, 60)
    places = (np.arange(64) - 31.5) * WAVELENGTH_M / 2
    ahead_s = places * math.sin(math.radians(60)) / SPEED_OF_LIGHT_MPS
    expected = np.exp(2j * np.pi * ahead_s[:, None] * (CARRIER_HZ + BAND_HZ))
    gain = np.abs(np.exp(-2j * np.pi * CARRIER_HZ * ahead_s) @ expected) / 64
    assert 20 * math.log10(gain[0]) < -30
    for wideband in ("auto", True):
        model = RayTraced(rays, rx_array=LINE, wideband=wideband)  # type: ignore[arg-type]
        h = model.response(generators(1), 64, 1, np.zeros(1), BAND_HZ)[0, :, 0, 0].numpy()
        turned = h[0] / expected[0]
        np.testing.assert_allclose(h, expected * turned, atol=1e-3)
        np.testing.assert_allclose(beam_gain_db(h)[::8], 20 * np.log10(gain)[::8], atol=0.5)
    narrow = RayTraced(rays, rx_array=LINE, wideband=False).response(generators(1), 64, 1, np.zeros(1), BAND_HZ)
    np.testing.assert_allclose(beam_gain_db(narrow[0, :, 0, 0].numpy()), 0, atol=1e-3)


def test_spherical_wavefronts_have_the_ways_of_the_elements(tmp_path: Path) -> None:
    """A user 3 m away: every element's own distance, at every frequency."""
    length = 3.0
    rays = one_ray(tmp_path, 40, length)
    places = np.zeros((64, 3))
    places[:, 1] = (np.arange(64) - 31.5) * WAVELENGTH_M / 2
    user = length * np.array([math.cos(math.radians(40)), math.sin(math.radians(40)), 0])
    ways = np.linalg.norm(user - places, axis=1)
    expected = np.exp(-2j * np.pi * (ways[:, None] - length) * (CARRIER_HZ + BAND_HZ) / SPEED_OF_LIGHT_MPS)
    model = RayTraced(rays, rx_array=LINE, spherical=True)
    h = model.response(generators(1), 64, 1, np.zeros(1), BAND_HZ)[0, :, 0, 0].numpy()
    np.testing.assert_allclose(h, expected * (h[0] / expected[0]), atol=1e-3)


def large(name: str, folder: Path, **options: Any) -> ArrayChannel:
    """A model between a panel or line and two elements, over whose band elements' delays matter."""
    if name == "ray-traced":
        return RayTraced(one_ray(folder, 60), rx_array={"num_elements": 16, "spacing": 2.0}, **options)
    panel = {"rows": 2, "columns": 8, "spacing": [0.5, 4.0], "polarisation": "V"}
    if name == "umi":
        return Umi(CARRIER_HZ, rx_array=panel, condition="los", **options)
    if name == "umi-moving":
        return Umi(CARRIER_HZ, rx_array=panel, mobility=True, speed_mps=10.0, condition="nlos", **options)
    near = {"distance_m": 5.0, "visibility": {}} if name == "cdl-near" else None
    return Cdl("D", 30.0, CARRIER_HZ, rx_array=panel, near_field=near, speed_mps=3.0, **options)


MODELS = ["cdl", "cdl-near", "umi", "umi-moving", "ray-traced"]


@pytest.mark.parametrize("name", MODELS)
def test_at_every_frequency_the_arrays_are_looked_at_with_its_wavelength(name: str, tmp_path: Path) -> None:
    """The nodes and what is interpolated between them against the frequencies taken one by one."""
    model, times = large(name, tmp_path), np.array([0.0, 5e-4])
    whole = model.response(generators(), 16, 1, times, BAND_HZ)
    scale = whole.abs().square().mean().sqrt()
    for place in (0, 9, 30):
        alone = large(name, tmp_path, wideband=True).response(generators(), 16, 1, times, BAND_HZ[place : place + 1])
        torch.testing.assert_close(whole[..., place : place + 1] / scale, alone / scale, rtol=0, atol=2e-3)
    narrow = large(name, tmp_path, wideband=False).response(generators(), 16, 1, times, BAND_HZ)
    # the carrier is in the middle: there one wavelength is right, at the edges it is not
    torch.testing.assert_close(whole[..., 16] / scale, narrow[..., 16] / scale, rtol=0, atol=2e-3)
    assert (whole[..., 0] - narrow[..., 0]).abs().square().mean().sqrt() > 0.2 * scale


@pytest.mark.parametrize("name", MODELS)
def test_a_generator_is_used_as_over_a_narrow_band(name: str, tmp_path: Path) -> None:
    ends = []
    for wideband in (True, False):
        used = generators()
        large(name, tmp_path, wideband=wideband).response(used, 16, 1, np.zeros(1), BAND_HZ)
        ends.append([generator.random() for generator in used])
    assert ends[0] == ends[1]


@pytest.mark.parametrize("name", MODELS)
def test_below_the_threshold_nothing_moves(name: str, tmp_path: Path) -> None:
    """Bit for bit: the same operations."""
    model = large(name, tmp_path)
    delay = longest_delay_s(*model.arrays(16, 1))
    edge = 0.99 * MAX_CYCLES / (4 * delay)
    assert band_cycles(delay, edge) < MAX_CYCLES
    band, times = np.linspace(-edge, edge, 12), np.array([0.0, 5e-4])
    narrow = large(name, tmp_path, wideband=False).response(generators(), 16, 1, times, band)
    assert torch.equal(model.response(generators(), 16, 1, times, band), narrow)
    made = model.for_band(16, 1, edge)
    assert torch.equal(made.response(generators(), 16, 1, times, band), narrow)


def test_parts_of_a_band_belong_to_one_model(tmp_path: Path) -> None:
    """A part near the carrier alone would be narrow; made for the band, it is as in the whole."""
    made = large("cdl", tmp_path).for_band(16, 1, 1e9)
    whole = made.response(generators(), 16, 1, np.zeros(1), BAND_HZ)
    part = made.response(generators(), 16, 1, np.zeros(1), BAND_HZ[14:19])
    scale = whole.abs().square().mean().sqrt()
    torch.testing.assert_close(part / scale, whole[..., 14:19] / scale, rtol=0, atol=2e-3)


@pytest.mark.parametrize("name", ["cdl", "umi", "ray-traced"])
def test_the_grid_in_parts_is_the_grid(name: str, tmp_path: Path) -> None:
    model, times = large(name, tmp_path), np.arange(3) * 1e-4
    whole = model.response(generators(), 16, 1, times, BAND_HZ)
    joined = torch.zeros_like(whole)
    count = 0
    for part in model.grid_parts(
        generators(), 16, 1, times, BAND_HZ, budget_bytes=2_000 if name == "ray-traced" else 40_000
    ):
        joined[part.drops, part.rx_antennas, :, :, part.subcarriers] = part.grid
        count += 1
    assert count > 2
    torch.testing.assert_close(joined, whole, rtol=1e-3, atol=2e-4)


def test_paths_are_refused_with_the_size_of_the_error(tmp_path: Path) -> None:
    model = large("cdl", tmp_path)
    with pytest.raises(ValueError, match=r"wideband: got 'auto'; allowed: false, a narrower band, or smaller.*degrees"):
        model.for_band(16, 1, 1e9, as_paths=True)
    model.for_band(16, 1, 1e6, as_paths=True)
    with pytest.raises(ValueError, match="wideband: got True; allowed: response and grid_parts with it"):
        large("cdl", tmp_path, wideband=True).paths(generators(), 16, 1, np.zeros(1))
    with pytest.raises(ValueError, match="wideband: got 'auto'; allowed: false"):
        list(large("umi-moving", tmp_path).grid_parts(generators(), 16, 1, np.zeros(1), BAND_HZ))
    with pytest.raises(ValueError, match="wideband: got 'yes'; allowed: auto, true, false"):
        large("cdl", tmp_path, wideband="yes")


def test_few_nodes_tell_a_band() -> None:
    frequencies = np.linspace(-1e9, 1e9, 600)
    nodes, matrix = band_nodes(frequencies, 1e-9)
    assert len(nodes) < 20
    for delay in (-1e-9, 0.3e-9, 1e-9):
        told = matrix @ np.exp(2j * np.pi * nodes * delay)
        np.testing.assert_allclose(told, np.exp(2j * np.pi * frequencies * delay), atol=2e-4)
    nodes, matrix = band_nodes(frequencies[:1], 1e-9)
    assert (len(nodes), matrix.tolist()) == (1, [[1.0]])
