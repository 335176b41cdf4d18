"""The downlink: closed forms of SVD precoding, the uplink's equal, two codewords with HARQ, purity, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from channels import Tdl
from ran.errors import InputError
from ran.link import Link, LinkConfig, stream
from ran.link.memory import SlotMemory
from ran.link.snr import noise_var
from ran.phy.config import Carrier, Dmrs, Harq, Pdsch, Pusch
from ran.phy.numerology import slot_start_s, symbol_times_s
from ran.phy.precoding import Eigen, Random, RandomTypeOne, Svd, TypeOne
from ran.phy.waveform import Waveform
from receivers import Lmmse, LsLinear, PerfectCsi, Receiver
from receivers.classical.equalizer import lmmse_equalize

TDL = {"name": "tdl", "profile": "A", "delay_spread_ns": 30, "max_doppler_hz": 100}
FLAT = {"name": "rayleigh-block"}
#: 5 layers in two codewords of 2 and 3: 16QAM and QPSK
TWO = {"num_layers": 5, "mcs_index": 12, "mcs_index_2": 5, "dmrs": Dmrs(length=2)}
PRECODINGS = [
    None,
    Svd(name="svd", num_tx_ant=8, csi_delay_slots=4, csi_snr_db=15),
    Eigen(name="eigen", num_tx_ant=8),
    TypeOne(name="type-one", n1=4, csi_delay_slots=4),
    Random(name="random", num_tx_ant=8),
    RandomTypeOne(name="random-type-one", n1=4),
]


def link(precoding=None, channel=TDL, num_prb=6, num_rx_ant=4, harq=None, **pdsch):
    return Link(
        LinkConfig(
            carrier=Carrier(num_prb=num_prb),
            pdsch=Pdsch(**pdsch),
            precoding=precoding,
            num_rx_ant=num_rx_ant,
            channel=channel,
            harq=harq,
        )
    )


def test_svd_of_a_known_channel_reaches_the_closed_form():
    esn0_db, num_layers = 10.0, 3
    tested = link(Svd(name="svd", num_tx_ant=8), FLAT, num_layers=num_layers, num_prb=2)
    batch = tested.batch(range(16), esn0_db, 1, "svd")
    generators = [stream(1, "svd", drop, "channel") for drop in range(16)]
    h = tested.channels[0].response(generators, 4, 8, np.zeros(1), np.zeros(1))[..., 0, 0].numpy()
    singular = np.linalg.svd(h, compute_uv=False)[:, :num_layers]
    # layers share unit power equally, and do not disturb one another
    snr = singular**2 / num_layers / noise_var(esn0_db)
    seen = batch.truth.h[..., 5, :1] * batch.observation.layer_amplitude
    _, noise = lmmse_equalize(batch.observation.y[..., 5, :1], seen, torch.full((16, 1), noise_var(esn0_db)))
    np.testing.assert_allclose(1 / noise[..., 0].numpy(), snr, rtol=1e-3)
    seen = seen[..., 0].numpy()
    gram = seen.conj().swapaxes(1, 2) @ seen / noise_var(esn0_db)
    capacity = np.log2(np.linalg.det(np.eye(num_layers) + gram).real)
    np.testing.assert_allclose(capacity, np.log2(1 + snr).sum(1), rtol=1e-4)


@pytest.mark.parametrize("precoding", PRECODINGS[1:], ids=lambda p: p.name)
def test_precoders_are_those_of_the_drop_and_its_prg(precoding):
    tested = link(precoding, num_layers=2, prg_size=2, num_prb=5)
    batch = tested.batch(range(4), 10.0, 1, "prg")
    generators = [stream(1, "prg", drop, "channel") for drop in range(4)]
    h = tested._channels.response(generators, tested._frequencies, slice(0, 14))
    for prg, part in enumerate((slice(0, 24), slice(24, 48), slice(48, 60))):
        expected = torch.einsum("brpsk,bpl->brlsk", h[..., part], batch.precoder[:, prg])
        torch.testing.assert_close(batch.truth.h[..., part], expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(torch.linalg.matrix_norm(batch.precoder) ** 2, torch.full((4, 3), 2.0))
    assert not torch.equal(batch.precoder[0], batch.precoder[1])
    assert batch.observation.layout.bundle_subcarriers == 24
    # receivers see pilots through the same precoders: without noise the estimates are the channel
    clean = tested.batch(range(2), 60.0, 1, "prg")
    for receiver in (LsLinear(), Lmmse(30, 100)):
        llr = receiver(clean.observation)
        wrong = ((llr < 0) != clean.truth.coded_bits.bool()).double().mean()
        assert wrong < 0.02, receiver.name


def test_one_layer_without_precoding_is_the_pusch():
    shared = {"mcs_index": 10, "n_id": 77, "n_rnti": 9}
    config = {"carrier": Carrier(num_prb=6), "num_rx_ant": 2, "channel": TDL}
    down = Link(LinkConfig(pdsch=Pdsch(**shared), **config))
    up = Link(LinkConfig(pusch=Pusch(limited_buffer=True, **shared), **config))
    a, b = (tested.batch(range(4), 3.0, 1, "same") for tested in (down, up))
    np.testing.assert_array_equal(a.transport_blocks, b.transport_blocks)
    for one, other in ((a.x, b.x), (a.observation.y, b.observation.y), (a.truth.h, b.truth.h)):
        assert torch.equal(one, other)
    found = [tested.simulate({"r": LsLinear()}, range(64), 1.0, 1, "same")["r"] for tested in (down, up)]
    assert 0 < found[0].block_errors.mean() < 1
    np.testing.assert_array_equal(found[0].block_errors, found[1].block_errors)
    np.testing.assert_array_equal(found[0].bit_errors, found[1].bit_errors)


def test_csi_of_an_earlier_slot_belongs_to_the_same_process():
    delay, doppler_hz = 3, 200.0
    channel = {**TDL, "max_doppler_hz": doppler_hz}
    tested = link(Svd(name="svd", num_tx_ant=4, csi_delay_slots=delay, of="centre"), channel, num_rx_ant=1)
    batch = tested.batch(range(3), 10.0, 1, "csi")
    # by hand: the slot's symbols and symbol 7 of the slot 3 earlier, drawn as one process
    now = symbol_times_s(1, 0)
    earlier = slot_start_s(1, -delay) + symbol_times_s(1, -delay)[7]
    generators = [stream(1, "csi", drop, "channel") for drop in range(3)]
    drawn = Tdl("A", 30.0, doppler_hz).response(generators, 1, 4, np.append(now, earlier), tested._frequencies)
    known = drawn[:, 0, :, -1, 36].numpy()
    for drop in range(3):
        w = batch.precoder[drop, 0, :, 0].numpy()
        # matched to the old channel: all of its power, less of the present one's
        assert abs(known[drop] @ w) == pytest.approx(np.linalg.norm(known[drop]), rel=1e-4)
    torch.testing.assert_close(
        batch.truth.h[:, 0, 0, 3], torch.einsum("bpk,bp->bk", drawn[:, 0, :, 3], batch.precoder[:, 0, :, 0])
    )


def test_noise_in_the_csi_costs_what_it_should():
    # one layer over 8 antennas: with CSI of error variance e the gain is 1 + 7 / (1 + e) on average
    gains = {}
    for snr_db in (None, 0.0):
        tested = link(Svd(name="svd", num_tx_ant=8, csi_snr_db=snr_db, of="centre"), FLAT, num_rx_ant=1, num_prb=1)
        h = tested.batch(range(2000), 0.0, 1, "noisy").truth.h
        gains[snr_db] = float((h[..., 0, 0].abs() ** 2).mean())
    # the gain without error is chi-square of mean 8 and variance 8; 5 standard deviations of the mean
    assert gains[None] == pytest.approx(8, abs=5 * np.sqrt(8 / 2000))
    assert gains[0.0] == pytest.approx(1 + 7 / 2, abs=5 * np.sqrt(20 / 2000))


def test_two_codewords_each_decode():
    tested = link(Svd(name="svd", num_tx_ant=8), num_prb=4, num_rx_ant=8, prg_size=2, **TWO)
    assert len(tested.bits_per_block) == 2
    assert tested.bits_per_block[0] != tested.bits_per_block[1]
    receivers = {"genie": PerfectCsi(), "ls": LsLinear(), "lmmse": Lmmse(30, 100)}
    for label, receiver in receivers.items():
        tested.check_receiver(label, receiver)
    good = tested.simulate(receivers, range(16), 35.0, 1, "two")
    for outcome in good.values():
        assert outcome.block_errors.sum() == outcome.bit_errors.sum() == 0
        assert outcome.second_errors.shape == (16, 1)
    # layers come strongest first; here the first codeword has the higher rate and the second the weaker layers
    bad = tested.simulate({"genie": PerfectCsi()}, range(16), -25.0, 1, "two")["genie"]
    np.testing.assert_array_equal(bad.block_errors, 2)
    np.testing.assert_array_equal(bad.second_errors[:, 0], 1)
    # bits beyond those of a layer are 0
    batch = tested.batch(range(2), 5.0, 1, "two")
    llr = tested.receive(LsLinear(), batch)
    assert batch.observation.bits_per_layer == (4, 4, 2, 2, 2)
    assert (llr[:, 2:, :, 2:] == 0).all()
    assert (batch.coded_bits[:, 2:, :, 2:] == 0).all()
    assert (llr[:, :2] != 0).all()


def test_compiled_and_torch_demapping_of_mixed_layers_agree():
    tested = link(num_prb=4, num_rx_ant=8, **TWO)
    batch = tested.batch(range(2), 15.0, 1, "mixed")
    with torch.inference_mode():
        compiled = PerfectCsi()(batch.observation, batch.truth)
    by_torch = PerfectCsi()(batch.observation, type(batch.truth)(batch.h.requires_grad_(), batch.coded_bits)).detach()
    torch.testing.assert_close(compiled, by_torch, rtol=2e-3, atol=2e-2)


def test_harq_of_two_codewords():
    harq = Harq(max_transmissions=3)
    tested = link(Svd(name="svd", num_tx_ant=8), num_prb=4, num_rx_ant=8, harq=harq, **TWO)
    size = tested.batch_drops
    both = {"ls": LsLinear(), "genie": PerfectCsi()}
    whole = tested.simulate(both, range(2 * size), 0.0, 1, "harq")["ls"]
    first = np.column_stack([whole.earlier_errors, whole.block_errors]) - whole.second_errors
    for errors in (first, whole.second_errors):
        # a codeword that arrived has arrived, and retransmissions help
        assert set(np.unique(errors)) <= {0, 1}
        assert (np.diff(errors, axis=1) <= 0).all()
        assert errors[:, 0].mean() > errors[:, 1].mean() + 0.2
    # one may arrive without the other
    assert (first[:, 0] != whole.second_errors[:, 0]).any()
    # neither chunks nor other receivers matter
    parts = [tested.simulate({"ls": LsLinear()}, range(i * size, (i + 1) * size), 0.0, 1, "harq")["ls"] for i in (1, 0)]
    for name in ("block_errors", "bit_errors", "earlier_errors", "second_errors"):
        joined = np.concatenate([getattr(parts[i], name) for i in (1, 0)])
        np.testing.assert_array_equal(getattr(whole, name), joined)


@pytest.mark.parametrize("precoding", PRECODINGS, ids=lambda p: "identity" if p is None else p.name)
def test_a_drop_does_not_depend_on_its_batch(precoding):
    tested = link(precoding, num_layers=2, prg_size=2, harq=Harq())
    for attempt in (0, 1):
        alone = tested.batch([37], 5.0, 1, "s", attempt=attempt)
        among = tested.batch(range(32, 40), 5.0, 1, "s", attempt=attempt)
        assert torch.equal(alone.observation.y[0], among.observation.y[5])
    bare = tested.batch([37], 5.0, 1, "s", with_channel=False, attempt=1)
    assert torch.equal(bare.observation.y, alone.observation.y)


def test_a_slot_in_parts_is_the_same_slot(monkeypatch):
    tested = link(Svd(name="svd", num_tx_ant=8), num_layers=2, prg_size=4, num_prb=10)
    whole = tested.batch(range(4), 5.0, 1, "parts")
    monkeypatch.setattr(SlotMemory, "step_drops", property(lambda self: 3))
    monkeypatch.setattr(SlotMemory, "step_subcarriers", property(lambda self: 34))
    parts = tested.batch(range(4), 5.0, 1, "parts")
    torch.testing.assert_close(parts.observation.y, whole.observation.y, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(parts.truth.h, whole.truth.h, rtol=1e-4, atol=1e-5)


def test_memory_counts_antennas_and_soft_buffers():
    few, many = (link(Svd(name="svd", num_tx_ant=n), num_prb=51)._memory for n in (2, 32))
    assert many.channel_bytes == 16 * few.channel_bytes
    assert many.layer_channel_bytes == few.layer_channel_bytes
    assert many.batch_drops < few.batch_drops
    with_harq = link(harq=Harq(), num_prb=51, mcs_index=20)
    mother = with_harq.grid.codewords[0].transport_block.new_soft_buffer(1).llr
    assert with_harq._memory.num_soft_bits == mother.size
    once, thrice = (with_harq._memory.peak_bytes(False, n) for n in (1, 3))
    assert thrice - once == 2 * 2 * mother.nbytes * with_harq.batch_drops
    with pytest.raises(InputError, match="or simulate the receivers apart"):
        with_harq.check_memory({str(i): LsLinear() for i in range(1000)})


def test_what_does_not_go_together_is_refused():
    class OneModulation(Receiver):
        name = "one"

        def __call__(self, observation, truth=None):
            return LsLinear()(observation)

    with pytest.raises(InputError, match=r"receivers.x: bits per symbol of the layers: got 4, 4, 2, 2, 2; allowed"):
        link(num_rx_ant=8, **TWO).check_receiver("x", OneModulation())
    link(num_rx_ant=8, num_layers=5, dmrs=Dmrs(length=2)).check_receiver("x", OneModulation())
    with pytest.raises(InputError, match=r"pdsch\.rv_2: got 2 with harq"):
        link(num_rx_ant=8, harq=Harq(), rv_2=2, **TWO)
    with pytest.raises(InputError, match="num_tx_ant"):
        link(Svd(name="svd", num_tx_ant=4), {"name": "awgn"})
    with pytest.raises(InputError, match="got a list of 2 channels"):
        link(channel=(TDL, TDL))


def test_the_time_domain_sends_the_precoded_grid():
    config = {
        "carrier": Carrier(num_prb=6),
        "pdsch": Pdsch(num_layers=2, prg_size=2),
        "precoding": Random(name="random", num_tx_ant=4),
        "channel": {**TDL, "max_doppler_hz": 0},
    }
    batch = Link(LinkConfig(waveform=Waveform(), **config)).batch(range(2), 60.0, 1, "time")
    # what the receiver sees is the precoded grid through the response that a genie is told
    expected = (batch.truth.h * batch.x[:, None]).sum(2)
    error = (batch.observation.y - expected).abs().square().mean() / expected.abs().square().mean()
    assert error < 1e-4
    with pytest.raises(InputError, match="precoding: got 'svd' with waveform"):
        Link(LinkConfig(waveform=Waveform(), **{**config, "precoding": Svd(name="svd", num_tx_ant=4)}))
