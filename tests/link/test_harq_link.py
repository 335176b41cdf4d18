"""HARQ: combining gain, one fading process over all slots, retransmissions of failed blocks only, purity."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import j0

from ran.errors import InputError
from ran.link import Link, LinkConfig
from ran.phy.config import Carrier, Harq, Pusch, Users
from ran.phy.pusch import PuschGrid
from receivers import LsLinear, PerfectCsi


def link(harq, channel=None, num_prb=4, num_rx_ant=1, mcs_index=4, num_users=1, slot_number=0):
    return Link(
        LinkConfig(
            carrier=Carrier(num_prb=num_prb, slot_number=slot_number),
            pusch=Pusch(mcs_index=mcs_index),
            users=Users(num_users=num_users),
            num_rx_ant=num_rx_ant,
            channel=channel or {"name": "awgn"},
            harq=harq,
        )
    )


def outcomes(tested, esn0_db, drops=1024, receiver=None, scenario="harq"):
    return tested.simulate({"r": receiver or PerfectCsi()}, range(drops), esn0_db, 1, scenario)["r"]


def test_chase_combining_of_two_is_worth_3_db():
    # LLRs of QPSK add up as those of twice the SNR, so that the block error rates must agree
    esn0_db, drops = -4.0, 2048
    chase = outcomes(link(Harq(max_transmissions=3, rv=(0,))), esn0_db, drops)
    assert chase.earlier_errors[:, 0].mean() > 0.99
    after_two = chase.earlier_errors[:, 1].mean()
    stronger = outcomes(link(None), esn0_db + 10 * np.log10(2), drops, scenario="stronger").block_errors.mean()
    pooled = (after_two + stronger) / 2
    tolerance = 4 * np.sqrt(2 * pooled * (1 - pooled) / drops)
    assert 0.05 < pooled < 0.95
    assert abs(after_two - stronger) < tolerance
    # and a dB more or less would be seen
    for off_db in (-1, 1):
        other = outcomes(link(None), esn0_db + 3 + off_db, drops, scenario="other").block_errors.mean()
        assert abs(after_two - other) > tolerance


@pytest.mark.parametrize("mcs_index", [14, 24])
def test_new_redundancy_beats_repetition(mcs_index):
    esn0_db = {14: 4.0, 24: 10.0}[mcs_index]
    chase = outcomes(link(Harq(rv=(0,)), mcs_index=mcs_index), esn0_db, 256)
    incremental = outcomes(link(Harq(), mcs_index=mcs_index), esn0_db, 256)
    # the first transmissions are the same slots
    np.testing.assert_array_equal(chase.earlier_errors[:, 0], incremental.earlier_errors[:, 0])
    assert incremental.earlier_errors[:, 1].mean() < chase.earlier_errors[:, 1].mean() - 0.2


def test_blocks_that_arrived_stay_arrived():
    found = outcomes(link(Harq()), -3.5)
    after = np.column_stack([found.earlier_errors, found.block_errors])
    assert (np.diff(after, axis=1) <= 0).all()
    assert (found.bit_errors[found.block_errors == 0] == 0).all()


def test_one_transmission_is_no_harq():
    once, without = (outcomes(link(h, num_rx_ant=2), -4.0, 256) for h in (Harq(max_transmissions=1), None))
    np.testing.assert_array_equal(once.block_errors, without.block_errors)
    np.testing.assert_array_equal(once.bit_errors, without.bit_errors)
    assert once.earlier_errors.shape == (256, 0)


def test_all_slots_of_a_drop_belong_to_one_fading_process():
    doppler_hz, round_trip = 100.0, 5
    channel = {"name": "tdl", "profile": "A", "delay_spread_ns": 30, "max_doppler_hz": doppler_hz}
    tested = link(Harq(round_trip_slots=round_trip), channel, num_prb=2)
    drops = range(1500)
    first, second = (tested.batch(drops, 5.0, 1, "process", attempt=a).truth.h[:, 0, 0, 3, 7] for a in (0, 1))
    correlation = complex((second * first.conj()).mean())
    expected = j0(2 * np.pi * doppler_hz * round_trip * 0.5e-3)
    assert abs(correlation - expected) < 4 / np.sqrt(len(drops))
    still = link(Harq(), {**channel, "max_doppler_hz": 0}, num_prb=2)
    a, b = (still.batch(range(4), 5.0, 1, "still", attempt=n) for n in (0, 3))
    assert torch.equal(a.truth.h, b.truth.h)
    assert not torch.equal(a.observation.y, b.observation.y)
    np.testing.assert_array_equal(a.transport_blocks, b.transport_blocks)


def test_retransmissions_have_the_pilots_of_their_own_slot():
    tested = link(Harq(round_trip_slots=8), slot_number=15)
    seen = tested.batch(range(1), 5.0, 1, "pilots", attempt=1).observation.pilots
    wanted = PuschGrid.build(Carrier(num_prb=4, slot_number=3), Pusch(mcs_index=4), Users()).pilots
    assert torch.equal(seen, wanted)


@pytest.mark.parametrize("num_users", [1, 2])
def test_outcomes_depend_neither_on_chunks_nor_on_other_receivers(num_users):
    channel = {"name": "tdl", "profile": "TDLC300", "max_doppler_hz": 100}
    tested = link(Harq(), channel, num_rx_ant=2, num_users=num_users)
    size = tested.batch_drops
    both = {"ls": LsLinear(), "genie": PerfectCsi()}
    whole = tested.simulate(both, range(2 * size), 1.0, 1, "s")["ls"]
    parts = [tested.simulate({"ls": LsLinear()}, range(i * size, (i + 1) * size), 1.0, 1, "s")["ls"] for i in (0, 1)]
    assert 0 < whole.earlier_errors[:, 0].mean() < num_users
    for name in ("block_errors", "bit_errors", "earlier_errors"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(getattr(whole, name), joined)


def test_what_cannot_be_combined_is_refused():
    carrier = Carrier(num_prb=4)
    first, other = (PuschGrid.build(carrier, Pusch(mcs_index=i), Users()).codeword for i in (4, 5))
    buffer = first.transport_block.new_soft_buffer(1)
    llr = np.ones((1, 1, other.num_data_re, 2), np.float32)
    with pytest.raises(InputError, match=r"tb_size of a retransmission: got .*; allowed: \d+, as in the first"):
        other.decode(llr, 5, "int8", buffer)
    with pytest.raises(InputError, match=r"pusch\.rv: got 2 with harq"):
        Link(LinkConfig(pusch=Pusch(rv=2), channel={"name": "awgn"}, harq=Harq()))
    with pytest.raises(ValueError, match="start with 0"):
        Harq(rv=(2, 0))
