"""Links whose users have resource blocks of their own: decoding, counts of every user, BLER as of the user alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from own_antenna import own_antennas

from ran.errors import InputError
from ran.link import Link, LinkConfig
from ran.phy.config import Allocation, Carrier, Harq, Pusch, Reserved, Uci, Users
from ran.phy.waveform import Waveform
from ran.sim.experiment import Experiment
from ran.sim.identity import scenario_id
from receivers import Blind, Lmmse, LsLinear, PerfectCsi

TDL = {"name": "tdl", "profile": "A", "delay_spread_ns": 30, "max_doppler_hz": 10}


def prbs(first, count, **more):
    return Allocation(first_prb=first, num_prb=count, **more)


UCI = Uci(num_ack_bits=2, num_csi1_bits=4)
APART, IN_PART = (prbs(0, 4), prbs(5, 3)), (prbs(0, 5), prbs(3, 5))


def link(allocations, mcs=None, num_rx_ant=4, channel=TDL, num_prb=8, harq=None, waveform=None, **pusch):
    users = Users(num_users=len(allocations), allocation=tuple(allocations), mcs_index=mcs)
    return Link(
        LinkConfig(
            carrier=Carrier(num_prb=num_prb),
            pusch=Pusch(**pusch),
            users=users,
            num_rx_ant=num_rx_ant,
            channel=channel,
            harq=harq,
            waveform=waveform,
        )
    )


def simulate(tested, receiver, drops, esn0_db):
    tested.check_receiver("r", receiver)
    return tested.simulate({"r": receiver}, range(drops), esn0_db, 1, "own blocks")["r"]


RECEIVERS = {
    "lmmse": Lmmse(),
    "ls-linear": LsLinear(),
    "genie": PerfectCsi(),
    "blind": Blind(),
    "reestimation": Blind(num_reestimations=1),
    "turbo": Blind(detector="mmse-pic", data_aided=True),
}
LINKS = {
    "apart": (APART, {}),
    "in part": (IN_PART, {}),
    "layers": (IN_PART, {"num_layers": 2}),
    "gaps and hops": (
        (Allocation(prbs=(0, 3, 7)), prbs(1, 2, hopping="intra-slot", second_hop_prb=5)),
        {},
    ),
    "DFT-s-OFDM": (APART, {"transform_precoding": True}),
    "codebook": (IN_PART, {"num_antenna_ports": 2, "tpmi": 1}),
    "UCI": (APART, {"uci": UCI}),
}


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("receiver", ["lmmse", "genie", "blind"])
def test_every_user_is_decoded_at_high_snr(name, receiver):
    allocations, options = LINKS[name]
    counts = simulate(link(allocations, (2, 12), num_rx_ant=6, **options), RECEIVERS[receiver], 4, 30.0)
    assert {n: int(v.sum()) for n, v in counts.own_counters.items()} == {f"block_errors_user_{i}": 0 for i in (1, 2)}
    assert int(counts.bit_errors.sum()) == 0


def test_uci_of_users_that_differ():
    for tested in (link(APART, (2, 12), uci=UCI), link((prbs(0, 8), prbs(0, 8)), (2, 12), uci=UCI)):
        batch = tested.batch(range(4), 25.0, 1, "uci")
        llr = tested.receive(RECEIVERS["lmmse"], batch).numpy()
        parts = zip(tested.grid.codewords, tested.grid.split_layers(llr), strict=True)
        for user, (codeword, own) in enumerate(parts):
            for kind, decision in codeword.decode_uci(own).items():
                np.testing.assert_array_equal(decision.bits, batch.uci[kind][:, user])
        assert {kind: bits.shape for kind, bits in batch.uci.items()} == {"ack": (4, 2, 2), "csi1": (4, 2, 4)}


@pytest.mark.parametrize("receiver", ["ls-linear", "reestimation", "turbo"])
def test_receivers_on_users_apart(receiver):
    # two users share resource blocks and the third has its own
    tested = link((prbs(0, 4), prbs(5, 3), prbs(0, 4)), (2, 12, 9), num_rx_ant=6)
    assert int(simulate(tested, RECEIVERS[receiver], 4, 30.0).block_errors.sum()) == 0


def test_reserved_resource_elements_of_one_user():
    reserved = {"reserved": (Reserved(symbols=(5, 6), num_prb=2),)}
    tested = link((prbs(0, 4, **reserved), prbs(5, 3)), (2, 12))
    assert tested.grid.grids[0].num_data_re == 4 * 144 - 48
    assert int(simulate(tested, RECEIVERS["lmmse"], 4, 30.0).block_errors.sum()) == 0
    over_pilots = {"reserved": (Reserved(symbols=(2,), num_prb=2),)}
    with pytest.raises(InputError, match="reserved: got resource elements of DM-RS"):
        link((prbs(0, 4, **over_pilots), prbs(5, 3))).check_receiver("r", RECEIVERS["lmmse"])


def test_what_decodes_in_turns_refuses_parts_of_codewords():
    with pytest.raises(InputError, match="users that overlap in part with 'blind', which decodes the whole slot"):
        link(IN_PART).check_receiver("r", RECEIVERS["turbo"])


@pytest.mark.parametrize("receiver", ["genie", pytest.param("lmmse", marks=pytest.mark.slow)])
def test_the_bler_of_users_apart_is_that_of_each_alone(receiver):
    drops, mcs = 512, (4, 11)
    together = link(APART, mcs, 2)
    for user, esn0_db in ((0, -2.0), (1, 4.0)):
        found = simulate(together, RECEIVERS[receiver], drops, esn0_db).counters[f"block_errors_user_{user + 1}"].mean()
        alone = Link(
            LinkConfig(
                carrier=Carrier(num_prb=8),
                pusch=Pusch(mcs_index=mcs[user], allocation=APART[user], n_rnti=1 + user),
                num_rx_ant=2,
                channel=TDL,
            )
        )
        wanted = simulate(alone, RECEIVERS[receiver], drops, esn0_db).block_errors.mean()
        assert 0.05 < wanted < 0.95
        # both shares are of independent drops: four standard deviations of their difference
        assert abs(found - wanted) < 4 * np.sqrt(2 * wanted * (1 - wanted) / drops)


@pytest.mark.slow
def test_the_bler_of_users_that_overlap_on_antennas_of_their_own_is_that_of_each_alone():
    channels = own_antennas(2)
    drops, mcs = 512, (4, 11)
    together = link(IN_PART, mcs, 2, channels)
    for user, esn0_db in ((0, -1.3), (1, 4.0)):
        found = simulate(together, PerfectCsi(), drops, esn0_db).counters[f"block_errors_user_{user + 1}"].mean()
        pusch = Pusch(mcs_index=mcs[user], allocation=IN_PART[user], n_rnti=1 + user)
        alone = Link(LinkConfig(carrier=Carrier(num_prb=8), pusch=pusch, num_rx_ant=2, channel=channels[user]))
        wanted = simulate(alone, PerfectCsi(), drops, esn0_db).block_errors.mean()
        assert 0.05 < wanted < 0.95
        assert abs(found - wanted) < 4 * np.sqrt(2 * wanted * (1 - wanted) / drops)


def test_a_user_apart_is_received_as_if_it_were_alone():
    """The same resource elements, alone on their grid: the LLRs are those of the slot, to the last bit."""
    tested = link(APART, (4, 11))
    batch = tested.batch(range(3), 6.0, 1, "alone")
    llr = tested.receive(RECEIVERS["blind"], batch)
    for user, part in enumerate(tested.grid.parts):
        own = tested.grid.grids[user]
        alone = Link(LinkConfig(carrier=Carrier(num_prb=8), pusch=own.pusch, num_rx_ant=4, channel=TDL))
        y = batch.observation.y[..., torch.from_numpy(part.columns)]
        blocks = batch.transport_blocks[:, user : user + 1, : own.block_sizes[0]]
        bits = batch.coded_bits[:, user : user + 1, : own.num_data_re, : own.bits_per_symbol]
        noise = float(batch.observation.noise_var[0])
        single = alone.recorded(y.contiguous(), noise, blocks, bits, None)
        found = alone.receive(RECEIVERS["blind"], single)
        assert torch.equal(llr[:, user : user + 1, : own.num_data_re, : own.bits_per_symbol], found)
        assert not llr[:, user, own.num_data_re :].any()


def test_users_meet_only_where_they_overlap():
    """Overlap costs: with one antenna a genie has more errors with a user in half of its resource blocks."""
    errors = []
    for other in (prbs(4, 4), prbs(2, 4)):
        counts = simulate(link((prbs(0, 4), other), (8, 8), 1), PerfectCsi(), 256, 9.0)
        errors.append(int(counts.counters["block_errors_user_1"].sum()))
    assert errors[0] + 4 * np.sqrt(2 * max(errors)) < errors[1]


def test_counts_of_users_add_up_with_harq():
    tested = link(IN_PART, (2, 16), 2, harq=Harq(max_transmissions=3))
    counts = simulate(tested, Lmmse(), 32, 4.0)
    errors = [counts.counters[f"block_errors_user_{user}"] for user in (1, 2)]
    sent = [counts.counters[f"transmissions_user_{user}"] for user in (1, 2)]
    np.testing.assert_array_equal(sum(errors), counts.block_errors)
    np.testing.assert_array_equal(sum(sent), 2 + counts.earlier_errors.sum(1))
    assert sent[1].sum() > sent[0].sum()


def test_users_in_the_time_domain():
    """Each with a timing and a frequency offset of its own; the other's leaks into neither at these offsets."""
    waveform = Waveform(timing_offset_s=(100e-9, 0.0), cfo_hz=(80.0, -80.0))
    counts = simulate(link(APART, (4, 11), waveform=waveform), Blind(), 4, 25.0)
    assert int(counts.block_errors.sum()) == 0


def test_power_is_spread_over_the_blocks_of_each_user():
    channel = {"name": "umi", "pathloss": True, "carrier_frequency_hz": 3.5e9}
    found = {}
    for name, allocations in {"own": (prbs(0, 2), prbs(4, 4)), "alike": (prbs(0, 2), prbs(0, 2))}.items():
        tested = Link(
            LinkConfig(
                carrier=Carrier(num_prb=8),
                users=Users(num_users=2, allocation=allocations),
                num_rx_ant=2,
                channel=(channel, channel),
                link_budget={"tx_power_dbm": (10.0,)},
            )
        )
        found[name] = tested.received(range(4), 10.0, 1, "power").esn0_db
    np.testing.assert_array_equal(found["own"][:, 0], found["alike"][:, 0])
    # twice the resource blocks, half the power in each
    np.testing.assert_allclose(found["own"][:, 1], found["alike"][:, 1] - 10 * np.log10(2), atol=1e-9)


def experiment(pusch, users):
    about = {"name": "own", "channel": "rayleigh-block", "receivers": ["lmmse"], "esn0_db": [3.0]}
    return Experiment.model_validate({**about, "pusch": pusch, "users": users})


def test_equal_blocks_written_out_are_the_same_scenario():
    def own(*allocations):
        return {"num_users": 2, "allocation": list(allocations)}

    four = {"first_prb": 2, "num_prb": 4}
    plain = scenario_id(experiment({"allocation": four}, {"num_users": 2}), 3.0)
    assert scenario_id(experiment({}, own(four, four)), 3.0) == plain
    assert scenario_id(experiment({}, own(four, {**four, "num_prb": 5})), 3.0) != plain
    assert scenario_id(experiment({}, own({}, {})), 3.0) == scenario_id(experiment({}, {"num_users": 2}), 3.0)


def test_rntis_that_count_up_are_the_same_scenario():
    plain = scenario_id(experiment({"n_rnti": 7}, {"num_users": 2}), 3.0)
    assert scenario_id(experiment({}, {"num_users": 2, "n_rnti": [7, 8]}), 3.0) == plain
    assert scenario_id(experiment({}, {"num_users": 2, "n_rnti": [7, 9]}), 3.0) != plain
    assert scenario_id(experiment({}, {"num_users": 2, "n_rnti": [1, 2]}), 3.0) == scenario_id(
        experiment({}, {"num_users": 2}), 3.0
    )


def test_both_keys_together_are_refused_when_the_experiment_is_read():
    with pytest.raises(ValueError, match=r"pusch.allocation: got one with users.allocation of 2 users; allowed: one"):
        experiment({"allocation": {"num_prb": 4}}, {"num_users": 2, "allocation": [{"num_prb": 2}, {"first_prb": 2}]})


def test_where_all_users_must_have_the_same_blocks(tmp_path: Path):
    from ran.datasets.request import DataRequest
    from ran.datasets.write import write

    own = experiment({}, {"num_users": 2, "allocation": [{"num_prb": 2}, {"first_prb": 2, "num_prb": 2}]})
    with pytest.raises(InputError, match=r"users.allocation: got resource blocks of their own for 2 users; allowed in"):
        write(own, DataRequest(num_drops=2), tmp_path / "slots.h5")
    assert not list(tmp_path.iterdir())
