"""Links whose users differ in MCS: decoding, counts of every user, and users that do not disturb one another."""

import numpy as np
import pytest
import torch
from own_antenna import own_antennas

from ran.errors import InputError
from ran.link import Link, LinkConfig
from ran.link.catalogue import build_receiver
from ran.phy.config import Carrier, Harq, Pusch, Users
from ran.sim.experiment import Experiment
from ran.sim.identity import scenario_id
from ran.sim.outcomes import TaskOutcomes
from ran.sim.segment import Segment
from receivers import Blind, Lmmse, LsLinear, PerfectCsi

TDL = {"name": "tdl", "profile": "A", "delay_spread_ns": 30, "max_doppler_hz": 10}


def link(indices, num_rx_ant=4, channel=TDL, num_prb=4, harq=None, **pusch):
    users = Users(num_users=len(indices), mcs_index=tuple(indices))
    if len(indices) == 1:
        users, pusch = Users(), {**pusch, "mcs_index": indices[0]}
    return Link(
        LinkConfig(
            carrier=Carrier(num_prb=num_prb),
            pusch=Pusch(**pusch),
            users=users,
            num_rx_ant=num_rx_ant,
            channel=channel,
            harq=harq,
        )
    )


def simulate(tested, receiver, drops, esn0_db):
    return tested.simulate({"r": receiver}, range(drops), esn0_db, 1, "unlike")["r"]


RECEIVERS = {
    "lmmse": Lmmse(),
    "ls-linear": LsLinear(),
    "genie": PerfectCsi(),
    "blind": Blind(),
    "exact": Blind(demapper="exact", noise="irc"),
    "reestimation": Blind(num_reestimations=1),
    "turbo": Blind(detector="mmse-pic", data_aided=True),
}


@pytest.mark.parametrize("name", RECEIVERS)
def test_every_user_is_decoded_at_high_snr(name):
    counts = simulate(link((2, 12, 20), num_rx_ant=6), RECEIVERS[name], 8, 30.0)
    assert {n: int(v.sum()) for n, v in counts.own_counters.items()} == {f"block_errors_user_{i}": 0 for i in (1, 2, 3)}
    assert int(counts.bit_errors.sum()) == 0


@pytest.mark.parametrize("options", [{}, {"pi2_bpsk": True}])
def test_every_user_is_decoded_with_transform_precoding(options):
    counts = simulate(link((0, 16), transform_precoding=True, **options), Blind(), 8, 30.0)
    assert int(counts.block_errors.sum()) == 0


def test_users_that_do_not_disturb_one_another_have_the_bler_of_one_alone():
    channels = own_antennas(2)
    drops, indices = 512, (4, 11)
    together = link(indices, 2, channels, num_prb=2)
    for user, esn0_db in ((0, -1.3), (1, 3.9)):
        found = simulate(together, PerfectCsi(), drops, esn0_db).counters[f"block_errors_user_{user + 1}"].mean()
        alone = simulate(link(indices[user : user + 1], 2, channels[user], num_prb=2), PerfectCsi(), drops, esn0_db)
        wanted = alone.block_errors.mean()
        assert 0.05 < wanted < 0.95
        # both shares are of independent drops: four standard deviations of their difference
        assert abs(found - wanted) < 4 * np.sqrt(2 * wanted * (1 - wanted) / drops)


def test_counts_of_users_add_up_with_harq():
    tested = link((2, 22), harq=Harq(max_transmissions=3))
    counts = simulate(tested, Lmmse(), 64, 6.0)
    errors = [counts.counters[f"block_errors_user_{user}"] for user in (1, 2)]
    sent = [counts.counters[f"transmissions_user_{user}"] for user in (1, 2)]
    np.testing.assert_array_equal(sum(errors), counts.block_errors)
    np.testing.assert_array_equal(sum(sent), 2 + counts.earlier_errors.sum(1))
    assert sent[1].sum() > sent[0].sum()
    streams = TaskOutcomes([Segment(0, counts)]).streams(tested.bits_per_block)
    assert [stream.bits for stream in streams] == list(tested.bits_per_block)
    # bits that arrived over the slots that they took, of each user
    delivered = sum(
        (64 - int(e.sum())) * bits / int(s.sum())
        for e, s, bits in zip(errors, sent, tested.bits_per_block, strict=True)
    )
    total = sum(stream.bits_per_s(tested.slot_duration_s) for stream in streams)
    assert total == pytest.approx(delivered / tested.slot_duration_s)


def test_users_alike_are_counted_together():
    assert simulate(link((9, 9)), LsLinear(), 2, 30.0).own_counters == {}


def test_what_the_decoder_knows_of_unlike_users():
    tested = link((2, 12, 20), num_rx_ant=6)
    batch = tested.batch(range(2), 10.0, 1, "turbo")
    sent = 1 - 2.0 * batch.coded_bits.float()
    extrinsic, arrived = batch.observation.decoder(6 * sent)
    assert arrived.all()
    for layer, bits in enumerate(tested.grid.bits_per_layer):
        assert torch.equal(extrinsic[:, layer, :, :bits].sign(), sent[:, layer, :, :bits])
        assert not extrinsic[:, layer, :, bits:].any()


@pytest.mark.parametrize("block", [{"name": "neural"}, {"name": "blind", "detector": "k-best"}])
def test_receivers_of_one_modulation_refuse(block):
    with pytest.raises(InputError, match=r"bits per symbol of the layers: got 2, 4; allowed with .*: one modulation"):
        link((2, 12)).check_receiver("r", build_receiver(block))


def test_the_names_of_the_users_counters_are_theirs():
    class Counting(LsLinear):
        counters = ("block_errors_user_1",)

    with pytest.raises(InputError, match="counters: got 'block_errors_user_1'; allowed: other names"):
        link((2, 12)).check_receiver("r", Counting())


def experiment(pusch, users):
    about = {"name": "unlike", "channel": "rayleigh-block", "receivers": ["lmmse"], "esn0_db": [3.0]}
    return Experiment.model_validate({**about, "pusch": pusch, "users": users})


def test_equal_mcs_written_out_is_the_same_scenario():
    plain = scenario_id(experiment({"mcs_index": 9}, {"num_users": 2}), 3.0)
    assert scenario_id(experiment({}, {"num_users": 2, "mcs_index": [9, 9]}), 3.0) == plain
    assert scenario_id(experiment({}, {"num_users": 2, "mcs_index": [9, 10]}), 3.0) != plain


def test_both_keys_together_are_refused_when_the_experiment_is_read():
    with pytest.raises(ValueError, match=r"pusch.mcs_index: got 9 with users.mcs_index \[9, 10\]"):
        experiment({"mcs_index": 9}, {"num_users": 2, "mcs_index": [9, 10]})
