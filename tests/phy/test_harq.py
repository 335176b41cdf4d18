"""Retransmissions: soft buffers, redundancy versions, and what combining them gains."""

import numpy as np
import pytest
import torch

from ran.errors import InputError
from ran.phy.ldpc import LdpcCode, RateMatching, encode, select_lifting_size
from ran.phy.sequences import gold_sequence
from ran.phy.transport_block import TransportBlock

ORDER = (0, 2, 3, 1)


def payload(block, batch, seed=0):
    return np.random.default_rng(seed).integers(0, 2, (batch, block.tb_size)).astype(np.uint8)


def bpsk(coded, esn0_db, rng):
    noise_var = 10 ** (-esn0_db / 10) / 2
    y = 1 - 2.0 * coded + np.sqrt(noise_var) * rng.normal(size=coded.shape)
    return (2 * y / noise_var).astype(np.float32)


@pytest.mark.parametrize("precision", ["int8", "float32"])
@pytest.mark.parametrize("size", [(3824, 6000, 0.64), (9992, 14000, 0.72)])
def test_redundancy_versions_recover_what_one_cannot(size, precision):
    """Code rate 0.64 and 0.72 at an SNR that suits a rate of about 0.3."""
    block = TransportBlock(*size, bits_per_symbol=2)
    bits = payload(block, 12)
    rng = np.random.default_rng(1)
    buffer = block.new_soft_buffer(12)
    failures = []
    for rv in ORDER:
        llr = bpsk(block.encode(bits, rv=rv), -2.5, rng)
        decision = block.decode(llr, 20, precision=precision, soft_buffer=buffer, rv=rv)
        failures.append(int(np.sum(~decision.crc_ok)))
        assert np.array_equal(decision.bits[decision.crc_ok], bits[decision.crc_ok])
    assert failures[0] == 12
    assert failures[-1] == 0
    assert buffer.num_transmissions == 4


def test_chase_combining_adds_up():
    block = TransportBlock(2024, 3000, 0.67, 2)
    bits, rng = payload(block, 6), np.random.default_rng(2)
    coded = block.encode(bits)
    transmissions = [bpsk(coded, -2.0, rng) for _ in range(4)]
    buffer = block.new_soft_buffer(6)
    for llr in transmissions:
        decision = block.decode(llr, 10, soft_buffer=buffer)
    assert not block.decode(transmissions[0], 10).crc_ok.any()
    assert decision.crc_ok.all()
    together = block.decode(sum(transmissions), 10)
    assert np.array_equal(decision.bits, together.bits)
    assert np.array_equal(decision.iterations, together.iterations)


def test_one_transmission_with_a_buffer_is_one_without():
    block = TransportBlock(20496, 30000, 0.68, 6)
    bits = payload(block, 2)
    llr = bpsk(block.encode(bits), 3.0, np.random.default_rng(3))
    plain, buffered = block.decode(llr, 6), block.decode(llr, 6, soft_buffer=block.new_soft_buffer(2))
    assert np.array_equal(plain.bits, buffered.bits)
    assert np.array_equal(plain.iterations, buffered.iterations)


def test_a_retransmission_may_have_another_allocation():
    first = TransportBlock(6144, 8000, 0.77, 4)
    second = TransportBlock(6144, 5400, 0.77, 6, num_layers=2, rv=2)
    bits, rng = payload(first, 3), np.random.default_rng(4)
    buffer = first.new_soft_buffer(3)
    alone = first.decode(bpsk(first.encode(bits), 0.0, rng), 15, soft_buffer=buffer)
    assert not alone.crc_ok.any()
    decision = second.decode(bpsk(second.encode(bits), 0.0, rng), 15, soft_buffer=buffer)
    assert decision.crc_ok.all()
    assert np.array_equal(decision.bits, bits)


def test_only_failed_blocks_are_sent_again():
    block = TransportBlock(1032, 1600, 0.65, 2)
    bits, rng = payload(block, 30), np.random.default_rng(5)
    buffer = block.new_soft_buffer(30)
    decision = block.decode(bpsk(block.encode(bits), 0.1, rng), 15, soft_buffer=buffer)
    failed = ~decision.crc_ok
    assert 0 < failed.sum() < 30
    kept = buffer.take(failed)
    again = block.decode(bpsk(block.encode(bits[failed], rv=2), 0.1, rng), 15, soft_buffer=kept, rv=2)
    assert again.crc_ok.all()
    assert np.array_equal(again.bits, bits[failed])
    assert (buffer.num_transmissions, kept.num_transmissions) == (1, 2)


def test_limited_buffer():
    block = TransportBlock(6144, 9000, 0.68, 4, tbs_lbrm=7000)
    bits, rng = payload(block, 3), np.random.default_rng(6)
    buffer = block.new_soft_buffer(3)
    for rv in ORDER:
        decision = block.decode(bpsk(block.encode(bits, rv=rv), -2.0, rng), 20, soft_buffer=buffer, rv=rv)
    assert decision.crc_ok.all()
    assert not buffer.llr[..., 3 * 7000 // 2 :].any()


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("base_graph", [1, 2])
def test_rate_matching_of_all_versions_after_the_text_of_the_standard(base_graph, rate):
    """TS 38.212 §5.4.2.1 and §5.4.2.2 step by step, on the buffer index of each bit; combining is its adjoint."""
    rng = np.random.default_rng(int(100 * rate))
    num_info_bits = 1001 if base_graph == 1 else 333
    z = select_lifting_size(base_graph, num_info_bits, num_info_bits)
    code = LdpcCode(base_graph, z, num_info_bits)
    coded = encode(rng.integers(0, 2, (1, num_info_bits)).astype(np.uint8), code)[0]
    ring = (66 if base_graph == 1 else 50) * z
    fillers = set(range(num_info_bits - 2 * z, (22 if base_graph == 1 else 10) * z - 2 * z))
    for q in (2, 6, 8):
        length = q * round(num_info_bits / rate / q)
        for n_cb in (ring, 40 * z + 3):
            for rv, numerator in enumerate((0, 17, 33, 56) if base_graph == 1 else (0, 13, 25, 43)):
                at, picked = numerator * n_cb // ring * z, []
                while len(picked) < length:
                    if at % n_cb not in fillers:
                        picked.append(at % n_cb)
                    at += 1
                picked = np.array(picked).reshape(q, -1).T.ravel()
                matching = RateMatching(code, length, q, rv, n_cb)
                assert np.array_equal(matching.select(coded), coded[picked])
                llr = rng.integers(-9, 10, length).astype(np.float32)
                expected = np.bincount(picked, llr, code.num_coded_bits)
                assert np.array_equal(matching.combine(llr), expected)


@pytest.mark.parametrize("rv", [0, 1, 2, 3])
def test_redundancy_versions_equal_sionna(rv):
    from sionna.phy.fec.ldpc import LDPC5GEncoder

    k, n = 800, 1600
    code = LdpcCode(2, select_lifting_size(2, k, k), k)
    bits = np.random.default_rng(rv).integers(0, 2, (2, k)).astype(np.uint8)
    encoder = LDPC5GEncoder(k, n, num_bits_per_symbol=2)
    theirs = encoder(torch.tensor(bits, dtype=torch.float32), rv=[rv]).numpy().reshape(2, n)
    assert np.array_equal(RateMatching(code, n, 2, rv).select(encode(bits, code)), theirs)


def test_soft_output_of_a_transport_block():
    block = TransportBlock(20496, 30000, 0.68, 6)
    bits = payload(block, 2)
    coded = block.encode(bits)
    llr = bpsk(coded, 4.0, np.random.default_rng(7))
    decision = block.decode(llr, 10, soft=True, num_threads=2)
    assert decision.crc_ok.all()
    assert np.array_equal(np.signbit(decision.coded_llr), coded)
    assert block.decode(llr, 10).coded_llr is None
    # The sequence that scrambles it is up to the caller, the order of the LLRs is that of what was sent.
    assert gold_sequence(1, coded.shape[1]).shape == decision.coded_llr.shape[1:]


def test_stopping_by_crc_keeps_what_is_decoded():
    for size in ((20496, 30000, 0.68, 6), (1032, 3000, 0.35, 2)):
        block = TransportBlock(*size)
        bits = payload(block, 4)
        llr = bpsk(block.encode(bits), 4.0, np.random.default_rng(8))
        plain, stopped = block.decode(llr, 10), block.decode(llr, 10, stop_crc=True, rv=0)
        assert stopped.crc_ok.all()
        assert np.array_equal(plain.bits, stopped.bits)
        assert (stopped.iterations <= plain.iterations).all()


def test_tensors_are_combined_like_arrays():
    for matching in (TransportBlock(20496, 30006, 0.68, 6), TransportBlock(1032, 9000, 0.35, 2, rv=2)):
        llr = np.random.default_rng(9).normal(size=(2, matching.num_coded_bits)).astype(np.float32)
        assert np.array_equal(matching._combine(torch.from_numpy(llr)).numpy(), matching._combine(llr))


@pytest.mark.gpu
def test_gpu_decodes_transport_blocks_as_the_cpu():
    block = TransportBlock(20496, 30006, 0.68, 6)
    llr = bpsk(block.encode(payload(block, 8)), 1.0, np.random.default_rng(10))
    expected = block.decode(llr, 10, soft=True)
    decision = block.decode(torch.from_numpy(llr).cuda(), 10, soft=True)
    for name in ("bits", "crc_ok", "code_block_ok", "iterations", "coded_llr"):
        assert np.array_equal(getattr(decision, name), getattr(expected, name))


def test_bad_input():
    block = TransportBlock(1000, 2000, 0.5, 2)
    buffer = block.new_soft_buffer(2)
    llr = np.ones((2, 2000), np.float32)
    with pytest.raises(InputError, match="tb_size of a retransmission: got 1032; allowed: 1000"):
        TransportBlock(1032, 2000, 0.5, 2).decode(llr, 5, soft_buffer=buffer)
    with pytest.raises(InputError, match="base graph of a retransmission: got 1; allowed: 2"):
        TransportBlock(1000, 2000, 0.9, 2).decode(llr, 5, soft_buffer=buffer)
    with pytest.raises(InputError, match="batch of a retransmission: got 1; allowed: 2"):
        block.decode(llr[:1], 5, soft_buffer=buffer)
    with pytest.raises(InputError, match="rv: got 4"):
        block.decode(llr, 5, soft_buffer=buffer, rv=4)
    llr[1, 7] = np.inf
    with pytest.raises(InputError, match="llr of transport block 1"):
        block.decode(llr, 5, soft_buffer=buffer)
    assert not buffer.llr.any()
    assert buffer.num_transmissions == 0
