"""The neural receiver with soft pilots on a coarse grid: what holds untrained, and what holds for any weights."""

import math
from dataclasses import replace
from functools import partial

import neural_slots
import pytest
import torch
from neural_slots import KINDS, early, reordered, stronger

from receivers import Blind
from receivers.neural.soft_pilots import SoftPilotReceiver

OPTIONS = {"num_channels": 8, "dilations": [1, 2], "num_passes": 2}
slots = partial(neural_slots.slots, "soft-pilots", num_prb=3)


def random_model(std=0.1, **options) -> SoftPilotReceiver:
    torch.manual_seed(5)
    model = SoftPilotReceiver(**{**OPTIONS, "reestimate": [1], **options}).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return model


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("before", "reestimate"), [(0, []), (1, [1])])
def test_untrained_model_is_the_blind_receiver(kind, before, reestimate):
    observation = slots(**KINDS[kind]).observation
    model = SoftPilotReceiver(**OPTIONS, num_reestimations=before, reestimate=reestimate)
    with torch.no_grad():
        outputs = model(observation)
    assert len(outputs) == 2
    for number, (llr, h_hat) in enumerate(outputs):
        expected = Blind(num_reestimations=before + sum(i <= number for i in reestimate))(observation)
        torch.testing.assert_close(llr, expected, rtol=1e-4, atol=1e-3)
        assert h_hat.shape == (3, observation.y.shape[1], observation.num_layers, *observation.data_mask.shape)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("num_prb", "mcs", "table"), [(1, 4, 1), (16, 22, 2)])
def test_any_size_pattern_and_modulation(kind, num_prb, mcs, table):
    observation = slots(num_prb=num_prb, mcs=mcs, table=table, batch=2, **KINDS[kind]).observation
    with torch.no_grad():
        llr = random_model()(observation)[-1][0]
    assert llr.shape == (2, observation.num_layers, observation.num_data_re, observation.bits_per_symbol)
    assert torch.isfinite(llr).all()


def test_the_order_of_antennas_and_of_layers_does_not_matter():
    observation = slots(users=3).observation
    layers = [2, 0, 1]
    moved = reordered(observation, [2, 0, 3, 1], layers)
    model = random_model()
    with torch.no_grad():
        expected, found = model(observation)[-1][0][:, layers], model(moved)[-1][0]
    assert float((expected - found).abs().mean()) < 1e-2 * float(expected.abs().mean())


def test_the_level_of_the_received_grid_does_not_matter():
    observation = slots(users=2).observation
    model = random_model()
    with torch.no_grad():
        expected, found = model(observation)[-1][0], model(stronger(observation))[-1][0]
    assert float((expected - found).abs().mean()) < 1e-2 * float(expected.abs().mean())


def test_a_delay_does_not_matter():
    # what the networks see has the mean delay taken off; the rest of the difference is the first estimate's grid
    batch = slots(num_prb=8, esn0_db=6.0, batch=16)
    model = random_model(reestimate=[])
    target = 1.0 - batch.coded_bits.float()
    with torch.no_grad():
        losses = [
            torch.nn.functional.binary_cross_entropy_with_logits(model(early(batch.observation, d))[-1][0], target)
            for d in (0.0, 300e-9, -300e-9)
        ]
    assert max(losses) - min(losses) < 0.1 * float(losses[0])


def test_rounding_does_not_choose_the_sign_of_half_a_turn():
    """A channel of the one delay that turns by half a turn over a node: outputs hold whatever the last digits are."""
    observation = slots().observation
    model = random_model(reestimate=[])
    k = torch.arange(observation.y.shape[-1])
    outputs = []
    for offset in (-1e-6, 1e-6):
        turn = torch.polar(torch.ones(len(k)), (math.pi + offset) * k / model.node_subcarriers)
        h = turn.expand(*observation.y.shape[:2], observation.num_layers, *observation.data_mask.shape)
        err_var = torch.full(h.shape[:1] + h.shape[2:], 0.01)
        with torch.no_grad():
            outputs.append(model.refined(model.first_state(observation, h, err_var))[-1].llr)
    assert float((outputs[0] - outputs[1]).abs().max()) < 1e-2 * float(outputs[0].abs().max())


def test_slots_of_a_batch_do_not_meet():
    observation = slots(users=2, batch=4).observation
    model = random_model()
    with torch.no_grad():
        whole, part = model(observation)[-1][0], model(observation.part(2, 3))[-1][0]
    torch.testing.assert_close(part, whole[2:3], rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("users", [1, 2])
def test_gradients_are_finite_and_reach_every_pass(users):
    batch = slots(users=users, mcs=20)
    model = random_model(std=0.05)
    target = 1.0 - batch.coded_bits.float()
    torch.nn.functional.binary_cross_entropy_with_logits(model(batch.observation)[-1][0], target).backward()
    for name, parameter in model.passes[1].named_parameters():
        if "over_layers" in name and users == 1:
            assert parameter.grad is None
            continue
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


def test_turns_with_the_decoder_lower_the_bit_errors():
    batch = slots(num_prb=6, users=2, batch=96, esn0_db=4.0)
    model = SoftPilotReceiver(**OPTIONS, reestimate=[1])
    with torch.no_grad():
        alone = model(batch.observation)[-1][0]
        in_turns = model.in_turns(batch.observation, 2)
    sent = batch.coded_bits.bool()
    before, after = (((llr < 0) != sent).float().mean((1, 2, 3)) for llr in (alone, in_turns))
    fall = before - after
    # paired over slots: the mean fall must exceed four of its own deviations
    assert float(fall.mean()) > 4 * float(fall.std()) / math.sqrt(len(fall))


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match=r"reestimate: got \[2\]; allowed: from 0 to 1"):
        SoftPilotReceiver(**OPTIONS, reestimate=[2])
    observation = slots().observation
    layout = replace(observation.layout, bundle_subcarriers=24)
    with pytest.raises(ValueError, match="every 24 subcarriers"):
        random_model().check_slot(replace(observation, layout=layout))
    odd = replace(observation, data_mask=observation.data_mask[:13])
    with pytest.raises(ValueError, match="got 13 symbols and 36 subcarriers; allowed: multiples of 2 and 4"):
        random_model().check_slot(odd)
