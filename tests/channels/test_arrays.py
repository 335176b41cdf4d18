"""Antenna arrays against closed forms and Sionna's panels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from channels.arrays import AntennaArray, angles, antenna_array, direction, polarisation_basis, power_gain
from channels.arrays import rotation_matrix as rotation

WAVELENGTH_M = 0.1


def random_directions(count: int, seed: int = 3) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    vectors = torch.from_numpy(rng.standard_normal((count, 3)))
    return vectors / vectors.norm(dim=-1, keepdim=True)


def test_angles_and_directions_are_inverse() -> None:
    vectors = random_directions(200)
    torch.testing.assert_close(direction(*angles(7 * vectors)), vectors, rtol=0, atol=1e-14)


def test_rotation_turns_the_main_direction_by_bearing_and_downwards() -> None:
    turned = rotation(math.radians(90), math.radians(10), 0.3) @ torch.tensor([1.0, 0, 0], dtype=torch.float64)
    expected = direction(torch.tensor(math.radians(100.0)), torch.tensor(math.radians(90.0))).double()
    torch.testing.assert_close(turned, expected, rtol=0, atol=1e-7)
    matrix = rotation(0.4, -1.0, 2.0)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(3, dtype=torch.float64))


def test_polarisation_basis_is_orthonormal_and_finite_at_the_poles() -> None:
    vectors = torch.cat([random_directions(50), torch.tensor([[0.0, 0, 1], [0, 0, -1]], dtype=torch.float64)])
    axes = torch.stack([vectors, *polarisation_basis(vectors)], -1)
    torch.testing.assert_close(axes.mT @ axes, torch.eye(3, dtype=torch.float64).expand(52, 3, 3))
    torch.testing.assert_close(torch.linalg.det(axes), torch.ones(52, dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "zenith_deg", "azimuth_deg", "gain_db"),
    [
        ("omni", 20, 100, 0),
        ("38.901", 90, 0, 8),
        ("38.901", 90, 32.5, 5),
        ("38.901", 57.5, 0, 5),
        ("38.901", 90, 180, -22),
        ("38.901", 90, 65, -4),
        ("38.901", 155, 65, -16),
        ("38.901", 10, 100, -22),
        ("handheld", 90, 0, 5.3),
        ("handheld", 90, 62.5, 2.3),
        ("handheld", 90, 180, -17.2),
    ],
)
def test_patterns_at_tabulated_points(name: str, zenith_deg: float, azimuth_deg: float, gain_db: float) -> None:
    zenith, azimuth = (torch.deg2rad(torch.tensor(v, dtype=torch.float64)) for v in (zenith_deg, azimuth_deg))
    assert 10 * math.log10(float(power_gain(name, zenith, azimuth))) == pytest.approx(gain_db, abs=1e-9)


def test_a_linear_array_has_the_phases_of_its_line() -> None:
    array = antenna_array({"num_elements": 8, "spacing": 0.5}, WAVELENGTH_M)
    azimuth = torch.linspace(-1.5, 1.5, 31, dtype=torch.float64)
    response = array.response(direction(torch.full_like(azimuth, math.pi / 2), azimuth), WAVELENGTH_M)
    assert response.shape == (8, 31, 2)
    assert response.dtype == torch.complex64
    n = torch.arange(8) - 3.5
    expected = torch.exp(1j * math.pi * n[:, None] * azimuth.sin())
    # a vertical element: -z, where the zenith grows
    torch.testing.assert_close(response[..., 0], expected.to(torch.complex64), rtol=0, atol=1e-6)
    assert response[..., 1].abs().max() < 1e-7


def test_a_panel_has_its_ports_in_the_order_of_the_codebook() -> None:
    array = antenna_array(
        {"rows": 2, "columns": 3, "panels": [1, 2], "polarisation": "cross", "spacing": [0.5, 0.7]}, WAVELENGTH_M
    )
    assert array.num_ports == 24
    half = math.pi / 4
    np.testing.assert_allclose(array.slants_rad, np.tile(np.repeat([half, -half], 6), 2))
    y, z = array.positions_m[:, 1] / WAVELENGTH_M, array.positions_m[:, 2] / WAVELENGTH_M
    np.testing.assert_allclose(z, np.tile([-0.25, 0.25], 12))
    np.testing.assert_allclose(y[:6], np.repeat([-1.75, -1.05, -0.35], 2), atol=1e-12)
    np.testing.assert_allclose(y[12:18], np.repeat([0.35, 1.05, 1.75], 2), atol=1e-12)
    np.testing.assert_allclose(array.positions_m.mean(0), 0, atol=1e-12)


def test_slants_rotate_the_field_and_keep_its_power() -> None:
    directions = random_directions(100)
    array = antenna_array({"num_elements": 1, "polarisation": "cross", "orientation_deg": [40, 20, 10]}, 1.0)
    fields = array.fields(directions)
    assert fields.shape == (100, 2, 2)
    torch.testing.assert_close(fields.square().sum(-1), torch.ones(100, 2, dtype=torch.float64))
    assert (fields[:, 0] * fields[:, 1]).sum(-1).abs().max() < 1e-12


def test_turning_the_array_and_the_wave_together_changes_nothing() -> None:
    directions = random_directions(50)
    turn = (0.7, -0.4, 1.2)
    block = {"rows": 2, "columns": 2, "polarisation": "VH", "pattern": "38.901"}
    straight, turned = (
        antenna_array(block, 1.0),
        antenna_array({**block, "orientation_deg": np.degrees(turn).tolist()}, 1.0),
    )
    matrix = rotation(*turn)
    before, after = straight.response(directions, 1.0), turned.response(directions @ matrix.T, 1.0)
    # the components turn by the angle between both bases, the vectors do not
    axes = matrix @ torch.stack(polarisation_basis(directions), -1)
    axes_turned = torch.stack(polarisation_basis(directions @ matrix.T), -1)
    vector = torch.einsum("rxc,prc->prx", axes.to(torch.complex64), before)
    vector_turned = torch.einsum("rxc,prc->prx", axes_turned.to(torch.complex64), after)
    torch.testing.assert_close(vector, vector_turned, rtol=0, atol=1e-5)


def test_subarrays_point_where_they_are_told() -> None:
    block = {"rows": 8, "columns": 2, "polarisation": "cross", "subarray_rows": 4, "subarray_zenith_deg": 100}
    array = antenna_array(block, WAVELENGTH_M)
    assert (array.num_elements, array.num_ports) == (32, 8)
    zenith = torch.deg2rad(torch.arange(60.0, 140.0)).double()
    response = array.response(direction(zenith, torch.zeros_like(zenith)), WAVELENGTH_M)
    power = response.abs().square().sum(-1)
    assert set(power.argmax(1).tolist()) == {40}
    torch.testing.assert_close(power[:, 40], torch.full((8,), 4.0), rtol=0, atol=1e-4)


def test_weights_combine_elements() -> None:
    directions = random_directions(20)
    block = {"num_elements": 3, "weights": [[1, [0, 1], 0], [0, 0, 2]]}
    plain, weighted = antenna_array({"num_elements": 3}, 1.0), antenna_array(block, 1.0)
    assert weighted.num_ports == 2
    elements, ports = plain.response(directions, 1.0), weighted.response(directions, 1.0)
    torch.testing.assert_close(ports[0], elements[0] + 1j * elements[1])
    torch.testing.assert_close(ports[1], 2 * elements[2])


def test_any_positions_and_slants() -> None:
    rng = np.random.default_rng(5)
    positions, slants = rng.uniform(-1, 1, (7, 3)), rng.uniform(0, 180, 7)
    array = antenna_array({"positions_m": positions.tolist(), "slants_deg": slants.tolist()}, WAVELENGTH_M)
    directions = random_directions(40)
    expected = np.exp(2j * np.pi * directions.numpy() @ positions.T / WAVELENGTH_M).T
    np.testing.assert_allclose(array.steering(directions, WAVELENGTH_M).numpy(), expected, atol=1e-5)
    # unrotated: the field of slant zeta is (cos, sin)
    response = array.response(directions, WAVELENGTH_M).numpy()
    np.testing.assert_allclose(response[..., 0], expected * np.cos(np.radians(slants))[:, None], atol=1e-5)
    np.testing.assert_allclose(response[..., 1], expected * np.sin(np.radians(slants))[:, None], atol=1e-5)


def test_spherical_waves_bend_by_the_distances() -> None:
    array = antenna_array({"num_elements": 65, "spacing": 0.5}, WAVELENGTH_M)
    distances = torch.tensor([3.0, 30.0, 3e6], dtype=torch.float64)
    points = direction(torch.full((3,), math.pi / 2).double(), torch.full((3,), 0.4).double()) * distances[:, None]
    response = array.response_to_points(points, WAVELENGTH_M)[..., 0].numpy()
    y = array.positions_m[:, 1]
    for n, d in enumerate(distances.tolist()):
        # the law of cosines
        to_element = np.sqrt(d**2 + y**2 - 2 * d * y * math.sin(0.4))
        np.testing.assert_allclose(response[:, n], np.exp(-2j * np.pi * (to_element - d) / WAVELENGTH_M), atol=1e-5)
    planar = array.response(points / distances[:, None], WAVELENGTH_M)[..., 0].numpy()
    np.testing.assert_allclose(response[:, 2], planar[:, 2], atol=1e-3)


@pytest.mark.parametrize(("rows", "columns", "panels"), [(4, 8, (1, 1)), (2, 2, (2, 3))])
@pytest.mark.parametrize(("polarisation", "kind"), [("cross", "cross"), ("VH", "VH"), ("V", "V")])
def test_fields_and_phases_are_those_of_sionna(
    rows: int, columns: int, panels: tuple[int, int], polarisation: str, kind: str
) -> None:
    from sionna.phy.channel.tr38901 import PanelArray
    from sionna.phy.channel.tr38901.channel_coefficients import ChannelCoefficientsGenerator

    theirs = PanelArray(
        num_rows_per_panel=rows,
        num_cols_per_panel=columns,
        num_rows=panels[0],
        num_cols=panels[1],
        polarization="single" if kind == "V" else "dual",
        polarization_type=kind,
        antenna_pattern="38.901",
        carrier_frequency=3e9,
        precision="double",
        device="cpu",
    )
    turn = (0.5, 0.3, -0.8)
    wavelength = 299_792_458 / 3e9
    block: dict[str, Any] = {"rows": rows, "columns": columns, "panels": list(panels), "polarisation": polarisation}
    block |= {"pattern": "38.901", "orientation_deg": np.degrees(turn).tolist()}
    ours = antenna_array(block, wavelength)
    directions = random_directions(30)
    zenith, azimuth = angles(directions)
    generator = ChannelCoefficientsGenerator(3e9, theirs, theirs, False, precision="double", device="cpu")
    orientation = torch.tensor(turn, dtype=torch.float64).expand(30, 3)
    local = generator._gcs_to_lcs(orientation, zenith, azimuth)
    elements = [theirs.ant_pol1] + ([theirs.ant_pol2] if kind != "V" else [])
    fields = [
        generator._l2g_response(torch.stack(e.field(*local), -1), orientation, zenith, azimuth)[..., 0]
        for e in elements
    ]
    positions = generator._rot_pos(orientation[0], theirs.ant_pos.unsqueeze(-1))[..., 0]
    phases = torch.exp(2j * math.pi * (positions @ directions.T) / wavelength)
    second = set() if kind == "V" else set(theirs.ant_ind_pol2.tolist())
    expected = np.stack([(phases[n, :, None] * fields[n in second]).numpy() for n in range(theirs.num_ant)])
    mine = ours.response(directions, wavelength).numpy()
    slants = np.array([float(elements[n in second].slant_angle) for n in range(theirs.num_ant)])
    used = set()
    for n in range(ours.num_ports):
        same_place = np.abs(theirs.ant_pos.numpy() - ours.positions_m[n]).max(1) < 1e-9
        (m,) = np.flatnonzero(same_place & (np.abs(slants - ours.slants_rad[n]) < 1e-6))
        used.add(int(m))
        np.testing.assert_allclose(mine[n], expected[m], atol=2e-5)
    assert len(used) == theirs.num_ant


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"rows": 0}, r"rx_array\.rows: got 0; allowed: an integer from 1"),
        ({"num_elements": 4, "spacing": -1}, r"rx_array\.spacing: got -1; allowed: a finite number above 0"),
        ({"num_elements": 4, "spacings": 1}, r"rx_array: got 'spacings'; .* did you mean 'spacing'\?"),
        ({"rows": 2, "layout": "circle"}, r"rx_array\.layout: got 'circle'; allowed: linear, panel, positions"),
        ({"rows": 2, "pattern": "38.902"}, r"rx_array\.pattern: got '38\.902'; .* did you mean '38\.901'\?"),
        ({"rows": 2, "polarisation": "X"}, r"rx_array\.polarisation: got 'X'; allowed: V, H, VH, cross"),
        ({"rows": 4, "subarray_rows": 3}, r"rx_array\.subarray_rows: got 3; allowed: a divisor of rows, 4"),
        ({"rows": 2, "orientation_deg": [1, 2]}, r"rx_array\.orientation_deg: got \[1, 2\]; allowed: 3 numbers"),
        ({"positions_m": [[1, 2]]}, r"rx_array\.positions_m: got .*; allowed: a list with 3 numbers per entry"),
        ({"num_elements": 2, "weights": [[1]]}, r"rx_array\.weights: got \[1\]; allowed: a list per port with 2"),
        (
            {"columns": 4, "panels": [1, 2], "panel_spacing": [1, 1]},
            r"rx_array\.panel_spacing: got 1; allowed: more than a panel's 1\.5 wavelengths",
        ),
        ("panel", r"rx_array: got 'panel'; allowed: a block of options"),
    ],
)
def test_bad_options_are_refused_in_one_line(block: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        antenna_array(block, 0.1, "rx_array")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("positions", "slants", "message"),
    [
        (np.zeros((2, 2)), np.zeros(2), "positions_m"),
        (np.zeros((2, 3)), np.zeros(3), "slants_rad"),
    ],
)
def test_an_array_checks_its_shapes(positions: np.ndarray, slants: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AntennaArray(positions, slants)
