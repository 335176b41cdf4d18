"""Sionna 2.2 as the second opinion on clustered delay lines: tables, coefficients and statistics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sionna.phy import config
from sionna.phy.channel import cir_to_ofdm_channel
from sionna.phy.channel.tr38901 import CDL, PanelArray

from channels import Cdl

CARRIER_HZ = 3.5e9
SAMPLING_HZ = 14 / 0.5e-3
RX: dict[str, Any] = {"rows": 1, "columns": 2, "polarisation": "cross", "pattern": "38.901"}
TX: dict[str, Any] = {"rows": 1, "columns": 1, "polarisation": "VH"}


def pair_of_models(name: str, direction: Any, speed: float = 40.0) -> tuple[Cdl, CDL]:
    """Two columns of crossed elements at the base station, a vertical and a horizontal one at the terminal."""

    def panel(block: dict[str, Any]) -> PanelArray:
        return PanelArray(
            num_rows_per_panel=block["rows"],
            num_cols_per_panel=block["columns"],
            polarization="dual",
            polarization_type=block["polarisation"],
            antenna_pattern=block.get("pattern", "omni"),
            carrier_frequency=CARRIER_HZ,
            device="cpu",
        )

    arrays = {"rx_array": RX, "tx_array": TX} if direction == "uplink" else {"rx_array": TX, "tx_array": RX}
    ours = Cdl(
        name,
        100.0,
        CARRIER_HZ,
        direction=direction,
        speed_mps=speed,
        travel_azimuth_deg=30,
        travel_zenith_deg=80,
        normalise=False,
        **arrays,
    )
    zenith, azimuth = math.radians(80), math.radians(30)
    velocity = speed * np.array(
        [math.sin(zenith) * math.cos(azimuth), math.sin(zenith) * math.sin(azimuth), math.cos(zenith)]
    )
    theirs = CDL(
        name, 100e-9, CARRIER_HZ, panel(TX), panel(RX), direction, ut_velocity=torch.tensor(velocity), device="cpu"
    )
    return ours, theirs


@pytest.mark.parametrize("name", ["A", "B", "C", "D", "E"])
def test_tables_agree(name: str) -> None:
    ours, theirs = pair_of_models(name, "downlink")
    clusters = ours.clusters
    np.testing.assert_allclose(clusters.delays_s, theirs._delays.numpy(), rtol=1e-6, atol=1e-15)
    np.testing.assert_allclose(clusters.powers / clusters.powers.sum(), theirs._powers.numpy(), rtol=1e-5)
    assert clusters.k_factor == pytest.approx(float(theirs._k_factor), rel=1e-5, abs=1e-12)
    assert clusters.xpr == pytest.approx(float(theirs._xpr), rel=1e-6)
    for angle in ("aod", "aoa", "zod", "zoa"):
        np.testing.assert_allclose(clusters.rays_rad[angle], getattr(theirs, f"_{angle}").numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "direction"), [("C", "uplink"), ("A", "downlink"), ("D", "uplink"), ("E", "downlink")]
)
def test_covariance_over_antennas_time_and_frequency_agrees(name: str, direction: str) -> None:
    """Second moments between all antenna pairs, times and subcarriers, as two samples of the same law.

    They hold powers per polarisation, cross-polarisation, spatial correlation, Doppler and delays.
    """
    drops = 800
    ours, theirs = pair_of_models(name, direction)
    frequencies = np.array([-4e6, 1e6])
    config.seed = 41
    gains, delays = theirs(drops, 14, SAMPLING_HZ)
    reference = cir_to_ofdm_channel(torch.tensor(frequencies, dtype=torch.float32), gains, delays)
    rx, tx = (4, 2) if direction == "uplink" else (2, 4)
    generators = [np.random.default_rng([9, drop]) for drop in range(drops)]
    mine = ours.response(generators, rx, tx, np.arange(14) / SAMPLING_HZ, frequencies)
    # Sionna takes -45 degrees first
    swap = [2, 3, 0, 1]
    mine = mine[:, swap] if direction == "uplink" else mine[:, :, swap]

    def products(h: torch.Tensor) -> np.ndarray:
        samples = h.reshape(drops, 8, 14, 2)[:, :, ::13].reshape(drops, -1).numpy().astype(np.complex128)
        return samples[:, :, None] * samples[:, None].conj()

    a, b = products(mine), products(reference)
    scale = np.sqrt(np.outer(*2 * [np.einsum("nii->i", a).real / drops]))
    for part in (np.real, np.imag):
        difference = part(a.mean(0) - b.mean(0))
        standard_error = np.sqrt((part(a).var(0) + part(b).var(0)) / drops)
        # 2 x 32 x 32 comparisons: five standard errors
        assert np.all(np.abs(difference) <= 5 * standard_error + 1e-5 * scale)
        assert np.all(standard_error < 4 * scale / math.sqrt(drops))


@pytest.mark.parametrize("name", ["B", "D"])
def test_powers_of_the_paths_agree(name: str) -> None:
    drops = 1000
    ours, theirs = pair_of_models(name, "uplink")
    config.seed = 43
    reference = theirs(drops, 1, SAMPLING_HZ)[0][:, 0, :, 0, :, :, 0].abs().square().numpy()
    generators = [np.random.default_rng([10, drop]) for drop in range(drops)]
    mine = ours.paths(generators, 4, 2, np.zeros(1)).gains[:, [2, 3, 0, 1]][..., 0].abs().square().numpy()
    # Sionna sorts paths by delay
    mine = mine[..., np.argsort(ours.clusters.delays_s, kind="stable")]
    standard_error = np.sqrt((mine.var(0) + reference.var(0)) / drops)
    assert np.all(np.abs(mine.mean(0) - reference.mean(0)) <= 5 * standard_error + 1e-7)
