"""What counts as received: noise and zeros never, at any redundancy version, with any way to stop the decoder."""

import dataclasses

import numpy as np
import pytest
import torch

from ran.link import Link, LinkConfig
from ran.link.turbo import TurboDecoder
from ran.phy.config import Carrier, Pusch
from ran.phy.ldpc import LdpcCode, decode, encode
from ran.phy.transport_block import TransportBlock

# tb_size, num_coded_bits, target_rate, bits_per_symbol, num_layers: both base graphs and CRCs, one and several blocks.
SIZES = [
    (8456, 12000, 0.7, 4, 1),
    (24072, 30000, 0.8, 6, 1),
    (3000, 4800, 0.6, 4, 1),
    (10056, 60000, 0.17, 2, 1),
    (40, 400, 0.1, 2, 1),
]
WAYS = [("int8", False), ("int8", True), ("float32", False), ("float32", True)]


def strong(coded):
    return (8 * (1 - 2.0 * coded)).astype(np.float32)


@pytest.mark.parametrize(("precision", "stop_crc"), WAYS)
@pytest.mark.parametrize("rv", [0, 1, 2, 3])
@pytest.mark.parametrize("size", SIZES)
def test_noise_and_zeros_are_not_received(size, rv, precision, stop_crc):
    block = TransportBlock(*size, rv=rv)
    noise = np.random.default_rng(rv).normal(size=(8, block.num_coded_bits)).astype(np.float32)
    for llr in (noise, 1e-9 * noise, 0 * noise, -0.0 * noise):
        for soft_buffer in (None, block.new_soft_buffer(8)):
            decision = block.decode(
                llr, 4, precision=precision, stop_crc=stop_crc, soft_buffer=soft_buffer, soft=soft_buffer is None
            )
            assert not decision.crc_ok.any()
            assert not decision.code_block_ok.all(axis=1).any()


def test_the_crc_of_zeros_was_taken_for_a_block():
    block = TransportBlock(8456, 12000, 0.7, 4, 1, 2)
    noise = np.random.default_rng(1).normal(size=(50, 12000)).astype(np.float32)
    decision = block.decode(noise, 10)
    assert not decision.bits[0].any()  # systematic bits are stuck at LLR 0, so that the CRC of the bits holds
    assert (decision.crc_ok.sum(), decision.code_block_ok.sum()) == (0, 0)


@pytest.mark.parametrize("early_stop", [True, False])
def test_false_acknowledgements_of_noise_within_what_the_crc_lets_through(early_stop):
    """CRC16 lets 2^-16 of random words through, each time it is looked at."""
    block, num_blocks, num_iterations = TransportBlock(40, 200, 0.3, 2), 40_000, 5
    noise = np.random.default_rng(2).normal(size=(num_blocks, 200)).astype(np.float32)
    looks = num_iterations if early_stop else 1
    decision = block.decode(noise, num_iterations, early_stop=early_stop, stop_crc=early_stop)
    expected = num_blocks * looks / 2**16
    assert decision.crc_ok.sum() <= expected + 4 * np.sqrt(expected) + 1


@pytest.mark.parametrize(("precision", "stop_crc"), WAYS)
@pytest.mark.parametrize("size", SIZES)
def test_sent_blocks_are_received_zeros_among_them(size, precision, stop_crc):
    block = TransportBlock(*size)
    bits = np.random.default_rng(3).integers(0, 2, (3, block.tb_size)).astype(np.uint8)
    bits[1] = 0
    decision = block.decode(strong(block.encode(bits)), 10, precision=precision, stop_crc=stop_crc)
    assert decision.crc_ok.all()
    assert np.array_equal(decision.bits, bits)


@pytest.mark.parametrize("precision", ["int8", "float32"])
@pytest.mark.parametrize("base_graph", [1, 2])
def test_as_many_llrs_as_information_bits_are_needed(base_graph, precision):
    """A code word of zeros holds all checks whatever is known of it; K' - 1 LLRs cannot determine it."""
    code = LdpcCode(base_graph, 40, (22 if base_graph == 1 else 10) * 40 - 7, tuple(range(12)))
    coded = encode(np.zeros((1, code.num_info_bits), np.uint8), code)
    llr = strong(coded)
    start, end = code.filler_range
    used = np.concatenate([np.arange(start), np.arange(end, code.num_coded_bits)])
    for known, expected in ((code.num_info_bits - 1, False), (code.num_info_bits, True)):
        part = llr.copy()
        part[0, used[known:]] = 0
        part[0, start:end] = 1  # LLRs of fillers do not count
        for stop_crc in (None, "24B"):
            decision = decode(part, code, 5, precision=precision, stop_crc=stop_crc)
            assert decision.num_received[0] == known
            assert decision.parity_ok[0] == expected
            assert not decision.bits.any()


def test_combining_makes_it_received():
    """A retransmission of parity alone is not received; with what the first one brought, it is."""
    block = TransportBlock(8456, 12000, 0.7, 4)
    rng = np.random.default_rng(4)
    bits = rng.integers(0, 2, (6, 8456)).astype(np.uint8)

    def receive(rv):
        coded = block.encode(bits, rv=rv)
        return (2 * (1 - 2.0 * coded + rng.normal(size=coded.shape))).astype(np.float32)

    alone = receive(2)
    assert not block.decode(alone, 10, rv=2).crc_ok.any()
    buffer = block.new_soft_buffer(6)
    assert not block.decode(alone, 10, rv=2, soft_buffer=buffer).crc_ok.any()
    decision = block.decode(receive(0), 20, soft_buffer=buffer)
    assert decision.crc_ok.all()
    assert np.array_equal(decision.bits, bits)


@pytest.mark.parametrize("rv", [0, 1, 2, 3])
def test_a_turbo_receiver_does_not_stop_at_noise(rv):
    grid = Link(LinkConfig(carrier=Carrier(num_prb=6), pusch=Pusch(mcs_index=14), channel={"name": "awgn"})).grid
    codeword = dataclasses.replace(grid.codeword, transport_block=grid.codeword.transport_block.with_rv(rv))
    decoder = TurboDecoder((codeword,), 4)
    shape = (5, codeword.num_layers * codeword.num_users, codeword.num_data_re, codeword.bits_per_symbol)
    noise = torch.from_numpy(np.random.default_rng(rv).normal(size=shape).astype(np.float32))
    for llr in (noise, torch.zeros_like(noise)):
        extrinsic, arrived = decoder(llr)
        assert not arrived.any()
        assert extrinsic.abs().max() < 30  # nothing is taken for certain
