"""The neural receiver that starts from the blind one: what holds untrained, and what holds for any weights."""

import math
from dataclasses import replace
from functools import partial

import neural_slots
import pytest
import torch
from neural_slots import KINDS, early, reordered, stronger

from receivers import Blind
from receivers.neural.refined_blind import RefinedBlindReceiver

OPTIONS = {"num_channels": 8, "dilations": [1, 2], "num_passes": 2}
slots = partial(neural_slots.slots, "refined", num_prb=4)


def observe(**kinds):
    return slots(**kinds).observation


def random_model(std=0.1) -> RefinedBlindReceiver:
    torch.manual_seed(5)
    model = RefinedBlindReceiver(**OPTIONS).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_untrained_model_is_the_blind_receiver(kind):
    observation = observe(**KINDS[kind])
    with torch.no_grad():
        outputs = RefinedBlindReceiver(**OPTIONS)(observation)
    expected = Blind(num_reestimations=2)(observation)
    assert len(outputs) == 2
    for llr, h_hat in outputs:
        torch.testing.assert_close(llr, expected, rtol=1e-4, atol=1e-3)
        assert h_hat.shape == (3, observation.y.shape[1], observation.num_layers, *observation.data_mask.shape)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("num_prb", "mcs", "table"), [(1, 4, 1), (5, 20, 1), pytest.param(16, 22, 2, marks=pytest.mark.slow)]
)
def test_any_size_pattern_and_modulation(kind, num_prb, mcs, table):
    if kind == "transform precoding" and table == 1:
        mcs = 5  # its MCS table ends earlier
    observation = observe(num_prb=num_prb, mcs=mcs, table=table, **KINDS[kind])
    with torch.no_grad():
        llr = random_model()(observation)[-1][0]
    assert llr.shape == (3, observation.num_layers, observation.num_data_re, observation.bits_per_symbol)
    assert torch.isfinite(llr).all()


def test_the_order_of_antennas_and_of_layers_does_not_matter():
    observation = observe(users=3, rx=4)
    layers = [2, 0, 1]
    moved = reordered(observation, [2, 0, 3, 1], layers)
    model = random_model()
    with torch.no_grad():
        expected, found = model(observation)[-1][0][:, layers], model(moved)[-1][0]
    assert float((expected - found).abs().mean()) < 1e-2 * float(expected.abs().mean())


def test_the_level_of_the_received_grid_does_not_matter():
    observation = observe(users=2)
    model = random_model()
    with torch.no_grad():
        expected, found = model(observation)[-1][0], model(stronger(observation))[-1][0]
    assert float((expected - found).abs().mean()) < 1e-2 * float(expected.abs().mean())


@pytest.mark.parametrize("delay_s", [300e-9, -300e-9])
def test_early_and_late_signals_are_received(delay_s):
    batch = slots(num_prb=12, esn0_db=15.0, batch=8)
    with torch.no_grad():
        llr = RefinedBlindReceiver(**OPTIONS)(early(batch.observation, delay_s))[-1][0]
    wrong = (llr < 0) != batch.coded_bits.bool()
    assert float(wrong.float().mean()) < 0.02


def test_slots_of_a_batch_do_not_meet():
    observation = observe(users=2, batch=4)
    model = random_model()
    with torch.no_grad():
        whole, part = model(observation)[-1][0], model(observation.part(2, 3))[-1][0]
    torch.testing.assert_close(part, whole[2:3], rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("users", [1, 2])
def test_gradients_are_finite_and_reach_every_pass(users):
    batch = slots(users=users, mcs=20)
    model = random_model(std=0.05)
    outputs = model(batch.observation)
    target = 1.0 - batch.coded_bits.float()
    torch.nn.functional.binary_cross_entropy_with_logits(outputs[-1][0], target).backward()
    for name, parameter in model.named_parameters():
        if "over_layers" in name and users == 1:
            assert parameter.grad is None
            continue
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.slow
def test_turns_with_the_decoder_lower_the_bit_errors():
    batch = slots(num_prb=6, users=2, batch=96, esn0_db=3.0)
    model = RefinedBlindReceiver(**OPTIONS)
    with torch.no_grad():
        alone = model(batch.observation)[-1][0]
        in_turns = model.in_turns(batch.observation, 2)
    sent = batch.coded_bits.bool()
    before, after = (((llr < 0) != sent).float().mean((1, 2, 3)) for llr in (alone, in_turns))
    fall = before - after
    # paired over slots: the mean fall must exceed four of its own deviations
    assert float(fall.mean()) > 4 * float(fall.std()) / math.sqrt(len(fall))
    with pytest.raises(ValueError, match="decoder: got None"):
        model.in_turns(replace(batch.observation, decoder=None), 2)


def test_slots_in_bundles_are_refused():
    observation = observe()
    layout = replace(observation.layout, bundle_subcarriers=24)
    with pytest.raises(ValueError, match="every 24 subcarriers"):
        RefinedBlindReceiver(**OPTIONS).check_slot(replace(observation, layout=layout))
