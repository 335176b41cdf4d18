import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ran.errors import InputError
from ran.phy.mcs import mcs, transport_block_size
from ran.phy.sequences import gold_sequence
from ran.phy.transport_block import TransportBlock


@st.composite
def allocations(draw):
    """MCS entry, REs and layers, over all sizes from one PRB to several code blocks."""
    table = draw(st.sampled_from([1, 2]))
    entry = mcs(table, draw(st.integers(0, 28 if table == 1 else 27)))
    num_re = draw(st.integers(1, 40)) * draw(st.integers(20, 156))
    return entry, num_re, draw(st.integers(1, 4))


def sizes(entry, num_re, num_layers):
    tb_size = transport_block_size(num_re, entry.target_rate, entry.bits_per_symbol, num_layers)
    return tb_size, num_re * entry.bits_per_symbol * num_layers, entry.target_rate, entry.bits_per_symbol, num_layers


@settings(max_examples=30, deadline=None)
@given(allocations(), st.integers(1, 65519), st.integers(0, 1023), st.integers(0, 2**32 - 1))
def test_coded_bits_equal_sionna_and_decode(allocation, n_rnti, n_id, seed):
    from sionna.phy.nr import TBEncoder

    arguments = sizes(*allocation)
    block = TransportBlock(*arguments)
    # Sionna chooses the base graph by the size and rate of a code block with its CRC; TS 38.212 §6.2.2 by the payload
    # and the rate of the MCS. It refuses rates below 1/5 with base graph 2 and below 1/3 with base graph 1.
    k, block_sizes = block.code.num_info_bits, [matching.num_output_bits for matching in block.rate_matchings]
    rate = k / max(block_sizes)
    assume(block.base_graph == (2 if k <= 292 or (k <= 3824 and rate <= 0.67) or rate <= 0.25 else 1))
    assume(rate > {1: 1 / 3, 2: 1 / 5}[block.base_graph] and k / min(block_sizes) < 0.925)
    bits = np.random.default_rng(seed).integers(0, 2, (2, block.tb_size)).astype(np.uint8)
    coded = block.encode(bits)
    encoder = TBEncoder(*arguments, n_rnti=n_rnti, n_id=n_id)
    expected = encoder(torch.tensor(bits, dtype=torch.float32)).numpy()
    # c_init of TS 38.211 §6.3.1.1
    assert np.array_equal(coded ^ gold_sequence(n_rnti * 2**15 + n_id, coded.shape[1]), expected)
    check_decoding(block, bits, coded)


@settings(max_examples=30, deadline=None)
@given(allocations(), st.integers(0, 2**32 - 1))
def test_every_allocation_decodes(allocation, seed):
    block = TransportBlock(*sizes(*allocation))
    bits = np.random.default_rng(seed).integers(0, 2, (2, block.tb_size)).astype(np.uint8)
    check_decoding(block, bits, block.encode(bits))


def check_decoding(block, bits, coded):
    if block.code.num_info_bits > 0.9 * min(matching.num_output_bits for matching in block.rate_matchings):
        # With the CRC on top, small blocks at the highest rates have hardly more coded bits than information bits.
        return
    decision = block.decode(4 * (1 - 2.0 * coded), 20)
    assert np.array_equal(decision.bits, bits)
    assert decision.crc_ok.tolist() == [True, True]
    assert decision.code_block_ok.shape == decision.iterations.shape == (2, block.num_code_blocks)
    assert decision.code_block_ok.all()
    assert (decision.iterations >= 1).all()


def test_a_wrong_block_is_flagged():
    block = TransportBlock(20496, 30000, 0.68, 6)
    assert block.num_code_blocks == 3
    bits = np.random.default_rng(0).integers(0, 2, (1, block.tb_size)).astype(np.uint8)
    llr = 4 * (1 - 2.0 * block.encode(bits))
    size = block.rate_matchings[0].num_output_bits
    llr[0, size : 2 * size] = np.random.default_rng(1).normal(size=size)
    decision = block.decode(llr, 5)
    assert decision.crc_ok.tolist() == [False]
    assert decision.code_block_ok.tolist() == [[True, False, True]]
    assert decision.iterations[0, 1] == 5


@pytest.mark.parametrize("rv", [0, 1, 2, 3])
@pytest.mark.parametrize("tbs_lbrm", [None, 7000])
def test_redundancy_versions_and_limited_buffer(rv, tbs_lbrm):
    block = TransportBlock(6144, 12000, 0.5, 4, rv=rv, tbs_lbrm=tbs_lbrm)
    bits = np.random.default_rng(rv).integers(0, 2, (1, block.tb_size)).astype(np.uint8)
    coded = block.encode(bits)
    last = max(position + length for _, position, length in block.rate_matchings[0].segments)
    assert last <= (block.code.num_mother_bits if tbs_lbrm is None else 3 * tbs_lbrm // 2)
    # Redundancy version 1 starts behind most information bits, so that it alone does not decode at this rate.
    if rv in (0, 3) or tbs_lbrm:
        assert np.array_equal(block.decode(4 * (1 - 2.0 * coded), 20).bits, bits)


def test_base_graph_of_the_standard():
    assert TransportBlock(288, 600, 0.9, 2).base_graph == 2
    assert TransportBlock(3824, 6000, 0.67, 2).base_graph == 2
    assert TransportBlock(3824, 6000, 0.68, 2).base_graph == 1
    assert TransportBlock(3904, 20000, 0.25, 2).base_graph == 2
    assert TransportBlock(3904, 6000, 0.66, 2).base_graph == 1


def test_bad_input():
    with pytest.raises(InputError, match="tb_size"):
        TransportBlock(0, 100, 0.5, 2)
    with pytest.raises(InputError, match="divide evenly into 2 code blocks"):
        TransportBlock(9001, 12000, 0.7, 2)
    with pytest.raises(InputError, match="multiples of bits_per_symbol x num_layers = 12"):
        TransportBlock(1000, 2000, 0.5, 6, 2)
    with pytest.raises(InputError, match="target_rate"):
        TransportBlock(1000, 2000, 1.5, 2)
    with pytest.raises(InputError, match="num_layers"):
        TransportBlock(1000, 2000, 0.5, 2, 5)
    block = TransportBlock(1000, 2000, 0.5, 2)
    with pytest.raises(InputError, match=r"shape of llr: got \(1, 1999\)"):
        block.decode(np.zeros((1, 1999), np.float32), 5)
    with pytest.raises(InputError, match="shape of bits"):
        block.encode(np.zeros(1000, np.uint8))


@pytest.mark.parametrize("rv", [0, 1, 2, 3])
@pytest.mark.parametrize("stop_crc", [False, True])
@pytest.mark.parametrize("precision", ["int8", "float32"])
@pytest.mark.parametrize(
    "block",
    [
        TransportBlock(8456, 12000, 0.7, 4, 1),
        TransportBlock(30216, 48000, 0.6, 4, 1),
        TransportBlock(800, 3000, 0.3, 2),
    ],
    ids=["one-code-block", "several", "base-graph-2"],
)
def test_noise_and_silence_are_never_received(block, rv, stop_crc, precision):
    # the CRC of zeros is zero, and zeros are what comes out where systematic bits were not sent
    noise = np.random.default_rng(rv).standard_normal((10, block.num_coded_bits)).astype(np.float32)
    for llr in (noise, 1e-3 * noise, np.zeros_like(noise)):
        decision = block.decode(llr, 8, precision=precision, stop_crc=stop_crc, rv=rv)
        assert not decision.crc_ok.any()
        assert not decision.code_block_ok.any()


@pytest.mark.parametrize("stop_crc", [False, True])
def test_a_block_of_zeros_that_was_sent_is_received(stop_crc):
    block = TransportBlock(8456, 12000, 0.7, 4, 1)
    sent = np.zeros((4, block.tb_size), np.uint8)
    noise = np.random.default_rng(0).standard_normal((4, block.num_coded_bits)).astype(np.float32)
    decision = block.decode(6 * (1 - 2.0 * block.encode(sent)) + noise, 8, stop_crc=stop_crc)
    assert decision.crc_ok.all()
    assert decision.code_block_ok.all()


def test_silence_in_a_soft_buffer_is_not_received_and_a_transmission_after_it_is():
    block = TransportBlock(8456, 12000, 0.7, 4, 1)
    buffer = block.new_soft_buffer(2)
    silence = np.zeros((2, block.num_coded_bits), np.float32)
    assert not block.decode(silence, 8, soft_buffer=buffer, rv=2).crc_ok.any()
    sent = np.random.default_rng(1).integers(0, 2, (2, block.tb_size), dtype=np.uint8)
    llr = (8 * (1 - 2.0 * block.encode(sent))).astype(np.float32)
    decision = block.decode(llr, 8, soft_buffer=buffer)
    assert decision.crc_ok.all()
    assert np.array_equal(decision.bits, sent)


@pytest.mark.parametrize("bits_per_symbol", [2, 4, 6, 8])
def test_scrambling_on_the_way_is_that_before_and_after(bits_per_symbol, monkeypatch):
    monkeypatch.setattr("ran.phy.transport_block._STEP_BYTES", 2**18)
    # several code blocks, more transport blocks than are decoded at once, of two users
    block = TransportBlock(20496, 30024, 0.68, bits_per_symbol)
    rng = np.random.default_rng(1)
    scrambling = rng.integers(0, 2, (2, block.num_coded_bits), dtype=np.uint8)
    bits = rng.integers(0, 2, (14, block.tb_size), dtype=np.uint8)
    sent = block.encode(bits, scrambling=scrambling)
    assert np.array_equal(sent, block.encode(bits) ^ np.tile(scrambling, (7, 1)))
    llr = (1 - 2.0 * sent + 0.4 * rng.standard_normal(sent.shape)).astype(np.float32)
    found = block.decode(llr, 8, scrambling=scrambling)
    signs = 1 - 2 * np.tile(scrambling, (7, 1)).astype(np.float32)
    one_by_one = [block.decode(row[None], 8) for row in llr * signs]
    assert np.array_equal(found.bits, np.concatenate([one.bits for one in one_by_one]))
    assert np.array_equal(found.iterations, np.concatenate([one.iterations for one in one_by_one]))
    assert np.array_equal(found.crc_ok, np.concatenate([one.crc_ok for one in one_by_one]))
    assert found.crc_ok.sum() > 7
    buffer, other = block.new_soft_buffer(14), block.new_soft_buffer(14)
    block.decode(llr, 8, scrambling=scrambling, soft_buffer=buffer)
    block.decode(llr * signs, 8, soft_buffer=other)
    assert np.array_equal(buffer.llr, other.llr)


@pytest.mark.parametrize("shape", [(1, 29999), (30000,), (0, 30000)])
def test_scrambling_of_another_length_is_refused(shape):
    block = TransportBlock(20496, 30000, 0.68, 6)
    with pytest.raises(
        InputError, match=r"^scrambling: got 'uint8 .*; allowed: uint8 \[num_users, 30000\], contiguous"
    ):
        block.encode(np.zeros((1, 20496), np.uint8), scrambling=np.zeros(shape, np.uint8))


def test_an_llr_that_is_not_finite_is_named_by_its_own_number(monkeypatch):
    monkeypatch.setattr("ran.phy.transport_block._STEP_BYTES", 2**18)
    block = TransportBlock(20496, 30000, 0.68, 6)
    llr = np.ones((12, 30000), np.float32)
    llr[9, 15000] = np.nan
    with pytest.raises(InputError, match=r"^llr of code block 28: "):
        block.decode(llr, 2)
