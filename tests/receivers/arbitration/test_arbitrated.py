"""`arbitrated`: which member's LLRs of a slot are taken, and what that costs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ran.config.validation import validate
from ran.errors import InputError
from ran.link import Link, LinkConfig
from ran.link.catalogue import build_receiver, receiver_fingerprint, with_defaults
from ran.phy.config import Carrier, Dmrs, Harq, Pusch, Users
from ran.sim.experiment import ReceiverBlock
from ran.sim.identity import receiver_identity
from ran.sim.loading import absolute_files
from receivers import Blind, LsLinear, NeuralReceiver
from receivers.arbitration.arbitrated import MEAN, Arbitrated, best_explained, information
from receivers.interface import Receiver


def link_of(num_users=1, position=1, doppler_hz=100, mcs=14, harq=None):
    return Link(
        LinkConfig(
            carrier=Carrier(num_prb=6),
            pusch=Pusch(mcs_index=mcs, dmrs=Dmrs(additional_position=position)),
            users=Users(num_users=num_users),
            channel={"name": "tdl", "profile": "B", "delay_spread_ns": 100, "max_doppler_hz": doppler_hz},
            harq=harq,
        )
    )


def failures(link, receiver, batch):
    """Which users' blocks are in error, bool [batch, users]."""
    with torch.inference_mode():
        llr = link.receive(receiver, batch).numpy()
    decision = link.grid.decode_blocks(llr, link.decoder.num_iterations, link.decoder.precision)[0]
    return (decision.bits.reshape(batch.transport_blocks.shape) != batch.transport_blocks).any(-1)


class Noise(Receiver):
    """Knows nothing and is sure of it."""

    name = "noise"

    def __call__(self, observation, truth=None):
        shape = len(observation.y), observation.num_layers, observation.num_data_re, observation.bits_per_symbol
        generator = torch.Generator().manual_seed(7)
        return 60 * torch.randn(shape, generator=generator)


CASES = [
    pytest.param({}, 2.5, id="two-pilots"),
    pytest.param({"position": 0, "doppler_hz": 300}, 5.0, id="one-pilot"),
    pytest.param({"num_users": 2}, 6.5, id="two-users"),
]


@pytest.mark.parametrize(("config", "esn0_db"), CASES)
def test_no_block_is_lost_that_a_member_receives(config, esn0_db):
    link = link_of(**config)
    batch = link.batch(range(48), esn0_db, seed=1, scenario_id="arbitrated", with_channel=False)
    members = NeuralReceiver("pusch-hybrid"), Blind()
    network, classical = (failures(link, member, batch) for member in members)
    assert network.sum() + classical.sum() > 4
    found = failures(link, Arbitrated(members), batch)
    assert not (found & ~(network & classical)).any()


@pytest.mark.parametrize(("config", "esn0_db"), CASES)
def test_decisions_alone_tell_nearly_as_much(config, esn0_db):
    link = link_of(**config)
    batch = link.batch(range(48), esn0_db, seed=1, scenario_id="arbitrated", with_channel=False)
    members = NeuralReceiver("pusch-hybrid"), Blind()
    lost = [int(failures(link, member, batch).sum()) for member in members]
    receiver = Arbitrated(members, rule="residual")
    assert not receiver.uses_decoder
    assert int(failures(link, receiver, batch).sum()) <= min(lost) + 1
    sure_of_nothing = Arbitrated((Noise(), members[1]), rule="residual").arbitrate(batch.observation)
    assert (sure_of_nothing.chosen == 1).all()


def test_the_last_member_runs_on_all_slots_and_the_others_on_what_it_leaves():
    link = link_of(num_users=2)
    batch = link.batch(range(48), 6.5, seed=1, scenario_id="arbitrated", with_channel=False)
    classical = Blind()
    lost = torch.from_numpy(failures(link, classical, batch))
    with torch.inference_mode():
        found = Arbitrated((NeuralReceiver(), classical)).arbitrate(batch.observation)
        own = classical(batch.observation)
    assert 0 < int(lost.any(1).sum()) < 48
    assert found.ran[1].all()
    assert torch.equal(found.ran[0], lost.any(1))
    # a user whose block arrived keeps its LLRs whatever becomes of the other
    assert (found.chosen[~lost] == 1).all()
    assert torch.equal(found.llr[~lost], own[~lost])
    assert int((~lost & lost.any(1, keepdim=True)).sum()) > 0


def test_each_user_has_the_member_that_received_it():
    link = link_of(num_users=2)
    batch = link.batch(range(4), 30.0, seed=1, scenario_id="arbitrated", with_channel=False)
    good = Blind()(batch.observation)

    class First(Receiver):
        """The first user alone."""

        name = "first"
        user = 0

        def __call__(self, observation, truth=None):
            llr = 1e-3 * torch.ones_like(good[: len(observation.y)])
            llr[:, self.user] = good[: len(observation.y), self.user]
            return llr

    class Second(First):
        user = 1

    found = Arbitrated((First(), Second())).arbitrate(batch.observation)
    assert found.chosen.tolist() == [[0, 1]] * 4
    assert torch.equal(found.llr, good)


def test_llrs_that_explain_the_grid_alike_are_averaged():
    link = link_of()
    batch = link.batch(range(4), 30.0, seed=1, scenario_id="arbitrated", with_channel=False)
    llr = Blind()(batch.observation)
    mean, place = best_explained(batch.observation, [llr, 3 * llr, Noise()(batch.observation)])
    torch.testing.assert_close(mean, 2 * llr)
    assert place.tolist() == [MEAN] * 4
    best, place = best_explained(batch.observation, [Noise()(batch.observation), llr])
    assert torch.equal(best, llr)
    assert place.tolist() == [1] * 4


def test_a_sure_slot_needs_no_other_member():
    link = link_of()
    weak = link.batch(range(16), 0.0, seed=1, scenario_id="arbitrated", with_channel=False)
    strong = link.batch(range(16), 25.0, seed=1, scenario_id="arbitrated", with_channel=False)
    receiver = Arbitrated((NeuralReceiver(), Blind()), rule="residual", least_information=0.75)
    assert receiver.arbitrate(weak.observation).ran[0].all()
    assert not receiver.arbitrate(strong.observation).ran[0].any()


def test_information_of_a_binary_symmetric_channel():
    batch = link_of().batch(range(2), 10.0, seed=1, scenario_id="arbitrated", with_channel=False)
    wrong = 0.11
    capacity = 1 + wrong * np.log2(wrong) + (1 - wrong) * np.log2(1 - wrong)
    llr = torch.full(tuple(batch.coded_bits.shape), float(np.log((1 - wrong) / wrong)))
    torch.testing.assert_close(information(batch.observation, llr), torch.full((2, 1), float(capacity)))
    assert not information(batch.observation, 0 * llr).any()
    # the second layer has QPSK beside 16QAM, and is sure of it
    mixed = replace(
        batch.observation,
        pilots=batch.observation.pilots.expand(2, -1, -1),
        layer_to_user=(0, 1),
        bits_per_layer=(4, 2),
    )
    both = llr.expand(-1, 2, -1, -1).clone()
    both[:, 1] = torch.tensor([1e3, -1e3, 0.0, 0.0])
    torch.testing.assert_close(information(mixed, both)[0], torch.tensor([float(capacity), 1.0]))


@pytest.mark.parametrize("rule", ["crc", "residual"])
def test_the_level_changes_no_choice(rule):
    link = link_of(num_users=2)
    batch = link.batch(range(16), 6.5, seed=1, scenario_id="arbitrated", with_channel=False)
    receiver, seen = Arbitrated(("neural", "blind"), rule=rule), batch.observation
    expected = receiver.arbitrate(seen)
    for exponent in (-30, 30):
        factor = 2.0**exponent
        scaled = receiver.arbitrate(replace(seen, y=seen.y * factor, noise_var=seen.noise_var * factor**2))
        assert torch.equal(scaled.llr, expected.llr)
        assert torch.equal(scaled.chosen, expected.chosen)
    factor = 10**4.5
    scaled = receiver.arbitrate(replace(seen, y=seen.y * factor, noise_var=seen.noise_var * factor**2))
    assert torch.equal(scaled.ran, expected.ran)


def test_counts_do_not_depend_on_how_a_run_is_cut_up():
    link = link_of()
    receivers = {"arbitrated": Arbitrated(("neural", "blind"))}
    size = link.batch_drops
    whole = link.simulate(receivers, range(size + 3), 3.0, 1, "cut")["arbitrated"]
    first = link.simulate(receivers, range(size), 3.0, 1, "cut")["arbitrated"]
    rest = link.simulate(receivers, range(size, size + 3), 3.0, 1, "cut")["arbitrated"]
    assert 0 < whole.block_errors.sum() < size
    for name in ("block_errors", "bit_errors"):
        assert np.array_equal(getattr(whole, name), np.concatenate([getattr(first, name), getattr(rest, name)]))


def test_with_harq_the_soft_buffer_holds_what_was_chosen():
    # LLRs of the one member that says nothing would leave the buffer empty: blocks arrive by the others'
    link = link_of(harq=Harq(max_transmissions=2))
    classical = Blind()
    blocks = range(link.batch_drops)
    lone = link.simulate({"x": classical}, blocks, 0.0, 1, "harq")["x"]
    found = link.simulate({"x": Arbitrated((Noise(), classical))}, blocks, 0.0, 1, "harq")["x"]
    assert 0 < lone.block_errors.sum() < lone.earlier_errors.sum()
    assert np.array_equal(found.earlier_errors, lone.earlier_errors)
    assert np.array_equal(found.block_errors, lone.block_errors)


def test_nothing_arrives_where_nothing_was_received():
    batch = link_of().batch(range(2), 10.0, seed=1, scenario_id="arbitrated", with_channel=False)
    decoder = batch.observation.decoder
    assert decoder is not None
    assert not decoder.arrived_layers(torch.zeros(batch.coded_bits.shape)).any()
    sent = 8 * (1 - 2.0 * batch.coded_bits.float())
    assert decoder.arrived_layers(sent).all()


BAD = [
    ({"members": ["neural", {"name": "lmms"}]}, "members[1].name: got 'lmms'; allowed: .*did you mean 'lmmse'"),
    ({"members": ["blind"]}, "members: got 1 of them; allowed: a list of two or more receivers"),
    ({"members": "blind"}, "members: got 'blind'; allowed: a list of receivers"),
    ({"members": ["blind", {"name": "blind", "detectr": "ep"}]}, "members[1].detectr: unknown option"),
    ({"members": ["perfect-csi", "blind"]}, "members: got 'perfect-csi', which needs the truth"),
    ({"rule": "best"}, "rule: got 'best'; allowed: 'crc' or 'residual'"),
    ({"least_information": 0.5}, "least_information: got 0.5 with rule 'crc'; allowed: 1"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_options_are_said_in_one_line(options, message):
    with pytest.raises(InputError, match=message.replace("[", r"\[")) as caught:
        build_receiver({"name": "arbitrated", **options})
    assert "\n" not in str(caught.value)


def test_a_member_that_cannot_take_a_slot_is_named():
    with pytest.raises(ValueError, match=r"members\[0\]: weights: 'pusch-hybrid' does not know 1024QAM"):
        Arbitrated(({"name": "neural", "weights": "pusch-hybrid"}, "blind")).check(10, 1, 4)


def test_members_options_and_weights_are_part_of_the_identity(tmp_path):
    short = {"name": "arbitrated", "members": ["neural", "blind"]}
    long = {
        "name": "arbitrated",
        "rule": "crc",
        "members": [{"name": "neural", "weights": "pusch-realtime"}, {"name": "blind", "detector": "ep"}],
    }
    identities = []
    for block in (short, long, {"name": "arbitrated"}):
        assert with_defaults(block)["members"][1]["max_cfo_hz"] == 200
        fingerprint = receiver_fingerprint(block, build_receiver(block))
        identities.append(receiver_identity(validate(ReceiverBlock, block, "receivers"), fingerprint))
    assert identities[0] == identities[1] == identities[2]
    other = {"name": "arbitrated", "members": [{"name": "neural", "weights": "pusch-hybrid"}, "blind"]}
    assert receiver_fingerprint(other, build_receiver(other)) != identities[0]["fingerprint"]
    # a user's own receiver takes part with its source; where its file is does not matter
    (tmp_path / "mine.py").write_text(
        "from receivers import LsLinear\n\n\nclass Mine(LsLinear):\n    '''Mine.'''\n\n    name = 'mine'\n"
    )
    own = {"name": "arbitrated", "members": ["mine.py:Mine", {"name": "blind"}]}
    receiver = build_receiver(own, tmp_path)
    assert isinstance(receiver.receivers[0], LsLinear)
    before = receiver_fingerprint(own, receiver, tmp_path)
    absolute = absolute_files(own, tmp_path)
    assert Path(absolute["members"][0]).is_absolute()
    (tmp_path / "mine.py").write_text((tmp_path / "mine.py").read_text() + "# changed\n")
    assert receiver_fingerprint(own, receiver, tmp_path) != before
