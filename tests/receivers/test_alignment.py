"""Slots that come early or late: their delay is found, and networks whose prior begins at zero take them as well."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from ran.link import Link, LinkConfig
from ran.stats import sign_test
from receivers import NeuralReceiver
from receivers.neural.alignment import aligned, mean_delays
from receivers.neural.receiver import passes_of

PATTERNS = {
    "type 1": {"additional_position": 1},
    "one symbol": {"additional_position": 0},
    "type 2": {"config_type": 2, "additional_position": 1},
    "double symbol": {"length": 2, "additional_position": 1},
}
#: All paths within 10 ns.
FLAT = {"name": "tdl", "profile": "A", "delay_spread_ns": 1, "max_doppler_hz": 1}


def link(dmrs=PATTERNS["type 1"], channel=None, **pusch):
    values = {
        "carrier": {"num_prb": 8},
        "pusch": {"mcs_index": 14, "dmrs": dmrs, **pusch},
        "num_rx_ant": 4,
        "channel": channel or FLAT,
    }
    return Link(LinkConfig.model_validate(values))


def delayed(observation, delay_s):
    """The slots with all paths later by delays [batch]."""
    frequencies = torch.arange(observation.y.shape[-1]) * observation.subcarrier_spacing_hz
    phase = -2 * math.pi * torch.as_tensor(delay_s).double()[:, None] * frequencies
    ramp = torch.polar(torch.ones_like(phase), phase).to(observation.y.dtype)
    return replace(observation, y=observation.y * ramp[:, None, None, :])


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("num_layers", [1, 2])
def test_the_delay_of_a_path_is_found(pattern, num_layers):
    tested = link(PATTERNS[pattern], num_layers=num_layers)
    observation = tested.batch(range(5), 80.0, 1, "delay", with_channel=False).observation
    wanted = torch.tensor([0.0, -1.5e-6, -2e-7, 3e-7, 1.5e-6])
    found, deviation = mean_delays(delayed(observation, wanted))
    # layers that share a pair leak into one another where the pair's phase turns: by less than this
    torch.testing.assert_close(found, wanted[:, None].expand_as(found).to(found.dtype), rtol=0, atol=2e-8)
    assert (deviation < 1e-9).all()


def test_estimates_deviate_by_no_more_than_is_stated():
    num_slots = 200
    rich = link(channel={"name": "tdl", "profile": "C", "delay_spread_ns": 400, "max_doppler_hz": 1})
    for tested, esn0_db in ((link(), 0.0), (rich, 0.0), (rich, 10.0)):
        # the same channels with hardly any noise
        noisy, clean = (tested.batch(range(num_slots), e, 1, "deviation", with_channel=False) for e in (esn0_db, 80.0))
        (found, deviation), (truth, _) = mean_delays(noisy.observation), mean_delays(clean.observation)
        # less in a flat channel, where the noise of neighbouring products cancels out
        assert float((((found - truth) / deviation) ** 2).sum()) < chi2.isf(1e-6, num_slots)


def test_slots_within_are_left_as_they_are_and_others_are_brought_inside():
    observation = link().batch(range(4), 50.0, 1, "within", with_channel=False).observation
    assert aligned(observation, -5e-8, 6e-7) is observation
    wanted = torch.tensor([0.0, -8e-7, 5e-7, 1.2e-6])
    given = delayed(observation, wanted)
    turned = aligned(given, -5e-8, 6e-7)
    assert torch.equal(turned.y[[0, 2]], given.y[[0, 2]])
    inside = torch.tensor([0.0, -5e-8, 5e-7, 6e-7])
    torch.testing.assert_close(turned.y, delayed(observation, inside).y, rtol=0, atol=0.1)
    # nothing received, and pilots too far apart to tell: as they are
    silent = replace(observation, y=torch.zeros_like(observation.y))
    assert aligned(silent, -5e-8, 6e-7) is silent
    sparse = link({"additional_position": 1, "frequency_density": 4})
    assert mean_delays(sparse.batch(range(1), 20.0, 1, "sparse", with_channel=False).observation) is None


@pytest.mark.parametrize("weights", ["pusch-hybrid", "pusch-munich"])
def test_networks_on_a_fixed_prior_receive_slots_that_come_early_or_late(weights):
    tested = link(channel={"name": "tdl", "profile": "B", "delay_spread_ns": 100, "max_doppler_hz": 100})
    batch = tested.batch(range(96), 6.0, seed=7, scenario_id="alignment", with_channel=False)
    receiver = NeuralReceiver(weights)
    away = torch.tensor([-1e-6, 1e-6] * 48)
    with torch.inference_mode():
        given = delayed(batch.observation, away)
        plain = passes_of(receiver.model(given))[-1][0]
        lost = [
            np.asarray(tested.count_errors(llr, batch).block_errors).flatten() > 0
            for llr in (receiver(batch.observation), receiver(given), plain)
        ]
    on_time, turned, untouched = lost
    # as they are on time, up to few at the edge; the network alone loses significantly more
    assert int((turned & ~on_time).sum()) <= 4
    assert sign_test(int((untouched & ~turned).sum()), int((turned & ~untouched).sum())) < 0.01
