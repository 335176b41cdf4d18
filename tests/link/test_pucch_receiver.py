"""A PUCCH of every format through fading and noise, DTX, scheduling requests, users side by side, and refusals."""

import numpy as np
import pytest

from channels.tdl import Tdl
from ran.errors import InputError
from ran.link.pucch import PucchReceiver
from ran.phy.config import Carrier, Pucch
from ran.phy.pucch import pucch_grid

CARRIER = Carrier(num_prb=24, subcarrier_spacing_khz=15)
FORMATS = {
    "0": Pucch(format=0, num_bits=2, start_symbol=12, num_symbols=2, second_hop_prb=23),
    "1": Pucch(format=1, num_bits=2, second_hop_prb=23, occ_index=1, initial_cyclic_shift=3),
    "1 without hopping": Pucch(format=1, num_bits=1, num_symbols=9, occ_index=2),
    "2 small": Pucch(format=2, num_bits=7, num_prb=3, start_symbol=10, num_symbols=1),
    "2 polar": Pucch(format=2, num_bits=30, num_prb=6, start_symbol=10, num_symbols=2, second_hop_prb=18),
    "3": Pucch(format=3, num_bits=9, num_prb=2, second_hop_prb=20, modulation="pi/2-BPSK"),
    "3 polar": Pucch(format=3, num_bits=16, num_symbols=10, additional_dmrs=True),
    "4": Pucch(format=4, num_bits=5, spreading_factor=4, occ_index=2, second_hop_prb=23),
    "4 polar": Pucch(format=4, num_bits=22, spreading_factor=2, occ_index=1),
}


def through(grid, rng, esn0_db, num_rx_ant=2):
    """TDLC300-100 and noise, complex64 [batch, num_rx_ant, symbols, subcarriers]."""
    generators = rng.spawn(len(grid))
    times_s = np.arange(14) / 14e3
    frequencies_hz = np.arange(CARRIER.num_subcarriers) * 15e3
    h = Tdl("TDLC300", max_doppler_hz=100.0).response(generators, num_rx_ant, 1, times_s, frequencies_hz)
    shape = (len(grid), num_rx_ant, *grid.shape[1:])
    noise = rng.standard_normal((*shape, 2), np.float32).view(np.complex64)[..., 0] * np.float32(np.sqrt(0.5))
    return h.numpy()[:, :, 0] * grid[:, None] * np.float32(10 ** (esn0_db / 20)) + noise


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_comes_back(name):
    """Four antennas at 15 dB: no error in 30 slots, at levels of nine orders of magnitude either way."""
    pucch, rng = FORMATS[name], np.random.default_rng(0)
    bits = rng.integers(0, 2, (30, pucch.num_bits), dtype=np.uint8)
    y = through(pucch_grid(CARRIER, pucch, bits), rng, 15.0, 4)
    receiver = PucchReceiver(CARRIER, pucch)
    for scale in (1, 1e-9, 1e9):
        found = receiver(y * np.float32(scale))
        assert found.present.all()
        assert np.array_equal(found.bits, bits)
        assert not found.scheduling_request.any()


@pytest.mark.parametrize("name", ["0", "1", "2 small", "3", "4"])
def test_noise_is_rarely_an_ack(name):
    """`false_ack` is a bound: the rate of ACKs of the first bit in noise is below it, but not nothing."""
    pucch, rng, p, n = FORMATS[name], np.random.default_rng(1), 0.1, 1000
    noise = rng.standard_normal((n, 2, 14, CARRIER.num_subcarriers, 2), np.float32).view(np.complex64)[..., 0]
    found = PucchReceiver(CARRIER, pucch, false_ack=p)(noise)
    rate = (found.present & (found.bits[:, 0] == 1)).mean()
    assert p / 20 < rate < p + 3 * np.sqrt(p / n)


def test_silence_is_dtx():
    for pucch in FORMATS.values():
        found = PucchReceiver(CARRIER, pucch)(np.zeros((2, 2, 14, CARRIER.num_subcarriers), np.complex64))
        assert found.bits.shape == (2, pucch.num_bits)
        assert not found.present.any()


def test_scheduling_requests():
    rng = np.random.default_rng(2)
    pucch = FORMATS["0"]
    receiver = PucchReceiver(CARRIER, pucch, listen_for_sr=True)
    bits = rng.integers(0, 2, (40, 2), dtype=np.uint8)
    for request in (False, True):
        found = receiver(through(pucch_grid(CARRIER, pucch, bits, request), rng, 20.0, 4))
        assert np.array_equal(found.bits, bits)
        assert (found.scheduling_request == request).all()
    alone = Pucch(format=0, num_bits=0, num_symbols=1)
    receiver = PucchReceiver(CARRIER, alone)
    nothing = np.zeros((50, 0), np.uint8)
    assert receiver(through(pucch_grid(CARRIER, alone, nothing, True), rng, 20.0, 4)).scheduling_request.all()
    assert receiver(through(pucch_grid(CARRIER, alone, nothing), rng, 20.0, 4)).scheduling_request.mean() < 0.1


def test_two_users_share_a_resource():
    """Covers and shifts apart, at equal power, a flat channel each: both are read (the other counts as noise)."""
    rng = np.random.default_rng(3)
    for one, other in (
        (Pucch(format=1, num_bits=2), Pucch(format=1, num_bits=2, initial_cyclic_shift=6, occ_index=1)),
        (
            Pucch(format=4, num_bits=12, spreading_factor=4),
            Pucch(format=4, num_bits=12, spreading_factor=4, occ_index=1),
        ),
    ):
        bits = rng.integers(0, 2, (2, 30, one.num_bits), dtype=np.uint8)
        grids = [pucch_grid(CARRIER, user, b) for user, b in zip((one, other), bits, strict=True)]
        phases = np.exp(2j * np.pi * rng.random((2, 30, 4, 1, 1)))
        y = sum(phase * grid[:, None] for phase, grid in zip(phases, grids, strict=True))
        y = y + 0.1 * rng.standard_normal((*y.shape, 2)).view(complex)[..., 0]
        for user, sent in zip((one, other), bits, strict=True):
            found = PucchReceiver(CARRIER, user)(y)
            assert np.array_equal(found.bits, sent)
            assert found.present.all()


def test_refusals():
    with pytest.raises(InputError, match="false_ack: got 0; allowed: between 0 and 1"):
        PucchReceiver(CARRIER, FORMATS["1"], false_ack=0)
    with pytest.raises(InputError, match="listen_for_sr: got True; allowed: format 0"):
        PucchReceiver(CARRIER, FORMATS["1"], listen_for_sr=True)
    with pytest.raises(InputError, match=r"shape of the received grid: got \(1, 14, 288\); allowed: \[batch, num_rx"):
        PucchReceiver(CARRIER, FORMATS["1"])(np.zeros((1, 14, 288)))
    with pytest.raises(InputError, match="second_hop_prb of the PUCCH: got 23; allowed: 0 to 1"):
        PucchReceiver(Carrier(num_prb=2), FORMATS["1"])
