"""What holds for every registered receiver."""

import inspect
from dataclasses import replace

import pytest
import torch

from ran.link import Link, LinkConfig
from ran.phy.config import Carrier, Dmrs, Pusch, Users
from receivers import RECEIVERS, Blind, Lmmse, LsLinear, PerfectCsi, Receiver

CLASSICAL = [cls.name for cls in (Blind, Lmmse, LsLinear, PerfectCsi)]
DETECTORS = ["lmmse", "ep", "ml", "k-best", "mmse-pic"]


def slots(num_users=1, layers=1, batch=3, esn0_db=12.0, position=1, mcs=14):
    config = LinkConfig(
        carrier=Carrier(num_prb=6),
        pusch=Pusch(num_layers=layers, mcs_index=mcs, dmrs=Dmrs(additional_position=position)),
        users=Users(num_users=num_users),
        channel={"name": "tdl", "profile": "B", "delay_spread_ns": 100, "max_doppler_hz": 100},
    )
    link = Link(config)
    return link, link.batch(range(batch), esn0_db, seed=4, scenario_id="contract")


def build() -> list:
    """Every receiver with its default options, and the classical ones with every detector."""
    made = [pytest.param(name, {}, id=name) for name in sorted(RECEIVERS)]
    made.append(pytest.param("arbitrated", {"rule": "residual"}, id="arbitrated-residual"))
    return made + [
        pytest.param(name, {"detector": detector, "demapper": demapper}, id=f"{name}-{detector}-{demapper}")
        for name in CLASSICAL
        for detector in DETECTORS
        for demapper in ("maxlog", "exact")
    ]


def receive(receiver, batch, observation=None):
    return receiver(observation or batch.observation, batch.truth if receiver.needs_truth else None)


@pytest.mark.parametrize(("name", "options"), build())
def test_llrs_of_the_right_shape_and_sign(name, options):
    receiver: Receiver = RECEIVERS[name](**options)
    for num_users, layers in ((1, 1), (1, 2), (2, 1)):
        _, batch = slots(num_users, layers)
        receiver.check(4, num_users * layers, 4)
        llr = receive(receiver, batch)
        assert llr.shape == batch.coded_bits.shape
        assert llr.dtype == torch.float32
        assert torch.isfinite(llr).all()
        wrong = (llr < 0) != batch.coded_bits.bool()
        assert float(wrong.float().mean()) < 0.12


@pytest.mark.parametrize(("name", "options"), build())
def test_slots_of_a_batch_do_not_meet(name, options):
    receiver: Receiver = RECEIVERS[name](**options)
    _, batch = slots()
    whole = receive(receiver, batch)
    alone = receive(
        receiver, replace(batch, h=batch.h[1:2], coded_bits=batch.coded_bits[1:2]), batch.observation.part(1, 2)
    )
    torch.testing.assert_close(alone, whole[1:2], rtol=2e-2, atol=2e-2)
    chosen = batch.observation.select(torch.tensor([2, 0]))
    picked = receive(receiver, replace(batch, h=batch.h[[2, 0]], coded_bits=batch.coded_bits[[2, 0]]), chosen)
    torch.testing.assert_close(picked, whole[[2, 0]], rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("name", sorted(RECEIVERS))
def test_options_are_attributes_with_hints(name):
    signature = inspect.signature(RECEIVERS[name])
    receiver = RECEIVERS[name]()
    for option, parameter in signature.parameters.items():
        assert parameter.annotation is not inspect.Parameter.empty, option
        if parameter.default is not inspect.Parameter.empty:
            assert getattr(receiver, option) == parameter.default, option


@pytest.mark.parametrize(("name", "options"), build())
def test_a_decoder_is_only_used_where_that_is_said(name, options):
    receiver: Receiver = RECEIVERS[name](**options)
    _, batch = slots(layers=1)
    without = replace(batch.observation, decoder=None)
    if receiver.uses_decoder:
        with pytest.raises(ValueError, match="decoder: got None; allowed"):
            receive(receiver, batch, without)
    else:
        assert torch.equal(receive(receiver, batch, without), receive(receiver, batch))


OTHER_TYPES = {
    "y": torch.complex128,
    "pilots": torch.complex128,
    "data_mask": torch.uint8,
    "noise_var": torch.float64,
    "symbol_times_s": torch.float32,
}
WITH_ROUNDS = [
    pytest.param("blind", {"noise": "irc"}, id="blind-irc"),
    pytest.param("blind", {"num_reestimations": 2, "track_phase": True, "amplifier_order": 3}, id="blind-rounds"),
    pytest.param("blind", {"detector": "mmse-pic", "data_aided": True}, id="blind-data-aided"),
]


@pytest.mark.parametrize(("name", "options"), [*build()[: len(RECEIVERS)], *WITH_ROUNDS])
def test_tensors_of_other_types_are_taken(name, options):
    receiver = RECEIVERS[name](**options)
    _, batch = slots(num_users=2)
    seen = batch.observation
    expected = receive(receiver, batch)
    for field, dtype in OTHER_TYPES.items():
        got = receive(receiver, batch, replace(seen, **{field: getattr(seen, field).to(dtype)}))
        # symbol times of single precision are not the same
        torch.testing.assert_close(got, expected, rtol=1e-2, atol=1e-2 if field == "symbol_times_s" else 0)
    got = receive(receiver, batch, replace(seen, layer_to_user=torch.tensor(seen.layer_to_user)))
    torch.testing.assert_close(got, expected, rtol=0, atol=0)
