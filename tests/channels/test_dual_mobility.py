"""Base stations and scatterers that move: Doppler shifts against geometry and closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from channels import Cdl, Umi
from channels.array_channel import ArrayChannel

CARRIER_HZ = 3e9
WAVELENGTH_M = 299_792_458 / CARRIER_HZ
TIMES_S = np.linspace(0, 4e-3, 9)


def generators(count: int) -> list[np.random.Generator]:
    return [np.random.Generator(np.random.Philox(key=[2026, drop])) for drop in range(count)]


def response(model: ArrayChannel, count: int, num_rx: int, times: np.ndarray, num_tx: int = 1) -> np.ndarray:
    """[count, num_rx, num_tx, times] at the carrier."""
    return model.response(generators(count), num_rx, num_tx, times, np.zeros(1))[..., 0].numpy()


def models(**options: Any) -> list[ArrayChannel]:
    return [
        Cdl("C", 100, CARRIER_HZ, **options),
        Cdl("D", 100, CARRIER_HZ, **options),
        Umi(CARRIER_HZ, condition="nlos", **options),
        Umi(CARRIER_HZ, condition="los", **options),
    ]


@pytest.mark.parametrize("case", range(4))
def test_a_moving_base_station_meets_what_an_array_along_its_way_does(case: int) -> None:
    """One element at the places of its way, one after the other, and elements at all places at once: the same waves."""
    speed, azimuth = 40.0, np.deg2rad(25.0)
    way = speed * TIMES_S[:, None] * np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    moving = models(dual_mobility={"base_speed_mps": speed, "base_azimuth_deg": 25.0})[case]
    still = models(rx_array={"positions_m": way.tolist()})[case]
    expected = response(still, 6, len(TIMES_S), TIMES_S[:1])[:, :, 0, 0]
    found = response(moving, 6, 1, TIMES_S)[:, 0, 0]
    # interpolation over the few times of a slot leaves 80 dB
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("case", [0, 2])
def test_scatterers_spread_the_shifts(case: int) -> None:
    """Mean of exp(2j pi 2 D t / lambda), D uniform: a sinc for the share that moves. Within five standard errors."""
    speed, share = 8.0, 0.6
    model = models(dual_mobility={"scatterer_speed_mps": speed, "moving_share": share})[case]
    h = response(model, 3000, 1, TIMES_S)[:, 0, 0]
    product = (h * h[:, :1].conj()).real
    expected = 1 - share + share * np.sinc(4 * speed * TIMES_S / WAVELENGTH_M)
    error = np.abs(product.mean(0) - expected)
    assert np.all(error < 5 * product.std(0) / len(h) ** 0.5)
    assert expected.min() < 0.5


def test_both_ends_add_up() -> None:
    """A line of sight between ends that move towards one another turns at both speeds."""
    towards = {"speed_mps": 20.0, "travel_azimuth_deg": 0.0, "mean_angles_deg": {"aoa": 0.0, "zoa": 90.0, "aod": 0.0}}
    block = {"base_speed_mps": 10.0, "base_azimuth_deg": 0.0}
    model = Cdl("D", 30, CARRIER_HZ, k_factor_db=60.0, dual_mobility=block, **towards)
    assert model.doppler_hz == pytest.approx(30 / WAVELENGTH_M)
    centre = model.clusters.los_rad
    seen = sum(
        speed * np.sin(centre[zenith]) * np.cos(centre[azimuth])
        for speed, zenith, azimuth in ((20.0, "zoa", "aoa"), (10.0, "zod", "aod"))
    )
    h = response(model, 4, 1, TIMES_S)[:, 0, 0]
    turned = np.unwrap(np.angle(h), axis=1)
    slope = (turned[:, -1] - turned[:, 0]) / (2 * np.pi * (TIMES_S[-1] - TIMES_S[0]))
    np.testing.assert_allclose(slope, seen / WAVELENGTH_M, rtol=1e-2)


def test_what_stands_still_changes_nothing() -> None:
    for plain, with_block in zip(models(speed_mps=3.0), models(speed_mps=3.0, dual_mobility={}), strict=True):
        np.testing.assert_allclose(response(plain, 3, 2, TIMES_S), response(with_block, 3, 2, TIMES_S), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"base_sped_mps": 1}, "did you mean 'base_speed_mps'"),
        ({"base_speed_mps": -1}, "dual_mobility.base_speed_mps: got -1"),
        ({"moving_share": 1.5}, "dual_mobility.moving_share: got 1.5; allowed: 0 to 1"),
        ({"base_azimuth_deg": float("nan")}, "dual_mobility.base_azimuth_deg: got nan"),
    ],
)
def test_bad_blocks(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text) as error:
        Cdl("A", 100, CARRIER_HZ, dual_mobility=options)
    assert "\n" not in str(error.value)


def test_what_does_not_go_together() -> None:
    with pytest.raises(ValueError, match="without near_field"):
        Cdl("A", 100, CARRIER_HZ, near_field={"distance_m": 20.0}, dual_mobility={})
    with pytest.raises(ValueError, match="without mobility"):
        Umi(CARRIER_HZ, mobility=True, dual_mobility={})
    with pytest.raises(ValueError, match="track: got 'dual_mobility'"):
        Umi(CARRIER_HZ, dual_mobility={}).track(generators(1), 1, 1, np.zeros(1))
