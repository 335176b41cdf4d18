"""Links whose allocation is a part of the carrier: whole, with gaps, hopping, interleaved."""

import numpy as np
import pytest
import torch

from ran.errors import InputError, ReceiverRefused
from ran.link import Link, LinkConfig
from ran.link.parts import receive_in_parts
from ran.phy.config import Allocation, Carrier, Pdsch, Pusch, Reserved, Uci
from ran.phy.waveform import Waveform
from receivers import RECEIVERS

TDL = {"name": "tdl", "profile": "A", "delay_spread_ns": 100.0, "max_doppler_hz": 10.0}
CARRIER = Carrier(num_prb=24)
ALLOCATIONS = {
    "inside": Allocation(bwp_start=2, first_prb=4, num_prb=8),
    "gaps": Allocation(prbs=(1, 2, 3, 8, 9, 10, 11, 20)),
    "type 0": Allocation(rbg_bitmap="010011000001"),
    "hops": Allocation(first_prb=1, num_prb=8, hopping="intra-slot", second_hop_prb=14),
}


def link(allocation: Allocation, waveform: Waveform | None = None, **options) -> Link:
    pusch = Pusch(mcs_index=10, allocation=allocation, **options)
    return Link(LinkConfig(carrier=CARRIER, pusch=pusch, channel=TDL, num_rx_ant=2, waveform=waveform))


@pytest.mark.parametrize("name", ALLOCATIONS)
@pytest.mark.parametrize("waveform", [None, Waveform()])
def test_receivers_decode_where_the_allocation_is(name, waveform):
    made = link(ALLOCATIONS[name], waveform)
    receivers = {n: RECEIVERS[n]() for n in ("perfect-csi", "lmmse")}
    for label, receiver in receivers.items():
        made.check_receiver(label, receiver)
    for outcome in made.simulate(receivers, range(16), 30.0, 1, "allocations").values():
        assert outcome.block_errors.sum() == 0


def test_the_channel_is_that_of_the_subcarriers():
    """A grid's channel is the carrier's at the allocation's subcarriers, hop by hop."""
    whole = link(Allocation()).batch(range(2), 10.0, 1, "same").h
    for allocation in ALLOCATIONS.values():
        made = link(allocation)
        h = made.batch(range(2), 10.0, 1, "same").h
        torch.testing.assert_close(h, made.grid.placement.take(whole), rtol=0, atol=1e-6)


def test_time_domain_agrees_with_frequency_domain_on_a_part():
    waveform = Waveform()
    for allocation in (ALLOCATIONS["inside"], ALLOCATIONS["hops"]):
        h = link(allocation, waveform).batch(range(2), 10.0, 1, "same").h
        whole = link(Allocation(), waveform)
        expected = link(allocation).grid.placement.take(whole.batch(range(2), 10.0, 1, "same").h)
        torch.testing.assert_close(h, expected, rtol=0, atol=1e-5)


def test_interleaved_pdsch_is_received_in_the_order_of_frequency():
    pdsch = Pdsch(mcs_index=10, allocation=Allocation(vrb_bundle=2))
    made = Link(LinkConfig(carrier=CARRIER, pdsch=pdsch, channel=TDL, num_rx_ant=2))
    plain = Link(LinkConfig(carrier=CARRIER, pdsch=Pdsch(mcs_index=10), channel=TDL, num_rx_ant=2))
    receiver = RECEIVERS["lmmse"]()
    assert made.simulate({"lmmse": receiver}, range(16), 30.0, 1, "x")["lmmse"].block_errors.sum() == 0
    # the same received carrier gives the same LLRs, in the order of the virtual blocks
    batch = plain.batch(range(1), 10.0, 1, "x")
    observation = made._observation(made._slots[0], made.grid.placement.take(batch.observation.y), 0.1)
    ours = receive_in_parts(receiver, observation, None, made.grid)[0, 0]
    theirs = receiver(plain._observation(plain._slots[0], batch.observation.y, 0.1))[0, 0]
    by_place = np.argsort(made.grid.placement.subcarriers[made.grid.data_mask.numpy()].reshape(12, -1), axis=1)
    ordered = torch.stack([rows[order] for rows, order in zip(ours.view(12, 288, -1), by_place, strict=True)])
    torch.testing.assert_close(ordered.flatten(0, 1), theirs, rtol=0, atol=1e-4)


def test_receivers_that_need_the_whole_slot_or_its_pilots_are_refused():
    made = link(ALLOCATIONS["gaps"])
    turbo = RECEIVERS["lmmse"](detector="mmse-pic")
    with pytest.raises(ReceiverRefused, match="allocation: got one with gaps or hops with 'lmmse'"):
        made.check_receiver("turbo", turbo)
    over_pilots = link(Allocation(reserved=(Reserved(symbols=(2,), num_prb=2),)))
    with pytest.raises(ReceiverRefused, match="reserved: got resource elements of DM-RS"):
        over_pilots.check_receiver("lmmse", RECEIVERS["lmmse"]())


def test_uci_beside_transport_blocks():
    """Links draw UCI, send it beside the blocks, and hand out what was sent; receivers that decode cannot take it."""
    made = link(Allocation(), uci=Uci(num_ack_bits=1, num_csi1_bits=20))
    receiver = RECEIVERS["lmmse"]()
    made.check_receiver("lmmse", receiver)
    assert made.simulate({"lmmse": receiver}, range(16), 30.0, 1, "uci")["lmmse"].block_errors.sum() == 0
    batch = made.batch(range(4), 30.0, 1, "uci")
    found = made.grid.codewords[0].decode_uci(receiver(batch.observation).numpy())
    for kind, bits in batch.uci.items():
        assert np.array_equal(found[kind].bits, bits[:, 0])
    with pytest.raises(ReceiverRefused, match=r"pusch.uci: got some with 'lmmse'"):
        made.check_receiver("turbo", RECEIVERS["lmmse"](detector="mmse-pic"))
    with pytest.raises(InputError, match=r"pusch.uci.has_ulsch: got false in a link"):
        link(Allocation(), uci=Uci(num_csi1_bits=20, has_ulsch=False))
