"""OFDM in the time domain against the standard's lengths and formula, and against Sionna."""

import numpy as np
import pytest
import torch

from ran.errors import InputError
from ran.phy.config import Carrier
from ran.phy.numerology import cyclic_prefix_s, symbol_times_s
from ran.phy.ofdm import Ofdm, default_fft_size, interpolation_reach

SPACINGS = (15, 30, 60, 120)


def random_grid(ofdm: Ofdm, *batch: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*batch, 14, ofdm.num_subcarriers, generator=generator, dtype=torch.complex64)


def test_prefixes_at_2048_samples_are_those_of_the_standard():
    # TS 38.211 §5.3.1 in units of kappa T_c 2^-mu: 144, and 16 * 2^mu more at 0 and 7 * 2^mu
    for spacing, long, places in ((15, 160, (0, 7)), (30, 176, (0,)), (60, 208, (0,)), (120, 272, (0,))):
        prefixes = Ofdm.build(Carrier(subcarrier_spacing_khz=spacing, num_prb=100), 2048).prefixes
        assert prefixes == tuple(long if symbol in places else 144 for symbol in range(14))
    # at 120 kHz a half subframe has four slots
    assert set(Ofdm.build(Carrier(subcarrier_spacing_khz=120), 2048, slot_number=3).prefixes) == {144}
    assert Ofdm.build(Carrier(subcarrier_spacing_khz=120), 2048, slot_number=4).prefixes[0] == 272


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("fft_size", [384, 512, 1536, 4096])
def test_a_subframe_lasts_a_millisecond(spacing, fft_size):
    carrier = Carrier(subcarrier_spacing_khz=spacing, num_prb=24)
    slots = [Ofdm.build(carrier, fft_size, slot) for slot in range(2**carrier.numerology)]
    assert sum(ofdm.num_samples for ofdm in slots) == slots[0].sample_rate_hz * 1e-3
    if spacing <= 30:
        assert {ofdm.num_samples for ofdm in slots} == {slots[0].sample_rate_hz * carrier.slot_duration_s}
    for slot, ofdm in enumerate(slots):
        rate = ofdm.sample_rate_hz
        np.testing.assert_allclose(ofdm.prefixes, cyclic_prefix_s(carrier.numerology, slot) * rate, rtol=1e-12)
        np.testing.assert_allclose(ofdm.starts, symbol_times_s(carrier.numerology, slot) * rate, rtol=1e-12)


@pytest.mark.parametrize("num_prb", [2, 3])
def test_samples_follow_the_formula_of_the_standard(num_prb):
    ofdm = Ofdm.build(Carrier(num_prb=num_prb))
    grid = random_grid(ofdm)
    samples = ofdm.modulate(grid).numpy()
    n = np.arange(ofdm.num_samples)
    expected = np.zeros(len(n), complex)
    start = 0
    for symbol, prefix in enumerate(ofdm.prefixes):
        within = slice(start, start + prefix + ofdm.fft_size)
        # s(t) = sum_k a_k exp(2j pi (k - K/2) df (t - t_cp - t_start))
        k = np.arange(ofdm.num_subcarriers) - ofdm.num_subcarriers // 2
        turns = np.outer(n[within] - prefix - start, k) / ofdm.fft_size
        expected[within] = np.exp(2j * np.pi * turns) @ grid[symbol].numpy() / np.sqrt(ofdm.fft_size)
        start = within.stop
    np.testing.assert_allclose(samples, expected, atol=2e-6)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_against_sionna(spacing):
    from sionna.phy.ofdm import OFDMDemodulator, OFDMModulator

    ofdm = Ofdm.build(Carrier(subcarrier_spacing_khz=spacing, num_prb=12))
    grid = random_grid(ofdm, 2, 3)
    # Sionna's grid spans the whole FFT, the carrier in its middle
    left = ofdm.fft_size // 2 - ofdm.num_subcarriers // 2
    whole = torch.zeros(2, 3, 14, ofdm.fft_size, dtype=torch.complex64)
    whole[..., left : left + ofdm.num_subcarriers] = grid
    theirs = OFDMModulator(np.array(ofdm.prefixes))(whole)
    ours = ofdm.modulate(grid)
    torch.testing.assert_close(ours, theirs.to(ours), rtol=0, atol=2e-6)
    noisy = theirs + random_grid(ofdm, 2, 3, seed=2).flatten(-2).repeat(1, 1, 4)[..., : ofdm.num_samples].to(theirs)
    demodulated = OFDMDemodulator(ofdm.fft_size, 0, np.array(ofdm.prefixes))(noisy)
    theirs_back = demodulated[..., left : left + ofdm.num_subcarriers].to(ours)
    torch.testing.assert_close(ofdm.demodulate(noisy.to(ours)), theirs_back, rtol=0, atol=1e-5)


@pytest.mark.parametrize("window_offset", [0, 1, 18, 36])
@pytest.mark.parametrize("num_prb", [1, 24, 36])
def test_back_and_forth_from_any_window_in_the_prefix(num_prb, window_offset):
    ofdm = Ofdm.build(Carrier(num_prb=num_prb), 512)
    grid = random_grid(ofdm, 2)
    torch.testing.assert_close(ofdm.demodulate(ofdm.modulate(grid), window_offset), grid, rtol=0, atol=5e-6)


def test_transforms_are_unitary_and_differentiable():
    ofdm = Ofdm.build(Carrier(num_prb=24))
    grid = random_grid(ofdm).requires_grad_()
    energy = ofdm.demodulate(ofdm.modulate(grid), 5).abs().square().sum()
    energy.backward()
    torch.testing.assert_close(grid.grad, 2 * grid.detach(), rtol=0, atol=1e-4)


def test_default_size_leaves_room_for_interpolation():
    for num_prb in range(1, 276):
        num_subcarriers = 12 * num_prb
        size = default_fft_size(num_subcarriers)
        assert size & (size - 1) == 0
        assert 2 * interpolation_reach(num_subcarriers, size) <= 9 * size // 128
    assert [default_fft_size(12 * n) for n in (24, 51, 106, 273, 275)] == [512, 1024, 2048, 4096, 4096]


@pytest.mark.parametrize(
    ("num_prb", "fft_size", "text"),
    [
        (24, 300, r"waveform.fft_size: got 300; allowed: multiples of 128, .*TS 38.211 §5.3.1"),
        (51, 640, r"waveform.fft_size: got 640; allowed: 768 or more for 612 subcarriers"),
        (273, 2048, r"waveform.fft_size: got 2048; allowed: 3968 or more"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(num_prb, fft_size, text):
    with pytest.raises(InputError, match=text) as caught:
        Ofdm.build(Carrier(num_prb=num_prb), fft_size)
    assert "\n" not in str(caught.value)


def test_wrong_shapes_and_windows_are_refused():
    ofdm = Ofdm.build(Carrier(num_prb=24))
    with pytest.raises(InputError, match=r"grid: got \(14, 12\); allowed: \[..., 14, 288\]"):
        ofdm.modulate(torch.zeros(14, 12, dtype=torch.complex64))
    with pytest.raises(InputError, match=r"samples: got \(100,\); allowed: \[..., 7680\]"):
        ofdm.demodulate(torch.zeros(100, dtype=torch.complex64))
    with pytest.raises(InputError, match="window_offset: got 37; allowed: 0 to 36"):
        ofdm.demodulate(torch.zeros(7680, dtype=torch.complex64), 37)


def upconverted(samples: np.ndarray, rate: float, f0: float, start: int) -> np.ndarray:
    """What an oscillator that never stops makes of a baseband, complex (the analytic signal)."""
    times = (start + np.arange(len(samples))) / rate
    return samples * np.exp(2j * np.pi * (f0 * times % 1))


@pytest.mark.parametrize(("spacing", "slot"), [(15, 3), (30, 0), (30, 1), (120, 6)])
def test_phase_compensation_follows_the_formula_of_the_standard(spacing, slot):
    # TS 38.211 §5.4: every symbol is upconverted with exp(2j pi f0 (t - t_start - t_cp)), t from the subframe's start
    f0 = 1842.5e6
    carrier = Carrier(subcarrier_spacing_khz=spacing, num_prb=3, slot_number=slot)
    plain = Ofdm.build(carrier)
    ours = Ofdm.build(carrier, carrier_frequency_hz=f0)
    grid = random_grid(plain)
    rate = plain.sample_rate_hz
    baseband = plain.modulate(grid).numpy().astype(complex)
    before = sum(
        Ofdm.build(carrier, slot_number=s).num_samples for s in range(slot - slot % 2**carrier.numerology, slot)
    )
    expected, first = np.zeros(len(baseband), complex), 0
    for prefix in plain.prefixes:
        within = slice(first, first + prefix + plain.fft_size)
        t = (before + np.arange(within.start, within.stop)) / rate
        reset = (before + first + prefix) / rate
        expected[within] = baseband[within] * np.exp(2j * np.pi * ((f0 * (t - reset)) % 1))
        first = within.stop
    sent = upconverted(ours.modulate(grid).numpy(), rate, f0, before)
    np.testing.assert_allclose(sent, expected, atol=2e-6 + 1e-6)
    torch.testing.assert_close(ours.demodulate(ours.modulate(grid), 3), grid, rtol=0, atol=5e-6)
    # without it symbols come out rotated against one another, which pilots of one symbol do not show in the next
    rotated = plain.demodulate(ours.modulate(grid)) / grid
    torch.testing.assert_close(rotated, ours.phases()[:, None].expand_as(rotated), rtol=0, atol=2e-3)


def test_frequencies_that_turn_whole_times_per_subframe_need_no_state():
    # f0 in whole kHz: the phase of a subframe is that of every other, so slots can be taken one by one
    carrier = Carrier(num_prb=3)
    a, b = (Ofdm.build(carrier, slot_number=slot, carrier_frequency_hz=3.5e9).phases() for slot in (1, 3))
    torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert not torch.allclose(a, Ofdm.build(carrier, slot_number=0, carrier_frequency_hz=3.50001e9).phases())


def test_extended_prefixes_are_those_of_the_standard():
    carrier = Carrier(subcarrier_spacing_khz=60, num_prb=11, cyclic_prefix="extended", slot_number=2)
    ofdm = Ofdm.build(carrier, 2048)
    # 512 kappa 2^-mu each, 12 symbols in a quarter of a millisecond
    assert ofdm.prefixes == (512,) * 12
    assert ofdm.num_samples == ofdm.sample_rate_hz * carrier.slot_duration_s
    assert ofdm.samples_before == 2 * ofdm.num_samples
    np.testing.assert_allclose(cyclic_prefix_s(2, 2, True) * ofdm.sample_rate_hz, ofdm.prefixes, rtol=1e-12)
    np.testing.assert_allclose(symbol_times_s(2, 2, True) * ofdm.sample_rate_hz, ofdm.starts, rtol=1e-12)
    grid = torch.randn(2, 12, 132, generator=torch.Generator().manual_seed(1), dtype=torch.complex64)
    torch.testing.assert_close(ofdm.demodulate(ofdm.modulate(grid), 100), grid, rtol=0, atol=5e-6)


def test_extended_prefix_is_for_60_khz_alone():
    with pytest.raises(ValueError, match="cyclic_prefix extended is not possible at 30 kHz; allowed: 60 kHz"):
        Carrier(cyclic_prefix="extended")
