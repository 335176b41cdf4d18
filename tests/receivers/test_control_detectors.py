"""Detectors of control channels against closed forms: false alarms, detection, the LMMSE error, timing, any level."""

import numpy as np
import pytest
from scipy.stats import ncf

from ran.link.prach import prach_detector
from ran.phy.config import Prach
from ran.phy.prach import num_repetitions, preamble
from receivers.control.channel_prior import ChannelPrior
from receivers.control.energy import energy, explained_energy, share_threshold, shares
from receivers.control.pilot_receiver import PilotReceiver, combine
from receivers.control.preamble_detector import PreambleDetector
from receivers.control.sequence_detector import HopPlaces, SequenceDetector

FLAT = ChannelPrior(delay_spread_s=0.0, early_s=0.0, max_doppler_hz=0.0)
PLACES = HopPlaces(np.zeros(12), np.arange(12) * 15e3)


def noise(rng, *shape):
    return (rng.standard_normal((*shape, 2)).view(np.complex128)[..., 0] * np.sqrt(0.5)).astype(np.complex64)


def unit(rng, *shape):
    return np.exp(2j * np.pi * rng.random(shape)).astype(np.complex64)


def test_false_alarm_is_exact():
    """One word, two antennas and hops, 40 000 draws: within four standard deviations."""
    rng = np.random.default_rng(0)
    words, p, n = [unit(rng, 1, 12) for _ in range(2)], 0.02, 40_000
    detector = SequenceDetector(words, [PLACES] * 2, p, ChannelPrior(delay_spread_s=2e-6))
    found = detector([noise(rng, n, 2, 12) * 7 for _ in range(2)])
    assert found.present.mean() == pytest.approx(p, abs=4 * np.sqrt(p / n))


def test_detection_probability_is_that_of_the_noncentral_f_distribution():
    """A flat channel of fixed gain: explained and other energy are independent, noncentral and central chi-square."""
    rng = np.random.default_rng(1)
    word, p, n, snr_db = unit(rng, 1, 12), 0.01, 20_000, -2.0
    detector = SequenceDetector([word], [PLACES], p, FLAT)
    gain = 10 ** (snr_db / 20) * unit(rng, n, 2, 1)
    found = detector([gain * word + noise(rng, n, 2, 12)])
    share = share_threshold(p, 2, 24)
    expected = ncf.sf(share / (1 - share) * 22 / 2, 4, 44, 2 * 24 * 10 ** (snr_db / 10))
    assert 0.5 < expected < 0.99
    assert found.present.mean() == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / n))


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_any_level(scale):
    rng = np.random.default_rng(2)
    words, at = unit(rng, 4, 12), [PLACES]
    y = 0.5 * words[rng.integers(0, 4, 500)][:, None] + noise(rng, 500, 2, 12)
    detector = SequenceDetector([words], at, 0.01)
    one, other = detector([y]), detector([y * np.float32(scale)])
    assert np.array_equal(one.word, other.word)
    assert np.array_equal(one.present, other.present)
    receiver = PilotReceiver([words[0]], at, at)
    first, second = receiver.estimate([y]), receiver.estimate([y * np.float32(scale)])
    assert second.noise_var == pytest.approx(first.noise_var * scale**2, rel=1e-3)
    assert np.abs(second.h[0] / scale - first.h[0]).max() < 1e-3
    prach = Prach(format="C0", zero_correlation_zone=11)
    received = 0.5 * preamble(prach) + noise(rng, 50, 2, 1, 139)
    a, b = (prach_detector(prach)(received * np.float32(s)) for s in (1, scale))
    assert np.array_equal(a.detected, b.detected)
    assert a.detected.any()


def test_silence_is_nothing():
    rng = np.random.default_rng(3)
    zeros = np.zeros((2, 2, 12), np.complex64)
    assert not SequenceDetector([unit(rng, 3, 12)], [PLACES], 0.5)([zeros]).present.any()
    estimate = PilotReceiver([unit(rng, 12)], [PLACES], [PLACES]).estimate([zeros])
    assert not estimate.h[0].any()
    assert not estimate.noise_var.any()
    prach = Prach(format="A1", zero_correlation_zone=11)
    assert not prach_detector(prach)(np.zeros((2, 2, 2, 139), np.complex64)).detected.any()


def test_explained_energy_is_a_projection():
    """Against least squares, with a signal whose power changes."""
    rng = np.random.default_rng(4)
    prior = ChannelPrior(delay_spread_s=1e-6)
    basis = prior.basis(PLACES.times_s, PLACES.frequencies_hz)
    assert 1 < basis.shape[1] < 6
    assert np.abs(basis.conj().T @ basis - np.eye(basis.shape[1])).max() < 1e-9
    y, signal = noise(rng, 5, 3, 12), noise(rng, 5, 12)
    found = explained_energy(y, signal, basis)
    for b in range(5):
        model = signal[b][:, None] * basis
        left = [np.linalg.norm(a - model @ np.linalg.lstsq(model, a, rcond=None)[0]) ** 2 for a in y[b]]
        assert found[b] == pytest.approx(energy(y)[b] - sum(left), rel=1e-5)
    assert (shares(found, energy(y)) <= 1).all()


def test_channel_error_is_that_of_lmmse():
    """Channels drawn from the prior: the error is the variance that is claimed, which is the Bayesian bound."""
    rng = np.random.default_rng(5)
    prior, n, snr = ChannelPrior(delay_spread_s=0.5e-6), 3000, 10.0
    frequencies = np.arange(48) * 15e3
    all_at = HopPlaces(np.zeros(48), frequencies)
    at = HopPlaces(np.zeros(16), frequencies[1::3])
    covariance = prior.covariance(all_at.times_s, all_at.frequencies_hz)
    root = np.linalg.cholesky(covariance + 1e-9 * np.eye(48))
    h = noise(rng, n, 4, 48) @ root.T
    pilots = unit(rng, 16)
    estimate = PilotReceiver([pilots], [at], [all_at], prior).estimate(
        [h[..., 1::3] * pilots + noise(rng, n, 4, 16) / np.sqrt(snr)]
    )
    error = np.mean(np.abs(estimate.h[0] - h) ** 2, axis=(0, 1))
    inside = prior.covariance(at.times_s, at.frequencies_hz) + np.eye(16) / snr
    across = prior.covariance(all_at.times_s, all_at.frequencies_hz, at.times_s, at.frequencies_hz)
    bound = np.real(np.diag(covariance - across @ np.linalg.solve(inside, across.conj().T)))
    # powers are estimated from 64 values, which costs a few per cent
    assert error.mean() == pytest.approx(bound.mean(), rel=0.08)
    assert (error > 0.9 * bound).all()
    assert estimate.err_var[0].mean() == pytest.approx(bound.mean(), rel=0.08)
    # as many as 64 - 4 * (about 5) degrees of freedom a draw
    assert estimate.noise_var.mean() == pytest.approx(1 / snr, rel=0.03)


def test_combining_is_mmse():
    rng = np.random.default_rng(6)
    h, y = noise(rng, 3, 4, 10), noise(rng, 3, 4, 10)
    noise_var, powers = rng.random((3, 10)) + 0.1, rng.random(10) * 2
    value, gain = combine(y, h, noise_var, powers)
    for b in range(3):
        for n in range(10):
            column = h[b, :, n : n + 1]
            inner = powers[n] * column @ column.conj().T + noise_var[b, n] * np.eye(4)
            weights = powers[n] * np.linalg.solve(inner, column).conj()[:, 0]
            assert value[b, n] == pytest.approx(complex(weights @ y[b, :, n]), abs=1e-5)
            assert gain[b, n] == pytest.approx(float((weights @ column[:, 0]).real), abs=1e-5)


def test_false_alarm_of_preambles_is_below_its_bound_and_near_it():
    rng = np.random.default_rng(7)
    prach, p, n = Prach(format="A1", zero_correlation_zone=11), 0.1, 1000
    found = prach_detector(prach, false_alarm=p)(noise(rng, n, 2, 2, 139))
    rate = found.detected.any(1).mean()
    assert 0.3 * p < rate < p + 3 * np.sqrt(p / n)


@pytest.mark.parametrize(("name", "zone", "number"), [("0", 1, 33), ("A2", 11, 8), ("C0", 14, 0)])
def test_timing_error_is_the_cramer_rao_bound(name, zone, number):
    """At high SNR: 1 / (2 pi f_rms sqrt(2 E/N)), f_rms of a flat band; no bias; no other preamble."""
    rng = np.random.default_rng(8)
    prach = Prach(format=name, zero_correlation_zone=zone, preamble_index=number, root_sequence_index=5)
    length, repetitions, n, snr_db = prach.sequence_length, num_repetitions(prach), 400, 0.0
    delays = rng.uniform(0.2e-6, 2e-6, n)
    turns = np.exp(-2j * np.pi * np.arange(length) * prach.spacing_hz * delays[:, None])
    sent = (preamble(prach) * turns)[:, None, None]
    y = 10 ** (snr_db / 20) * unit(rng, n, 2, 1, 1) * sent + noise(rng, n, 2, repetitions, length)
    found = prach_detector(prach)(y.astype(np.complex64))
    assert found.detected[:, number].all()
    assert found.detected.sum() == n
    error = found.delay_s[:, number] - delays
    energies = 2 * repetitions * length * 10 ** (snr_db / 10)
    bound = 1 / (2 * np.pi * np.sqrt((length**2 - 1) / 12) * prach.spacing_hz * np.sqrt(2 * energies))
    step = length / 2 ** np.ceil(np.log2(2 * length)) / length / prach.spacing_hz
    # a parabola through three of about two points per sample leaves a little of the grid
    assert np.std(error) < 1.25 * np.hypot(bound, 0.03 * step)
    assert np.std(error) > 0.8 * bound
    assert abs(error.mean()) < 4 * np.std(error) / np.sqrt(n) + 0.02 * step


def test_two_preambles_of_different_power():
    """Of one root and of two, 6 dB apart, each at its delay."""
    rng = np.random.default_rng(9)
    for other in (1, 40):
        first = Prach(format="A3", zero_correlation_zone=11)
        second = first.model_copy(update={"preamble_index": other})
        turns = np.exp(-2j * np.pi * np.arange(139) * 15e3 * 3e-6)
        y = unit(rng, 50, 4, 1, 1) * preamble(first) + 0.5 * unit(rng, 50, 4, 1, 1) * preamble(second) * turns
        found = prach_detector(first)((np.repeat(y, 6, axis=2) + noise(rng, 50, 4, 6, 139)).astype(np.complex64))
        assert found.detected[:, [0, other]].mean() > 0.95
        assert found.detected.sum(1).max() <= 2
        assert np.median(found.delay_s[:, other]) == pytest.approx(3e-6, abs=0.1e-6)


@pytest.mark.parametrize("cfo_hz", [-1250.0, -625.0, 0.0, 625.0, 1250.0])
def test_restricted_set_survives_a_subcarrier_of_doppler(cfo_hz):
    """In samples: every preamble in its window, no other beside it, and the delay within a sample."""
    prach = Prach(format="0", restricted_set="A", zero_correlation_zone=4, root_sequence_index=384, preamble_index=7)
    rng, delay_s = np.random.default_rng(10), 6e-6
    subcarriers = np.arange(839) - 419
    spectrum = np.zeros(1024, complex)
    spectrum[subcarriers % 1024] = preamble(prach) * np.exp(-2j * np.pi * subcarriers * 1250 * delay_s)
    turned = np.fft.ifft(spectrum) * np.exp(2j * np.pi * cfo_hz * np.arange(1024) / 1.28e6)
    y = np.fft.fft(turned)[subcarriers % 1024]
    received = (0.3 * unit(rng, 40, 2, 1, 1) * y + noise(rng, 40, 2, 1, 839)).astype(np.complex64)
    found = prach_detector(prach)(received)
    assert found.detected[:, 7].all()
    assert found.detected.sum() == 40
    assert np.abs(found.delay_s[:, 7] - delay_s).max() < 1 / 839 / 1250


def test_repetitions_are_coherent_only_within_the_offset():
    prach = Prach(format="B4")
    assert prach_detector(prach, max_cfo_hz=400).num_coherent(12) == 12
    assert prach_detector(prach, max_cfo_hz=2000).num_coherent(12) == 2
    assert prach_detector(prach, max_cfo_hz=0).num_coherent(12) == 12
    assert prach_detector(Prach(format="2"), max_cfo_hz=400).num_coherent(4) == 1


def test_refusals():
    with pytest.raises(ValueError, match=r"false_alarm: got 0; allowed: between 0 and 1"):
        SequenceDetector([], [], 0)
    with pytest.raises(ValueError, match="false_alarm: got 1"):
        prach_detector(Prach(format="A1"), false_alarm=1)
    with pytest.raises(ValueError, match="max_cfo_hz: got -1; allowed: 0 or more"):
        PreambleDetector(np.ones((1, 139)), [0], [0], 0, 15e3, max_cfo_hz=-1)
    with pytest.raises(ValueError, match=r"shape of the received PRACH: got \(2, 2, 12\); allowed: \[batch"):
        prach_detector(Prach(format="A1"))(np.zeros((2, 2, 12)))
