"""Paths of a draw, summed on a grid, are its frequency response."""

import numpy as np
import pytest
import torch

from channels import Awgn, RayleighBlock, Tdl

TIMES = np.arange(14) * 35.7e-6
FREQUENCIES = (np.arange(48) - 23.5) * 30e3


def generators(seed: int = 5, count: int = 3) -> list[np.random.Generator]:
    return [np.random.default_rng((seed, n)) for n in range(count)]


@pytest.mark.parametrize(
    ("channel", "num_rx", "num_tx"),
    [
        (Tdl("B", delay_spread_ns=300, max_doppler_hz=400), 4, 2),
        (Tdl("D", delay_spread_ns=30, max_doppler_hz=100), 2, 2),
        (Tdl("TDLC300", max_doppler_hz=100), 2, 1),
        (RayleighBlock(), 2, 3),
        (Awgn(), 2, 1),
    ],
)
def test_sum_of_paths_is_the_response(channel, num_rx, num_tx):
    expected = channel.response(generators(), num_rx, num_tx, TIMES, FREQUENCIES)
    paths = channel.paths(generators(), num_rx, num_tx, TIMES)
    grid = paths.to_grid(torch.from_numpy(FREQUENCIES))
    assert grid.shape == expected.shape
    torch.testing.assert_close(grid, expected, rtol=0, atol=2e-5)


def test_gains_have_the_powers_of_the_profile():
    channel = Tdl("C", delay_spread_ns=100, max_doppler_hz=0)
    num_draws = 4000
    gains = channel.paths(generators(7, num_draws), 1, 1, np.zeros(1)).gains[:, 0, 0, :, 0]
    power = gains.abs().square().mean(0).numpy()
    expected = channel.power_delay_profile.powers
    # a Rayleigh tap's power has the standard deviation of its mean
    assert np.all(np.abs(power - expected) < 5 * expected / np.sqrt(num_draws))
