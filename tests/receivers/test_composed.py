"""Receivers composed of parts: `blind` is one of them by its options, and what they take is declared by the parts."""

from dataclasses import replace

import pytest
import torch

from ran.link import Link, LinkConfig
from receivers import Blind, Composed, Lmmse, LsLinear, PerfectCsi, Receiver, Supports
from receivers.classical.blind_estimate import BlindEstimator
from receivers.classical.detection import Detection
from receivers.classical.refinement import (
    AntennaCovariance,
    AsEstimated,
    ImpairedReestimation,
    Reestimation,
    WhiteNoise,
)


def slots(num_users):
    link = Link(
        LinkConfig.model_validate(
            {
                "carrier": {"num_prb": 4},
                "pusch": {"mcs_index": 10},
                "users": {"num_users": num_users},
                "num_rx_ant": 4,
                "channel": {"name": "tdl", "profile": "A", "delay_spread_ns": 100, "max_doppler_hz": 50},
            }
        )
    )
    return link, link.batch(range(2), 4.0, 3, "composed")


PAIRS = {
    "as it is": ({}, {}),
    "reestimation": ({"num_reestimations": 2, "demapper": "exact"}, {
        "refinement": Reestimation(2, "exact"), "detection": Detection("ep", "exact")}),
    "impaired": ({"num_reestimations": 2, "track_phase": True, "amplifier_order": 3}, {
        "refinement": ImpairedReestimation(2, True, 3)}),
    "interference": ({"noise": "irc", "irc_num_prb": 2, "detector": "lmmse"}, {
        "noise": AntennaCovariance(2), "detection": Detection("lmmse")}),
    "with the decoder": ({"detector": "mmse-pic", "data_aided": True}, {
        "detection": Detection("mmse-pic"), "data_aided": True}),
    "another estimator": ({"max_cfo_hz": 0.0, "num_iterations": 1}, {"estimator": BlindEstimator(0.0, 1)}),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_blind_is_a_composition(name):
    options, parts = PAIRS[name]
    blind, composed = Blind(**options), Composed(**parts)
    _, batch = slots(num_users=2)
    assert torch.equal(blind(batch.observation), composed(batch.observation))
    assert blind.supports == composed.supports
    assert blind.uses_decoder == composed.uses_decoder


def test_a_part_of_ones_own_takes_its_place():
    class Louder(AsEstimated):
        """Takes the noise to be twice as strong."""

        def __call__(self, first):
            return replace(first, estimate=replace(first.estimate, noise_var=2 * first.estimate.noise_var))

    _, batch = slots(num_users=1)
    before = Composed(detection=Detection("lmmse"))(batch.observation)
    after = Composed(refinement=Louder(), detection=Detection("lmmse"))(batch.observation)
    assert torch.equal(before < 0, after < 0)  # of one layer the noise scales LLRs, up to the error of the estimate
    assert float(after.abs().mean()) < 0.8 * float(before.abs().mean())


def test_what_parts_take_together():
    every = Supports.all()
    assert Composed().supports == Composed(detection=Detection("lmmse")).supports == every
    assert Composed(detection=Detection("k-best")).supports == replace(every, mixed_modulations=False)
    assert Composed(noise=AntennaCovariance()).supports == replace(every, no_pilots=False)
    assert Composed(refinement=ImpairedReestimation(1)).supports == Supports()
    assert Lmmse().supports == LsLinear().supports == replace(every, no_pilots=False)
    assert PerfectCsi().supports == every


def test_parts_that_do_not_go_together():
    with pytest.raises(ValueError, match="refinement: got Reestimation with AntennaCovariance; allowed: AsEstimated"):
        Composed(refinement=Reestimation(1), noise=AntennaCovariance())
    with pytest.raises(ValueError, match="data_aided: got true with detector 'ep'"):
        Composed(noise=WhiteNoise(), data_aided=True)


def test_one_check_asks_for_everything():
    _, batch = slots(num_users=1)

    class Plain(Receiver):
        name = "plain"

        def __call__(self, observation, truth=None):
            raise NotImplementedError

    class Older(Plain):
        """With a flag of its own, as before there was `supports`."""

        takes_constellations = True

    points = torch.ones(2**batch.observation.bits_per_symbol, dtype=torch.complex64)
    with pytest.raises(ValueError, match="constellation: got one with 'plain'"):
        Plain().check_on(replace(batch.observation, constellation=points))
    Older().check_on(replace(batch.observation, constellation=points))
    two = replace(batch.observation, pilots=batch.observation.pilots.expand(2, -1, -1), bits_per_layer=(2, 4))
    with pytest.raises(ValueError, match="bits per symbol of the layers: got 2, 4; allowed with 'plain'"):
        Plain().check_on(two)
