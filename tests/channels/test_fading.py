"""The Gaussian process behind a fading tap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import j0

from channels.fading import RANK_TOLERANCE, fading_basis


@given(
    times=st.lists(st.floats(-0.1, 0.1), min_size=1, max_size=30),
    max_doppler_hz=st.one_of(st.just(0.0), st.floats(0.1, 50_000)),
)
def test_covariance_is_j0_at_any_times(times: list[float], max_doppler_hz: float) -> None:
    """Also at equal, unordered and negative times."""
    basis = fading_basis(np.array(times), max_doppler_hz)
    lags = np.subtract.outer(times, times)
    # what the rank leaves out has a variance of RANK_TOLERANCE per time; the power is then restored to 1
    np.testing.assert_allclose(basis @ basis.T, j0(2 * np.pi * max_doppler_hz * lags), atol=3 * RANK_TOLERANCE)
    np.testing.assert_allclose(np.sum(basis**2, axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize(("max_doppler_hz", "rank"), [(0, 1), (10, 2), (400, 4), (100_000, 14)])
def test_rank_grows_with_doppler(max_doppler_hz: float, rank: int) -> None:
    """A slot of 0.5 ms: what does not vary needs few random numbers."""
    assert fading_basis(np.arange(14) * 0.5e-3 / 14, max_doppler_hz).shape == (14, rank)


def test_rounding_errors_do_not_change_the_draw() -> None:
    """Another machine computes the covariance with other last bits; its channel must stay the same."""
    times = np.arange(14) * 0.5e-3 / 14
    rng = np.random.default_rng(3)
    expected = fading_basis(times, 400.0)
    for _ in range(20):
        shaken = fading_basis(times * (1 + 1e-13 * rng.standard_normal(14)), 400.0)
        np.testing.assert_allclose(shaken, expected, atol=1e-6)


def test_the_kept_basis_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        fading_basis(np.arange(3.0), 1.0)[0, 0] = 0
