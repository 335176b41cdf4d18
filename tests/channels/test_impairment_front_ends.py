"""IQ imbalance, DC offset, sampling clock and converter against closed forms; levels and bands of interference."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from channels.impairments import (
    CarrierFrequencyOffset,
    Converter,
    DcOffset,
    GaussianInterference,
    Impairment,
    IqImbalance,
    Jammer,
    OfdmInterference,
    SamplingClockOffset,
)
from channels.impairments.metrics import evm, leakage_db

RATE_HZ = 30.72e6


def generators(num_drops: int) -> list[np.random.Generator]:
    return [np.random.default_rng([47, drop]) for drop in range(num_drops)]


def tone(frequency_hz: float, num_samples: int) -> torch.Tensor:
    """exp(2j pi f t), complex128 [1, 1, num_samples]."""
    return torch.from_numpy(np.exp(2j * np.pi * frequency_hz / RATE_HZ * np.arange(num_samples))).view(1, 1, -1)


def added(impairment: Impairment, num_drops: int, num_antennas: int, num_samples: int) -> np.ndarray:
    """What an impairment with a level over noise adds, complex128 [drops, antennas, samples]."""
    silence = torch.zeros(num_drops, num_antennas, num_samples, dtype=torch.complex128)
    return impairment(silence, RATE_HZ, generators(num_drops)).numpy()


@pytest.mark.parametrize(("gain_db", "phase_deg"), [(0.5, 0.0), (0.0, 3.0), (-1.0, 5.0)])
def test_image_rejection(gain_db: float, phase_deg: float) -> None:
    num_samples, line = 1024, 37
    out = IqImbalance(gain_db, phase_deg)(tone(line * RATE_HZ / num_samples, num_samples), RATE_HZ, generators(1))
    spectrum = np.abs(np.fft.fft(out.numpy()[0, 0]) / num_samples) ** 2
    g, p = 10 ** (gain_db / 20), math.radians(phase_deg)
    expected = (1 + 2 * g * math.cos(p) + g**2) / (1 - 2 * g * math.cos(p) + g**2)
    assert spectrum[line] / spectrum[-line] == pytest.approx(expected, rel=1e-9)
    assert spectrum.sum() == pytest.approx(spectrum[line] + spectrum[-line], rel=1e-9)


def test_iq_imbalance_leaves_the_in_phase_branch_alone() -> None:
    x = torch.randn(1, 1, 100, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    out = IqImbalance(1.0, 4.0)(x, RATE_HZ, generators(1))
    torch.testing.assert_close(out.real, x.real)
    p = math.radians(4.0)
    torch.testing.assert_close(out.imag, 10**0.05 * (x.imag * math.cos(p) - x.real * math.sin(p)))


def test_dc_offset_has_its_level() -> None:
    x = tone(1e6, 3072).expand(2, 3, -1) * torch.tensor([1.0, 5.0]).view(2, 1, 1)
    offset = (DcOffset(-25.0)(x, RATE_HZ, generators(2)) - x).numpy()
    np.testing.assert_allclose(np.abs(offset), np.array([1, 5]).reshape(2, 1, 1) * 10 ** (-25 / 20) + 0 * offset.real)
    assert len(np.unique(np.angle(offset[..., 0]).round(6))) == 6
    fixed = (DcOffset(-25.0, phase_deg=30.0)(x, RATE_HZ, generators(2)) - x).numpy()
    np.testing.assert_allclose(np.angle(fixed), math.radians(30), rtol=1e-9)


@pytest.mark.parametrize("bits", [1, 4, 8, 12])
def test_quantisation_noise_of_a_uniform_input(bits: int) -> None:
    # uniform to the clipping level, which is sqrt(3) of the root mean square: signal A^2 / 3, noise step^2 / 12
    # evenly spread, so that the peak is the clipping level to a millionth and no statistics is left
    count = 2**17
    parts = (2 * np.arange(count) + 1) / count - 1
    other = np.random.default_rng(1).permutation(parts)
    x = torch.from_numpy(parts + 1j * other).view(1, 1, -1)
    error = (Converter(bits, clip_db=10 * math.log10(3))(x, RATE_HZ, generators(1)) - x).abs().square().mean()
    sqnr_db = 10 * math.log10(x.abs().square().mean().item() / error.item())
    assert sqnr_db == pytest.approx(20 * bits * math.log10(2), abs=0.01)


def test_quantisation_noise_of_a_sine() -> None:
    # full scale: 6.02 b + 1.76 dB
    x = tone(RATE_HZ * 0.1234567, 2**16)
    error = (Converter(10, clip_db=10 * math.log10(2))(x, RATE_HZ, generators(1)) - x).abs().square().mean()
    assert -10 * math.log10(error.item()) == pytest.approx(6.02 * 10 + 1.76, abs=0.2)


def test_levels_of_the_converter_and_clipping_of_a_gaussian_signal() -> None:
    numbers = np.random.default_rng(2).standard_normal((1, 1, 200_000, 2))
    x = torch.from_numpy(numbers.view(np.complex128)[..., 0])
    out = Converter(3, clip_db=6.0)(x, RATE_HZ, generators(1))
    assert len(np.unique(out.real.numpy().round(9))) == 8
    clip_db = 3.0
    clipped = Converter(None, clip_db)(x, RATE_HZ, generators(1))
    a = 10 ** (clip_db / 20)
    # E[(|x| - a)^2; |x| > a] of a normal x
    expected = 2 * ((1 + a**2) * stats.norm.sf(a) - a * stats.norm.pdf(a))
    measured = (clipped - x).abs().square().mean().item() / x.abs().square().mean().item()
    assert measured == pytest.approx(expected, rel=0.03)


def test_gain_control_of_every_antenna_or_of_all() -> None:
    x = torch.cat([tone(1e6, 1000), 100 * tone(1e6, 1000)], dim=1)
    alone = Converter(6)(x, RATE_HZ, generators(1))
    np.testing.assert_allclose(alone[:, 1], 100 * alone[:, 0], rtol=1e-4)
    shared = Converter(6, per_antenna=False)(x, RATE_HZ, generators(1))
    assert evm(shared[:, :1], x[:, :1]).item() > 10 * evm(shared[:, 1:], x[:, 1:]).item()


@pytest.mark.parametrize("offset_ppm", [-50.0, 3.3, 50.0])
@pytest.mark.parametrize("share", [-0.4, -0.1, 0.25, 0.4])
def test_resampling_error_is_below_80_db(offset_ppm: float, share: float) -> None:
    num_samples = 8192
    out = SamplingClockOffset(offset_ppm)(tone(share * RATE_HZ, num_samples), RATE_HZ, generators(1)).numpy()[0, 0]
    places = np.arange(num_samples) * (1 + offset_ppm * 1e-6)
    inside = slice(32, num_samples - 32)
    error = np.abs(out - np.exp(2j * np.pi * share * places))[inside]
    assert 20 * np.log10(error.max()) < -80


def test_phase_slope_of_a_sampling_offset_over_subcarriers_and_symbols() -> None:
    fft_size, num_symbols, offset_ppm = 512, 6, 20.0
    lines = np.array([-200, -90, -1, 40, 150, 200])
    data = np.zeros(fft_size, np.complex128)
    data[lines] = np.exp(0.5j * np.pi * np.arange(len(lines)))
    # the same symbol again and again, which is its own cyclic prefix
    x = torch.from_numpy(np.tile(np.fft.ifft(data) * fft_size, num_symbols)).view(1, 1, -1)
    out = SamplingClockOffset(offset_ppm)(x, RATE_HZ, generators(1)).numpy().reshape(num_symbols, fft_size)
    ratio = (np.fft.fft(out) / fft_size)[:, lines] / data[lines]
    for symbol in range(1, num_symbols - 1):
        # a subcarrier turns by 2 pi k offset per useful symbol, seen in the middle of the window
        expected = 2 * np.pi * lines * offset_ppm * 1e-6 * (symbol + 0.5 - 0.5 / fft_size)
        np.testing.assert_allclose(np.angle(ratio[symbol]), expected, atol=2e-4)


def test_frequency_offset_shifts_a_tone() -> None:
    out = CarrierFrequencyOffset(15e3)(tone(30e3, 4096), RATE_HZ, generators(1))
    torch.testing.assert_close(out, tone(45e3, 4096), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Jammer(10.0, 1e6, noise_power=0.1),
        lambda: Jammer(10.0, -5e6, 5e6, 2e6, noise_power=0.1),
        lambda: GaussianInterference(10.0, noise_power=0.1),
        lambda: GaussianInterference(10.0, 4e6, 3e6, noise_power=0.1),
        lambda: OfdmInterference(10.0, 120, noise_power=0.1),
        lambda: OfdmInterference(10.0 - 10 * math.log10(3), 24, 15e3, 2e6, noise_power=0.1, num_sources=3),
    ],
)
def test_interference_has_its_level_over_the_noise(make: object) -> None:
    num_drops, num_antennas = 300, 4
    signal = added(make(), num_drops, num_antennas, 512)  # type: ignore[operator]
    powers = (np.abs(signal) ** 2).mean(-1)
    # power of an antenna: exponential gains times the source's own; the estimate's spread as measured over drops
    spread = powers.mean(1).std() / math.sqrt(num_drops)
    assert powers.mean() == pytest.approx(1.0, abs=5 * spread)
    assert spread < 0.06


def test_level_without_noise_power_is_over_the_waveform() -> None:
    x = tone(1e6, 512).expand(200, 4, -1) * 3
    difference = GaussianInterference(-20.0)(x, RATE_HZ, generators(200)) - x
    assert difference.abs().square().mean().item() == pytest.approx(0.09, rel=0.2)


def test_a_source_comes_from_one_direction() -> None:
    signal = added(Jammer(0.0, 1e6, bandwidth_hz=1e6, noise_power=1.0), 1, 4, 512)[0]
    assert np.linalg.matrix_rank(signal, tol=1e-4) == 1
    signal = added(OfdmInterference(0.0, 60, noise_power=1.0, num_sources=2), 1, 4, 512)[0]
    assert np.linalg.matrix_rank(signal, tol=1e-4) == 2


@pytest.mark.parametrize(
    ("make", "low_hz", "high_hz"),
    [
        (lambda: Jammer(0.0, 5e6, bandwidth_hz=2e6, noise_power=1.0), 4e6, 6e6),
        (lambda: Jammer(0.0, -8e6, -6e6, 1e6, noise_power=1.0), -8.5e6, -5.5e6),
        (lambda: GaussianInterference(0.0, 6e6, -4e6, noise_power=1.0), -7e6, -1e6),
        (lambda: OfdmInterference(0.0, 96, 30e3, 2e6, noise_power=1.0), 2e6 - 1.455e6, 2e6 + 1.425e6),
    ],
)
def test_interference_stays_in_its_band(make: object, low_hz: float, high_hz: float) -> None:
    num_samples = 8192
    signal = added(make(), 20, 1, num_samples)[:, 0] * np.blackman(num_samples)  # type: ignore[operator]
    spectrum = (np.abs(np.fft.fft(signal)) ** 2).mean(0)
    frequencies = np.fft.fftfreq(num_samples, 1 / RATE_HZ)
    margin = 5 * RATE_HZ / num_samples
    outside = (frequencies < low_hz - margin) | (frequencies > high_hz + margin)
    # OFDM without filters has its sidelobes, noise and tones have those of the window
    assert spectrum[outside].sum() / spectrum.sum() < (0.03 if isinstance(make(), OfdmInterference) else 1e-4)  # type: ignore[operator]


def test_ofdm_interference_is_ofdm() -> None:
    # one subcarrier spacing of 30 kHz at 30.72 MHz: 1024 samples repeat after the cyclic prefix of 72
    signal = added(OfdmInterference(0.0, 300, noise_power=1.0), 40, 1, 6 * 1096)[:, 0]
    lag = (signal[:, 1024:] * signal[:, :-1024].conj()).mean(1) / (np.abs(signal) ** 2).mean(1)
    assert lag.real.mean() == pytest.approx(72 / 1096, abs=0.02)
    off = (signal[:, 1500:] * signal[:, :-1500].conj()).mean(1) / (np.abs(signal) ** 2).mean(1)
    assert abs(off.mean()) < 0.02


@pytest.mark.parametrize(
    "make",
    [
        lambda **at: OfdmInterference(0.0, 300, noise_power=1.0, **at),
        lambda **at: GaussianInterference(0.0, noise_power=1.0, num_sources=2, **at),
        lambda **at: Jammer(0.0, 1e6, noise_power=1.0, **at),
    ],
)
def test_interference_over_a_part_of_the_waveform_is_what_it_is_there(make: object) -> None:
    whole = added(make(), 3, 2, 400)  # type: ignore[operator]
    part = added(make(start=0.25, stop=0.5), 3, 2, 400)  # type: ignore[operator]
    np.testing.assert_array_equal(part[..., 100:200], whole[..., 100:200])
    assert not part[..., :100].any()
    assert not part[..., 200:].any()
    np.testing.assert_array_equal(added(make(start=0.0, stop=1.0), 3, 2, 400), whole)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("start", "stop", "words"),
    [
        (0.5, 0.5, "stop: got 0.5; allowed: above start, which is 0.5"),
        (0.6, 0.4, "stop: got 0.4"),
        (-0.1, 1.0, "start: got -0.1; allowed: 0 or more"),
        (0.0, 1.1, "stop: got 1.1"),
    ],
)
def test_parts_that_make_no_sense_are_refused(start: float, stop: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        GaussianInterference(0.0, start=start, stop=stop)


def test_error_vector_magnitude_counts_what_no_gain_explains() -> None:
    rng = np.random.default_rng(6)
    x = torch.from_numpy(rng.standard_normal((2, 1, 100_000, 2)).view(np.complex128)[..., 0])
    noise = torch.from_numpy(rng.standard_normal((2, 1, 100_000, 2)).view(np.complex128)[..., 0])
    measured = evm((0.3 - 2j) * (x + 0.08 * noise), x)
    np.testing.assert_allclose(measured, 0.08, rtol=0.02)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IqImbalance(math.inf), r"^gain_db: got inf; allowed: a finite number$"),
        (lambda: Converter(0), r"^bits: got 0; allowed: an integer from 1 to 24$"),
        (lambda: SamplingClockOffset(2e4), r"^offset_ppm: got 20000.0; allowed: a number from -10000 to 10000$"),
        (lambda: Jammer(0.0, 1e6, -1e6), r"^max_frequency_hz: got -1000000.0; allowed: from frequency_hz, 1e\+06$"),
        (lambda: Jammer(0.0, 0.0, bandwidth_hz=-1.0), r"^bandwidth_hz: got -1.0; allowed: a finite number from 0$"),
        (lambda: OfdmInterference(0.0, 0), r"^num_subcarriers: got 0; allowed: an integer from 1 to 100000$"),
        (lambda: OfdmInterference(0.0, 1, num_sources=0), r"^num_sources: got 0; allowed: an integer from 1 to 1000$"),
        (
            lambda: added(Jammer(0.0, 20e6), 1, 1, 10),
            r"^band of the interference: got '0 Hz around 2e\+07 Hz'; allowed: within the sample rate 3.072e\+07 Hz$",
        ),
        (lambda: leakage_db(tone(0.0, 4096), RATE_HZ, 5e6, 4e6), r"^spacing_hz: got 4000000.0; allowed: from the band"),
        (lambda: evm(tone(0.0, 5), tone(0.0, 6)), r"^received: got \(1, 1, 5\); allowed: the shape of the reference"),
    ],
)
def test_what_makes_no_sense_is_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
