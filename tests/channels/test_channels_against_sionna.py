"""Sionna 2.2 as the second opinion: the same tables, and the same statistics of whole slots."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sionna.phy import config
from sionna.phy.channel import cir_to_ofdm_channel
from sionna.phy.channel.tr38901 import TDL

from channels import Tdl, profile_names

CARRIER_HZ = 3.5e9
SPEED_MPS = 40.0
SAMPLING_HZ = 14 / 0.5e-3
SIONNA_NAMES = {"TDLA30": "A30", "TDLB100": "B100", "TDLC300": "C300"}


def pair_of_models(profile: str, delay_spread_ns: float = 100.0, **sionna_options: int) -> tuple[Tdl, TDL]:
    fixed = profile in SIONNA_NAMES
    ours = Tdl(
        profile,
        None if fixed else delay_spread_ns,
        speed_mps=SPEED_MPS,
        carrier_frequency_hz=CARRIER_HZ,
        los_phases="common",
    )
    theirs = TDL(
        SIONNA_NAMES.get(profile, profile),
        None if fixed else delay_spread_ns * 1e-9,
        CARRIER_HZ,
        min_speed=SPEED_MPS,
        device="cpu",
        **sionna_options,
    )
    return ours, theirs


@pytest.mark.parametrize("profile", profile_names())
def test_tables_agree(profile: str) -> None:
    ours, theirs = pair_of_models(profile)
    mine = ours.power_delay_profile
    np.testing.assert_allclose(mine.delays_s, theirs.delays.numpy(), rtol=1e-6, atol=1e-15)
    powers = mine.powers.copy()
    powers[0] += mine.los_power
    np.testing.assert_allclose(powers, theirs.mean_powers.numpy(), rtol=1e-5)
    if theirs.los:
        assert mine.los_power == pytest.approx(float(theirs.mean_power_los), rel=1e-5)


@pytest.mark.parametrize("profile", ["A", "D", "TDLC300"])
def test_covariance_over_the_slot_and_the_antennas_agrees(profile: str) -> None:
    """Second moments between all pairs of some antennas, symbols and subcarriers, as two samples of the same law."""
    drops, num_rx_ant = 2000, 2
    frequencies = np.array([-4e6, -1e6, 0.5e6, 4.5e6])
    ours, theirs = pair_of_models(profile, 300.0, num_rx_ant=num_rx_ant)
    config.seed = 20
    gains, delays = theirs(drops, 14, SAMPLING_HZ)
    reference = cir_to_ofdm_channel(torch.tensor(frequencies, dtype=torch.float32), gains, delays)
    generators = [np.random.default_rng([4, drop]) for drop in range(drops)]
    mine = ours.response(generators, num_rx_ant, 1, np.arange(14) / SAMPLING_HZ, frequencies)

    def products(h: torch.Tensor) -> np.ndarray:
        samples = h.reshape(drops, num_rx_ant, 14, 4)[:, :, ::6].reshape(drops, -1).numpy().astype(np.complex128)
        return samples[:, :, None] * samples[:, None].conj()

    a, b = products(mine), products(reference)
    for part in (np.real, np.imag):
        difference = part(a.mean(0) - b.mean(0))
        standard_error = np.sqrt((part(a).var(0) + part(b).var(0)) / drops)
        # 2 x 24 x 24 comparisons: five standard errors
        assert np.all(np.abs(difference) <= 5 * standard_error + 1e-6)
        assert np.all(standard_error < 2 / math.sqrt(drops))
