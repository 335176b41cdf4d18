"""Detection with the decoder in the loop, and channel estimation from decoded data."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from ran.link import Link, LinkConfig
from ran.link.turbo import TurboDecoder
from ran.phy.config import Carrier, Dmrs, Harq, Pusch, Users
from receivers import Blind, Lmmse, LsLinear, PerfectCsi
from receivers.classical.blind_estimate import BlindEstimator
from receivers.classical.data_aided import refine_with_data
from receivers.classical.qam import soft_symbols
from receivers.neural.refined_blind import RefinedBlindReceiver


def slots(esn0_db, layers=4, users=1, batch=16, num_prb=24, mcs=14):
    config = LinkConfig(
        carrier=Carrier(num_prb=num_prb),
        pusch=Pusch(num_layers=layers, mcs_index=mcs, dmrs=Dmrs(additional_position=1)),
        users=Users(num_users=users),
        channel={"name": "tdl", "profile": "C", "delay_spread_ns": 300, "max_doppler_hz": 100},
    )
    link = Link(config)
    return link, link.batch(range(batch), esn0_db, seed=2, scenario_id="turbo")


@pytest.mark.parametrize(("layers", "users", "num_prb"), [(1, 1, 6), (2, 2, 12), (4, 1, 24)])
def test_decoded_blocks_come_back_as_they_were_sent(layers, users, num_prb):
    # several code blocks, users and layers: scrambling and rate matching there and back
    _, batch = slots(10.0, layers, users, batch=3, num_prb=num_prb)
    sent = 1 - 2.0 * batch.coded_bits.float()
    generator = torch.Generator().manual_seed(1)
    llr = 6 * sent + 3 * torch.randn(sent.shape, generator=generator)
    extrinsic, arrived = batch.observation.decoder(llr)
    assert arrived.tolist() == [True] * 3
    assert torch.equal(extrinsic.sign(), sent)
    assert float(extrinsic.abs().min()) > 20


def test_what_the_decoder_adds_does_not_hold_what_it_was_given():
    link, batch = slots(10.0, layers=1, batch=8)
    decoder = TurboDecoder((link.grid.codeword,), 3)
    sent = 1 - 2.0 * batch.coded_bits.float()
    generator = torch.Generator().manual_seed(1)
    # as of a binary channel in Gaussian noise, too weak to be decoded
    llr = 0.5 * sent + torch.randn(sent.shape, generator=generator)
    extrinsic, arrived = decoder(llr)
    assert not arrived.any()
    noise = (llr - 0.5 * sent).flatten()
    # the sign of extrinsic information helps, its size hardly follows the bit's own noise
    assert float((extrinsic * sent).mean()) > 0
    assert abs(float(torch.corrcoef(torch.stack([(extrinsic * sent).flatten(), noise * sent.flatten()]))[0, 1])) < 0.1


def test_of_slots_that_are_not_decoded_the_same_is_said():
    _, batch = slots(10.0, layers=2, users=2, batch=6)
    sent = 1 - 2.0 * batch.coded_bits.float()
    generator = torch.Generator().manual_seed(1)
    strength = torch.tensor([6.0, 0.5, 6.0, 0.5, 0.5, 6.0])[:, None, None, None]
    llr = strength * sent + torch.randn(sent.shape, generator=generator)
    # of one slot the first user alone
    llr[5, 1:] = 0.5 * sent[5, 1:] + torch.randn(sent[5, 1:].shape, generator=generator)
    extrinsic, arrived = batch.observation.decoder(llr)
    assert arrived.tolist() == [True, False, True, False, False, False]
    found, same = batch.observation.decoder.undecoded(llr)
    assert torch.equal(same, arrived)
    assert torch.equal(found, extrinsic[~arrived])
    none, every = batch.observation.decoder.undecoded(6 * sent)
    assert every.all()
    assert none.shape == (0, *sent.shape[1:])


@pytest.mark.parametrize("options", [{}, {"data_aided": True}, {"noise": "irc"}])
def test_turns_with_the_decoder_save_slots(options):
    link, batch = slots(13.0)
    errors = {}
    for detector in ("lmmse", "mmse-pic"):
        given = options if detector == "mmse-pic" else {"noise": options.get("noise", "white")}
        receiver = Blind(detector=detector, **given)
        errors[detector] = int(link.count_errors(receiver(batch.observation), batch).block_errors.sum())
    assert errors["lmmse"] >= 6
    assert errors["mmse-pic"] <= errors["lmmse"] - 4


@pytest.mark.parametrize("receiver", [LsLinear, Lmmse, PerfectCsi])
def test_every_classical_receiver_can_use_the_decoder(receiver):
    link, batch = slots(9.0 if receiver is PerfectCsi else 12.0, layers=2, users=2)
    truth = batch.truth
    plain = link.count_errors(receiver(detector="lmmse")(batch.observation, truth), batch).block_errors.sum()
    turbo = receiver(detector="mmse-pic")
    assert turbo.uses_decoder
    assert not receiver().uses_decoder
    assert int(link.count_errors(turbo(batch.observation, truth), batch).block_errors.sum()) < int(plain)


def test_slots_without_a_decoder_are_refused():
    _, batch = slots(10.0, batch=1)
    with pytest.raises(ValueError, match="decoder: got None; allowed: observations with a decoder"):
        Blind(detector="mmse-pic")(replace(batch.observation, decoder=None))


def test_data_aided_estimate_equals_the_filter_solved_directly():
    _, batch = slots(12.0, layers=2, batch=2, num_prb=1, mcs=5)
    o, truth = batch.observation, batch.truth
    generator = np.random.default_rng(0)
    delays = torch.tensor([[[0.0, 200e-9, 700e-9]] * 2] * 2)
    powers = torch.tensor([[[0.6, 0.3, 0.1]] * 2] * 2)
    times = o.symbol_times_s.numpy()
    # of rank 2 over time, so that nothing is left out
    spectrum = np.exp(2j * np.pi * np.outer(times, [-80.0, 130.0])) * np.sqrt([0.4, 0.6])
    r_time = spectrum @ spectrum.conj().T
    over_time = torch.from_numpy(r_time.astype(np.complex64)).expand(2, 2, 14, 14)
    prior = torch.from_numpy(generator.normal(0, 3, truth.coded_bits.shape).astype(np.float32))
    prior += 2 * (1 - 2.0 * truth.coded_bits.float())
    h, _ = refine_with_data(o, truth.h, delays, powers, over_time, o.noise_var, prior, num_steps=60)

    k = np.arange(12)
    columns = np.exp(-2j * np.pi * np.outer(k, delays[0, 0].numpy()) * o.subcarrier_spacing_hz)
    r_frequency = (columns * powers[0, 0].numpy()) @ columns.conj().T
    among = np.kron(np.eye(2), np.kron(r_time, r_frequency))
    mean, variance = soft_symbols(prior)
    data = o.data_mask.flatten().numpy()
    for slot in range(2):
        sent = o.pilots.flatten(1).numpy().copy()
        spread = np.zeros(sent.shape)
        sent[:, data] = o.layer_amplitude * mean[slot].numpy()
        spread[:, data] = o.layer_amplitude**2 * variance[slot].numpy()
        power = (truth.h[slot].abs() ** 2).mean(0).flatten(1).numpy()
        noise = float(o.noise_var[slot]) + (power * spread).sum(0)
        x = np.concatenate([np.diag(row) for row in sent], axis=1)
        gain = among @ x.conj().T @ np.linalg.inv(x @ among @ x.conj().T + np.diag(noise))
        expected = gain @ o.y[slot].flatten(1).numpy().T
        np.testing.assert_allclose(h[slot].flatten(1).numpy().T, expected, atol=5e-3)


@pytest.mark.parametrize(("num_prb", "bundle"), [(132, None), (10, 48)])
def test_data_sharpen_the_estimate_of_wide_and_of_cut_bands(num_prb, bundle):
    _, batch = slots(6.0, batch=2, num_prb=num_prb, mcs=5)
    o, h = batch.observation, batch.truth.h
    if bundle is not None:
        # a channel that jumps from bundle to bundle, the last of which is narrower
        k = torch.arange(12 * num_prb) // bundle
        turn = torch.exp(2j * torch.pi * torch.tensor([0.0, 0.3, 0.85]))[k]
        h = h * turn
        o = replace(o, y=o.y * turn, layout=replace(o.layout, bundle_subcarriers=bundle))
    estimate = BlindEstimator()(o)
    llr = 20 * (1 - 2 * batch.truth.coded_bits.float())
    refined, _ = refine_with_data(
        o, estimate.h_hat, *estimate.profiles(), estimate.correlation(o), estimate.noise_var, llr
    )
    before, after = (((found - h).abs() ** 2).mean((1, 2, 3, 4)) for found in (estimate.h_hat, refined))
    # seven times as many known REs as pilots at equal power, a smooth channel: at least half of the error goes
    assert (after < before / 2).all()


NETWORK = RefinedBlindReceiver(num_channels=6, dilations=[1], num_passes=1)
RECEIVERS_IN_TURNS = [
    (Blind(detector="mmse-pic"), Blind(detector="ep")),
    (Blind(detector="mmse-pic", data_aided=True), Blind(detector="ep")),
    (LsLinear(detector="mmse-pic"), LsLinear(detector="ep")),
    (partial(NETWORK.in_turns, num_turns=2), lambda observation: NETWORK(observation)[-1][0]),
]


@pytest.mark.parametrize(("turbo", "alone"), RECEIVERS_IN_TURNS)
def test_llrs_that_are_added_to_others_are_of_the_slot_alone(turbo, alone):
    # one slot that is decoded and one that is not: with HARQ the latter's LLRs meet those of the next transmission
    link, batch = slots(25.0, layers=2, batch=2, num_prb=6)
    seen = batch.observation
    noise = torch.randn(seen.y[1:].shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(3))
    observation = replace(
        seen, y=torch.cat([seen.y[:1], noise]), noise_var=torch.tensor([float(seen.noise_var[0]), 1.0])
    )
    kept = replace(observation, decoder=replace(seen.decoder, adds_transmissions=True))
    with torch.inference_mode():
        slot_alone, once, added = alone(observation), turbo(observation), turbo(kept)
    assert torch.equal(added[0], once[0])
    assert torch.equal(added[1], slot_alone[1])
    assert not torch.equal(once[1], slot_alone[1])
    assert link.count_errors(added, batch).block_errors.tolist() == [0, 1]


def test_with_harq_a_decoder_says_that_it_adds_transmissions():
    link, batch = slots(10.0, layers=1, batch=1, num_prb=2)
    assert not batch.observation.decoder.adds_transmissions
    again = Link(link.config.model_copy(update={"harq": Harq()}))
    assert again.batch([0], 10.0, 1, "x").observation.decoder.adds_transmissions
