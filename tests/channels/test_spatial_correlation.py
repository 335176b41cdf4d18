"""Correlated antennas of TS 38.104 annex G.2.3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from channels import Tdl
from channels.spatial_correlation import correlation_factor, correlation_matrix, levels


def generators(count: int) -> list[np.random.Generator]:
    return [np.random.Generator(np.random.Philox(key=[17, n])) for n in range(count)]


def test_matrices_are_those_of_the_table() -> None:
    a = 0.9
    np.testing.assert_allclose(correlation_matrix(1, a), [[1]])
    np.testing.assert_allclose(correlation_matrix(2, a), [[1, a], [a, 1]])
    first_of_four = [1, a ** (1 / 9), a ** (4 / 9), a]
    np.testing.assert_allclose(correlation_matrix(4, a)[0], first_of_four)
    first_of_eight = [a ** (n**2 / 49) for n in range(8)]
    np.testing.assert_allclose(correlation_matrix(8, a)[0], first_of_eight)
    np.testing.assert_allclose(correlation_matrix(3, 0.0), np.eye(3))


def test_the_printed_matrix_of_two_by_two_antennas_at_high_correlation() -> None:
    """First rows of the printed matrices, four digits, which are moved by up to 1.2e-4 to stay positive."""
    both = np.kron(correlation_matrix(2, 0.9), correlation_matrix(2, 0.9))
    np.testing.assert_allclose(both[0], [1, 0.9, 0.9, 0.81])
    wide = np.kron(correlation_matrix(2, 0.9), correlation_matrix(4, 0.9))
    np.testing.assert_allclose(wide[0, 1:4], [0.9883, 0.9542, 0.8999], atol=2e-4)
    np.testing.assert_allclose(wide[0, 4:], [0.8999, 0.8894, 0.8587, 0.8099], atol=2e-4)


def test_the_printed_matrices_of_medium_correlation_and_of_four_by_four_antennas() -> None:
    """First rows of TS 38.104 tables G.2.3.1.2-3 and -2 as the tests of py5gphy (nr_spatial_correlation_matrix) print
    them; those of 4 x 4 antennas are moved by 1.2e-4."""
    alpha, beta = levels("medium")
    medium = np.kron(correlation_matrix(2, beta), correlation_matrix(4, alpha))
    printed = [1, 0.9884, 0.9543, 0.9, 0.3, 0.2965, 0.2863, 0.27]
    np.testing.assert_allclose(medium[0], printed, atol=5.1e-5)
    alpha, beta = levels("high")
    high = np.kron(correlation_matrix(4, beta), correlation_matrix(4, alpha))
    printed = [0.9882, 0.9767, 0.9430, 0.8894, 1, 0.9882, 0.9541, 0.8999]
    np.testing.assert_allclose(high[4, :8], printed, atol=2e-4)
    assert levels("low") == (0, 0)


@pytest.mark.parametrize("num_antennas", [1, 2, 4, 8, 32, 64])
@pytest.mark.parametrize("outermost", [0.0, 0.3, 0.9])
def test_factors_give_exactly_the_matrix(num_antennas: int, outermost: float) -> None:
    factor = correlation_factor(num_antennas, outermost).astype(np.float64)
    np.testing.assert_allclose(factor @ factor.T, correlation_matrix(num_antennas, outermost), atol=2e-6)


@pytest.mark.parametrize(
    ("level", "direction", "at_rx", "at_tx"),
    [
        ("low", "uplink", 0.0, 0.0),
        ("medium", "uplink", 0.9, 0.3),
        ("medium", "downlink", 0.3, 0.9),
        ("high", "uplink", 0.9, 0.9),
    ],
)
@pytest.mark.parametrize("profile", ["TDLA30", "D"])
def test_the_channel_has_the_covariance_of_both_ends(
    level: Any, direction: Any, at_rx: float, at_tx: float, profile: str
) -> None:
    draws, spread = 2500, (100.0 if profile == "D" else None)
    model = Tdl(profile, spread, max_doppler_hz=100, correlation=level, direction=direction)
    frequencies = np.array([0.0, 2e6])
    h = model.response(generators(draws), 4, 2, np.zeros(1), frequencies).numpy().astype(np.complex128)
    of_pairs = h[:, :, :, 0, 0].reshape(draws, 8)
    products = of_pairs[:, :, None] * of_pairs[:, None].conj()
    los = model.power_delay_profile.los_power
    spatial = np.kron(correlation_matrix(4, at_rx), correlation_matrix(2, at_tx))
    expected = (1 - los) * spatial + los * np.eye(8)
    error = products.mean(0) - expected
    for part, of_samples in ((error.real, products.real), (error.imag, products.imag)):
        assert np.all(np.abs(part) <= 5 * of_samples.std(0) / draws**0.5 + 1e-6)


def test_low_correlation_is_what_it_was() -> None:
    times, frequencies = np.arange(14) * 35e-6, np.arange(12) * 30e3
    plain = Tdl("TDLC300", max_doppler_hz=100).response(generators(2), 4, 2, times, frequencies)
    low = Tdl("TDLC300", max_doppler_hz=100, correlation="low").response(generators(2), 4, 2, times, frequencies)
    assert torch.equal(plain, low)


def test_unknown_levels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"correlation: got 'mid'; allowed: low, medium, high"):
        Tdl("TDLA30", max_doppler_hz=1, correlation="mid")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"direction: got 'up'; allowed: uplink, downlink"):
        Tdl("TDLA30", max_doppler_hz=1, direction="up")  # type: ignore[arg-type]
