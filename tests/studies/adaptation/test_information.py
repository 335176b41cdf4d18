"""Information rates of QAM: limits, another way to integrate, the identity of information and estimation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from ran.errors import InputError
from ran.phy.modulation import constellation
from ran.studies.adaptation.information import deficit, information_rate, log_deficit, snr_of_log_deficit

ORDERS = (2, 4, 6, 8, 10)


def bpsk_capacity(snr: float) -> float:
    """Of BPSK over real noise of variance 1, amplitude sqrt(snr), in bits: the integral in any textbook."""

    def integrand(t: float) -> float:
        return np.exp(-((t - np.sqrt(snr)) ** 2) / 2) / np.sqrt(2 * np.pi) * np.log1p(np.exp(-2 * t * np.sqrt(snr)))

    return 1 - quad(integrand, np.sqrt(snr) - 12, np.sqrt(snr) + 12, epsabs=1e-12, limit=400)[0] / np.log(2)


def test_qpsk_is_two_bpsk():
    for snr_db in (-20, -5, 0, 3, 8):
        assert information_rate(snr_db, 2) == pytest.approx(bpsk_capacity(10 ** (snr_db / 10)), abs=1e-6)


def test_known_capacities():
    # Es/N0 at which constellation-constrained capacity is half of the bits: QPSK rate 1/2 at Eb/N0 0.187 dB, which is
    # Es/N0 of the same number (J. Proakis, Digital Communications: BPSK at rate 1/2 needs 0.187 dB)
    assert float(snr_of_log_deficit(np.array(np.log(0.5)), 2)) == pytest.approx(0.187, abs=2e-3)


@pytest.mark.parametrize("bits", ORDERS)
def test_limits(bits):
    # low SNR: every modulation carries snr log2(e) bits per symbol; its next term is -snr^2 log2(e) / 2 or larger
    snr = 1e-4
    per_symbol = float(information_rate(10 * np.log10(snr), bits)) * bits
    assert per_symbol == pytest.approx(snr * np.log2(np.e), rel=2e-4)
    assert float(information_rate(60.0, bits)) == 1.0
    rates = information_rate(np.linspace(-50, 60, 2201), bits)
    assert (np.diff(rates) >= 0).all()
    assert (rates >= 0).all()
    # nothing above the capacity of the channel itself
    assert (rates * bits <= np.log2(1 + 10 ** (np.linspace(-50, 60, 2201) / 10)) + 1e-9).all()


@pytest.mark.parametrize("bits", ORDERS)
def test_more_levels_carry_more(bits):
    snr_db = np.linspace(-20, 40, 241)
    if bits > 2:
        assert (information_rate(snr_db, bits) * bits >= information_rate(snr_db, bits - 2) * (bits - 2) - 2e-6).all()


@pytest.mark.parametrize("bits", [4, 8])
def test_against_random_noise(bits):
    # the definition over the house's own constellation, by Monte Carlo
    generator = np.random.default_rng(1)
    points = constellation(bits).astype(complex)
    snr, count = 10 ** (1.2), 4000
    noise = (generator.normal(size=count) + 1j * generator.normal(size=count)) / np.sqrt(2 * snr)
    sent = generator.integers(len(points), size=count)
    distance = np.abs(points[sent][:, None] + noise[:, None] - points) ** 2 - np.abs(noise[:, None]) ** 2
    lost = np.log2(np.exp(-snr * distance).sum(1)) / bits
    assert abs(float(information_rate(12.0, bits)) - (1 - lost.mean())) < 5 * lost.std() / np.sqrt(count)


@pytest.mark.parametrize("bits", ORDERS)
def test_area_under_the_error_of_estimation(bits):
    """d I / d snr is the least mean square error (D. Guo, S. Shamai, S. Verdu, IEEE Trans. Inf. Theory 51, 2005), so
    the area under it is all the information there is."""
    levels = np.unique(np.round(constellation(bits).real.astype(float), 9))
    z = np.arange(-9, 9.001, 0.05)

    def mmse(snr: float) -> float:
        sigma = np.sqrt(0.5 / snr)
        y = levels[:, None] + sigma * z
        weights = np.exp(-((y[..., None] - levels) ** 2 - (sigma * z[:, None]) ** 2) / (2 * sigma**2))
        estimate = (weights * levels).sum(-1) / weights.sum(-1)
        error = ((estimate - levels[:, None]) ** 2 * np.exp(-(z**2) / 2)).sum(1).mean() * 0.05 / np.sqrt(2 * np.pi)
        return 2 * error  # both axes

    for low, high in ((-10.0, 0.0), (0.0, 12.0)):
        snr = 10 ** (np.linspace(low, high, 31) / 10)
        area = np.trapezoid([mmse(s) * s for s in snr], np.log(snr)) / np.log(2)
        gained = float(information_rate(high, bits) - information_rate(low, bits)) * bits
        assert area == pytest.approx(gained, rel=1e-3)


@pytest.mark.parametrize("bits", ORDERS)
def test_stated_error_of_the_curves(bits):
    generator = np.random.default_rng(2)
    snr_db = generator.uniform(-30, 3 * bits + 10, 25)
    exact = np.array([deficit(value, bits) for value in snr_db])
    assert np.abs(information_rate(snr_db, bits) - (1 - exact)).max() < 1e-5
    assert np.abs(snr_of_log_deficit(np.log(exact), bits) - snr_db).max() < 1e-4


def test_inverse_everywhere():
    snr_db = np.linspace(-90, 90, 3601)
    for bits in ORDERS:
        np.testing.assert_allclose(snr_of_log_deficit(log_deficit(snr_db, bits), bits), snr_db, atol=1e-9)


def test_orders_that_are_not():
    with pytest.raises(InputError, match=r"bits_per_symbol: got 3; allowed: 2, 4, 6, 8, 10"):
        information_rate(0.0, 3)
