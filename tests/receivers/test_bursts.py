"""Bursts of interference: found and rejected, and nothing else changed."""

from dataclasses import replace
from functools import partial

import neural_slots
import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from ran.link import Link, LinkConfig
from receivers import Blind, Composed, Lmmse, LsLinear, NeuralReceiver, PerfectCsi
from receivers.classical.bursts import bursts_rejected, symbols_hit
from receivers.classical.detection import Detection
from receivers.classical.equalizer import detect
from receivers.classical.soft_grid import soft_grid

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


def lost_without_and_with(receiver, link, batch):
    """Blocks lost, drop by drop, by receiver(reject_bursts=...) without and with rejection."""
    with torch.inference_mode():
        return [
            np.asarray(link.count_errors(link.receive(receiver(reject_bursts=on), batch), batch).block_errors)
            for on in (False, True)
        ]


@pytest.mark.parametrize(
    "receiver",
    [
        partial(NeuralReceiver, "pusch-realtime"),
        partial(NeuralReceiver, "pusch-hybrid"),
        LsLinear,
        Lmmse,
        Blind,
        partial(Blind, num_reestimations=2),
        partial(Blind, noise="irc"),
        partial(Blind, detector="mmse-pic"),
    ],
    ids=["realtime", "hybrid", "ls-linear", "lmmse", "blind", "semi-blind", "irc", "turbo"],
)
def test_fewer_blocks_are_lost_with_bursts(receiver):
    link = links()
    batch = link.batch(range(48), 7.0, 1, "bursts", with_channel=False)
    lost = lost_without_and_with(receiver, link, batch)
    saved, spoilt = int((lost[0] > lost[1]).sum()), int((lost[1] > lost[0]).sum())
    assert binomtest(saved, saved + spoilt, 0.5, "greater").pvalue < 1e-3
    # the symbol is told from the others by three of four antennas' directions: a part is left, of bursts on pilots
    assert int(lost[1].sum()) <= 0.5 * int(lost[0].sum())


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


@pytest.mark.parametrize("receiver", [LsLinear, Lmmse, Blind])
def test_classical_receivers_reject_bursts_where_they_are_told_to(receiver):
    seen = with_burst(slots(esn0_db=12.0).observation)
    plain, rejecting = receiver(), receiver(reject_bursts=True)
    assert not torch.equal(plain(seen), rejecting(seen))
    assert torch.equal(plain(seen), receiver(reject_bursts=False)(seen))


@pytest.mark.parametrize("kind", ["one user", "two users", "two layers", "PT-RS", "transform precoding"])
def test_classical_receivers_keep_every_digit_of_slots_without_bursts(kind):
    observation = slots(**neural_slots.KINDS[kind]).observation
    for receiver in (Lmmse, Blind, partial(Blind, num_reestimations=2)):
        assert torch.equal(receiver(reject_bursts=True)(observation), receiver()(observation))


def test_the_symbol_that_is_hit_is_found_and_no_other():
    batch = slots(esn0_db=12.0, batch=4)
    h, error = batch.truth.h, torch.zeros_like(batch.truth.h.real.mean(1))
    for seen, wanted in ((with_burst(batch.observation), SYMBOL), (batch.observation, None)):
        x, _, unknown = soft_grid(seen, detect(seen, h, error))
        found = symbols_hit(seen, h, error, x, unknown)
        assert found.nonzero()[:, 1].tolist() == ([] if wanted is None else [wanted] * 4)


def test_reestimation_leaves_the_symbol_out_that_is_hit():
    """Fewer blocks are lost than by rejection after it alone."""
    link = links()
    batch = link.batch(range(96), 5.0, 19, "left out", with_channel=False)
    careless = Blind(num_reestimations=2, reject_bursts=True)
    careless.refinement.reject_bursts = False
    with torch.inference_mode():
        lost = [
            np.asarray(link.count_errors(link.receive(receiver, batch), batch).block_errors)
            for receiver in (careless, Blind(num_reestimations=2, reject_bursts=True))
        ]
    saved, spoilt = int((lost[0] > lost[1]).sum()), int((lost[1] > lost[0]).sum())
    assert binomtest(saved, saved + spoilt, 0.5, "greater").pvalue < 0.01


@pytest.mark.parametrize("detector", ["lmmse", "ep", "ml"])
def test_every_detector_is_less_sure_of_the_symbol_that_is_hit(detector):
    batch = slots(esn0_db=15.0, users=2)
    seen, h = with_burst(batch.observation), batch.truth.h
    error = torch.zeros_like(h.real.mean(1))
    plain, rejecting = (Detection(detector, reject_bursts=on)(seen, h, error) for on in (False, True))
    hit = seen.data_mask.nonzero()[:, 0] == SYMBOL
    sent = 1 - 2.0 * batch.coded_bits[:, :, hit]

    def cost(llr):
        return float(torch.nn.functional.softplus(-llr[:, :, hit] * sent).mean())

    assert cost(rejecting) < 0.2 * cost(plain)
    # what a decoder knows is another question: bursts are looked for once, without it
    if detector == "ep":
        prior = torch.zeros_like(plain)
        assert torch.equal(
            Detection(detector, reject_bursts=True)(seen, h, error, prior), Detection(detector)(seen, h, error, prior)
        )


def test_a_genie_rejects_bursts_beside_a_channel_without_error():
    batch = slots(esn0_db=12.0)
    seen = with_burst(batch.observation)
    plain, rejecting = (PerfectCsi(reject_bursts=on)(seen, batch.truth) for on in (False, True))
    hit = seen.data_mask.nonzero()[:, 0] == SYMBOL
    assert float(rejecting[:, :, hit].abs().mean()) < 0.5 * float(plain[:, :, hit].abs().mean())


def test_rejection_beside_estimates_by_decoded_data_is_refused():
    for build in (
        lambda: Blind(detector="mmse-pic", data_aided=True, reject_bursts=True),
        lambda: Composed(detection=Detection("mmse-pic", reject_bursts=True), data_aided=True),
    ):
        with pytest.raises(ValueError, match=r"^reject_bursts: got true with data_aided; allowed: false"):
            build()
