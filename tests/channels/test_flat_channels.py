"""AWGN and Rayleigh block fading."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from channels import Awgn, RayleighBlock

TIMES = np.arange(14) * 0.5e-3 / 14
FREQUENCIES = np.arange(24) * 30e3


def generators(num_drops: int) -> list[np.random.Generator]:
    return [np.random.default_rng([11, drop]) for drop in range(num_drops)]


def test_awgn_has_gain_one() -> None:
    assert torch.equal(Awgn().response(generators(2), 3, 1, TIMES, FREQUENCIES), torch.ones(2, 3, 1, 14, 24) + 0j)


def test_awgn_refuses_what_it_cannot_separate() -> None:
    with pytest.raises(ValueError, match=r"num_tx_ant: got 2; allowed: 1 with channel 'awgn', where all layers"):
        Awgn().check(4, 2)
    with pytest.raises(ValueError, match="num_tx_ant: got 2"):
        Awgn().response(generators(1), 4, 2, TIMES, FREQUENCIES)


def test_rayleigh_block_is_constant_over_slot_and_band() -> None:
    h = RayleighBlock().response(generators(3), 2, 2, TIMES, FREQUENCIES)
    assert torch.equal(h, h[..., :1, :1].expand_as(h))


def test_rayleigh_block_gains_are_independent_complex_gaussians() -> None:
    drops = 4000
    h = RayleighBlock().response(generators(drops), 2, 2, TIMES[:1], FREQUENCIES[:1]).view(drops, 4).numpy()
    parts = np.concatenate([h.real, h.imag], axis=1)
    for column in parts.T:
        assert stats.kstest(column, stats.norm(scale=0.5**0.5).cdf).pvalue > 1e-4
    correlation = np.corrcoef(parts.T) - np.eye(8)
    assert np.abs(correlation).max() < 5 / drops**0.5
