"""Bursts of interference: found and rejected, and nothing else changed."""

from dataclasses import replace
from functools import partial

import neural_slots
import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from ran.link import Link, LinkConfig
from receivers import NeuralReceiver
from receivers.classical.bursts import bursts_rejected
from receivers.classical.equalizer import detect

slots = partial(neural_slots.slots, "bursts", num_prb=4)
SYMBOL = 5


def with_burst(observation, level=10.0):
    """The same slots with interference of one direction in one OFDM symbol."""
    generator = torch.Generator().manual_seed(3)
    batch, antennas, _, subcarriers = observation.y.shape
    direction = torch.randn(batch, antennas, 1, dtype=torch.complex64, generator=generator)
    y = observation.y.clone()
    y[:, :, SYMBOL] += (
        level**0.5 * direction * torch.randn(batch, 1, subcarriers, dtype=torch.complex64, generator=generator)
    )
    return replace(observation, y=y)


def links(num_prb=8, bursts=True):
    waveform = {"receive_impairments": [{"name": "interference-bursts", "level_db": 10, "duration_s": 3.5e-5}]}
    values = {
        "carrier": {"num_prb": num_prb},
        "pusch": {"mcs_index": 14, "dmrs": {"additional_position": 1}},
        "num_rx_ant": 4,
        "channel": {"name": "tdl", "profile": "TDLB100", "max_doppler_hz": 194},
        **({"waveform": waveform} if bursts else {}),
    }
    return Link(LinkConfig.model_validate(values))


@pytest.mark.parametrize("weights", ["pusch-realtime", "pusch-hybrid"])
def test_fewer_blocks_are_lost_with_bursts(weights):
    link = links()
    with torch.inference_mode():
        batch = link.batch(range(40), 9.0, 1, "bursts", with_channel=False)
        lost = [
            np.asarray(
                link.count_errors(link.receive(NeuralReceiver(weights, reject_bursts=on), batch), batch).block_errors
            )
            for on in (False, True)
        ]
    saved, spoilt = int((lost[0] > lost[1]).sum()), int((lost[1] > lost[0]).sum())
    assert binomtest(saved, saved + spoilt, 0.5, "greater").pvalue < 1e-3
    # the symbol is told from the others by three of four antennas' directions: nearly nothing is left of the loss
    assert int(lost[1].sum()) <= 0.25 * int(lost[0].sum())


@pytest.mark.parametrize("kind", ["one user", "two users", "one pilot symbol", "type 2, double symbols", "PT-RS"])
def test_slots_without_bursts_keep_every_digit(kind):
    observation = slots(**neural_slots.KINDS[kind]).observation
    for weights in ("pusch-realtime", "pusch-hybrid"):
        plain = NeuralReceiver(weights, reject_bursts=False)
        if observation.num_layers in plain.card["num_layers"]:
            assert torch.equal(NeuralReceiver(weights)(observation), plain(observation))


def test_only_the_symbol_that_is_hit_changes_and_is_less_sure():
    batch = slots(esn0_db=12.0)
    h, error = batch.truth.h, torch.zeros_like(batch.truth.h.real.mean(1))
    observation = with_burst(batch.observation)
    first = detect(observation, h, error)
    again = bursts_rejected(observation, h, error, first, detect)
    symbol = observation.data_mask.nonzero()[:, 0]
    others, hit = symbol != SYMBOL, symbol == SYMBOL
    torch.testing.assert_close(again[:, :, others], first[:, :, others], rtol=1e-3, atol=1e-2)
    sent = 1 - 2.0 * batch.coded_bits[:, :, hit]

    def cost(llr):
        return float(torch.nn.functional.softplus(-llr[:, :, hit] * sent).mean())

    # bits of the burst cost what little they hold, not what the first detection claims
    assert cost(again) < 0.1 * cost(first)
    clean = detect(batch.observation, h, error)
    assert float(again[:, :, hit].abs().mean()) < float(clean[:, :, hit].abs().mean())


@pytest.mark.parametrize("scale", [2.0**-30, 2.0**30])
def test_the_level_does_not_matter(scale):
    batch = slots(esn0_db=12.0)
    error = torch.full_like(batch.truth.h.real.mean(1), 0.01)

    def rejected(factor):
        seen = with_burst(batch.observation)
        seen = replace(seen, y=seen.y * factor, noise_var=seen.noise_var * factor**2)
        h, err = batch.truth.h * factor, error * factor**2
        return bursts_rejected(seen, h, err, detect(seen, h, err), detect)

    torch.testing.assert_close(rejected(scale), rejected(1.0), rtol=1e-3, atol=1e-2)


def test_a_slot_does_not_depend_on_the_others_of_its_batch():
    batch = slots(esn0_db=12.0, batch=4)
    seen = with_burst(batch.observation)
    mixed = replace(seen, y=torch.cat([seen.y[:2], batch.observation.y[2:]]))
    h, error = batch.truth.h, torch.zeros_like(batch.truth.h.real.mean(1))
    together = bursts_rejected(mixed, h, error, detect(mixed, h, error), detect)
    for i in range(4):
        one = mixed.part(i, i + 1)
        alone = bursts_rejected(
            one, h[i : i + 1], error[i : i + 1], detect(one, h[i : i + 1], error[i : i + 1]), detect
        )
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-3)


def test_grids_that_are_not_finite_are_left_as_they_are():
    batch = slots()
    y = batch.observation.y.clone()
    y[0, 0, 4] = float("nan")
    y[1, 1, 6] = float("inf")
    seen = replace(batch.observation, y=y)
    h, error = batch.truth.h, torch.zeros_like(batch.truth.h.real.mean(1))
    llr = detect(batch.observation, h, error)
    assert torch.equal(bursts_rejected(seen, h, error, llr, detect), llr)
