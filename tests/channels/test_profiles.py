"""Power delay profiles against their published numbers."""

from __future__ import annotations

import numpy as np
import pytest

from channels import power_delay_profile, profile_names

QUANTISED = {
    "TDLA30": (
        (0, 10, 15, 20, 25, 50, 65, 75, 105, 135, 150, 290),
        (-15.5, 0, -5.1, -5.1, -9.6, -8.2, -13.1, -11.5, -11.0, -16.2, -16.6, -26.2),
    ),
    "TDLB100": (
        (0, 10, 20, 30, 35, 45, 55, 120, 170, 245, 330, 480),
        (0, -2.2, -0.6, -0.6, -0.3, -1.2, -5.9, -2.2, -0.8, -6.3, -7.5, -7.1),
    ),
    "TDLC300": (
        (0, 65, 70, 190, 195, 200, 240, 325, 520, 1045, 1510, 2595),
        (-6.9, 0, -7.7, -2.5, -2.4, -9.9, -8.0, -6.6, -7.1, -13.0, -14.2, -16.0),
    ),
}


def test_names() -> None:
    assert profile_names() == ("A", "B", "C", "D", "E", "TDLA30", "TDLB100", "TDLC300")


@pytest.mark.parametrize("name", profile_names())
def test_total_power_is_one(name: str) -> None:
    profile = power_delay_profile(name, None if name in QUANTISED else 1e-7)
    assert profile.powers.sum() + profile.los_power == pytest.approx(1, rel=1e-12)
    assert profile.frequency_correlation(0.0) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("name", QUANTISED)
def test_quantised_profiles(name: str) -> None:
    delays_ns, powers_db = QUANTISED[name]
    profile = power_delay_profile(name)
    np.testing.assert_allclose(profile.delays_s * 1e9, delays_ns, rtol=1e-12)
    np.testing.assert_allclose(10 * np.log10(profile.powers / profile.powers.max()), powers_db, atol=1e-9)
    # the name says the delay spread, which quantisation kept within 1 %
    assert profile.rms_delay_spread_s == pytest.approx(float(name[4:]) * 1e-9, rel=0.01)


@pytest.mark.parametrize("delay_spread_s", [1e-9, 30e-9, 1.148e-6])
@pytest.mark.parametrize(("name", "num_taps"), [("A", 23), ("B", 23), ("C", 24), ("D", 13), ("E", 14)])
def test_scalable_profiles_have_the_delay_spread_asked_for(name: str, num_taps: int, delay_spread_s: float) -> None:
    profile = power_delay_profile(name, delay_spread_s)
    assert profile.num_taps == num_taps
    # the printed tables are rounded: TDL-D has a spread of 0.994
    assert profile.rms_delay_spread_s == pytest.approx(delay_spread_s, rel=0.007)


@pytest.mark.parametrize(("name", "k_factor_db"), [("D", 13.3), ("E", 22.0)])
def test_rician_k_factor(name: str, k_factor_db: float) -> None:
    """TR 38.901 states it below tables 7.7.2-4 and 7.7.2-5."""
    assert 10 * np.log10(power_delay_profile(name, 1e-7).k_factor) == pytest.approx(k_factor_db, abs=1e-9)


def test_frequency_correlation_is_the_transform_of_the_profile() -> None:
    profile = power_delay_profile("TDLC300")
    bins = np.zeros(1 << 10)
    np.add.at(bins, np.rint(profile.delays_s / 5e-9).astype(int), profile.powers)
    spacing_hz = np.arange(1 << 10) / (len(bins) * 5e-9)
    np.testing.assert_allclose(profile.frequency_correlation(spacing_hz), np.fft.fft(bins), atol=1e-9)


def test_bad_names_and_spreads() -> None:
    with pytest.raises(ValueError, match=r"profile: got 'TDLA300'; allowed: A, B, .*; did you mean 'TDLA30'\?"):
        power_delay_profile("TDLA300")
    with pytest.raises(ValueError, match=r"delay_spread_s: got None; profile 'A' needs it"):
        power_delay_profile("A")
    with pytest.raises(ValueError, match=r"delay_spread_s: got 1e-07; profile 'TDLA30' fixes it"):
        power_delay_profile("TDLA30", 1e-7)
