"""Demapping by points, soft symbols, and the channel from the mean of a constellation."""

import math

import numpy as np
import pytest
import torch

from ran.errors import InputError
from ran.link import Link, LinkConfig
from ran.phy.constellation import shifted_qam
from ran.phy.modulation import constellation
from receivers import RECEIVERS, Blind, Lmmse, LsLinear, PerfectCsi
from receivers.classical import qam
from receivers.classical.blind_estimate import BlindEstimator
from receivers.classical.expectation_propagation import demap
from receivers.classical.pilotless import estimate_from_mean
from receivers.classical.points import demap_points, soft_symbols

CHANNEL = {"name": "tdl", "profile": "B", "delay_spread_ns": 100, "max_doppler_hz": 300}


def link(**pusch):
    values = {"carrier": {"num_prb": 8}, "pusch": {"mcs_index": 14, **pusch}, "num_rx_ant": 4, "channel": CHANNEL}
    return Link(LinkConfig.model_validate(values))


def random_points(generator, n=16):
    points = generator.normal(size=n) + 1j * generator.normal(size=n) + 0.4
    return points / np.sqrt(np.mean(np.abs(points) ** 2))


@pytest.mark.parametrize("rule", ["maxlog", "exact"])
@pytest.mark.parametrize("with_prior", [False, True])
def test_demapping_is_the_sum_over_all_points(rule, with_prior):
    generator = np.random.default_rng(3)
    points = random_points(generator)
    x = generator.normal(size=20) + 1j * generator.normal(size=20)
    variance = generator.uniform(0.05, 2, 20)
    prior = generator.normal(size=(20, 4)) * 2 if with_prior else np.zeros((20, 4))
    wanted = np.zeros((20, 4))
    for i in range(20):
        for j in range(4):
            terms = {0: [], 1: []}
            for label in range(16):
                bits = [label >> 3 & 1, label >> 2 & 1, label >> 1 & 1, label & 1]
                log = -(abs(x[i] - points[label]) ** 2) / variance[i]
                log += sum(-math.log1p(math.exp(-(1 - 2 * b) * llr)) for b, llr in zip(bits, prior[i], strict=True))
                terms[bits[j]].append(log)
            if rule == "maxlog":
                wanted[i, j] = max(terms[0]) - max(terms[1])
            else:
                wanted[i, j] = math.log(sum(map(math.exp, terms[0]))) - math.log(sum(map(math.exp, terms[1])))
    found = demap_points(
        torch.tensor(x, dtype=torch.complex64),
        torch.tensor(variance, dtype=torch.float32),
        torch.tensor(points, dtype=torch.complex64),
        torch.tensor(prior, dtype=torch.float32) if with_prior else None,
        rule,
    )
    np.testing.assert_allclose(found.numpy(), wanted - prior, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bits", [2, 4, 6])
@pytest.mark.parametrize("rule", ["maxlog", "exact"])
def test_points_of_qam_are_demapped_as_qam(bits, rule):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(50, generator=generator, dtype=torch.complex64)
    variance = torch.rand(50, generator=generator) + 0.1
    found = demap_points(x, variance, torch.from_numpy(constellation(bits)), None, rule)
    torch.testing.assert_close(found, demap(x, variance, bits, None, rule), rtol=1e-4, atol=1e-4)


def test_soft_symbols_of_points():
    slots = link(constellation={"mean_power": 0}).batch(range(2), 5.0, 1, "x").observation
    llr = torch.randn(2, 1, 30, 4, generator=torch.Generator().manual_seed(2)) * 3
    for found, wanted in zip(soft_symbols(llr, slots), qam.soft_symbols(llr), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cls", [LsLinear, Lmmse, Blind, PerfectCsi])
@pytest.mark.parametrize("options", [{}, {"demapper": "exact"}, {"detector": "mmse-pic"}], ids=str)
def test_receivers_given_the_points_of_qam_do_what_they_did(cls, options):
    receiver = cls(**options)
    drops = [link(**pusch).batch(range(3), 6.0, 1, "x") for pusch in ({}, {"constellation": {"mean_power": 0}})]
    plain, by_points = (receiver(b.observation, b.truth if cls.needs_truth else None) for b in drops)
    torch.testing.assert_close(by_points, plain, rtol=2e-3, atol=2e-3)


def test_llrs_agree_with_the_bits_sent():
    batch = link(constellation=[list(p) for p in shifted_qam(4, 0.2)]).batch(range(2), 30.0, 1, "x")
    assert bool(((Lmmse()(batch.observation) < 0) == batch.coded_bits.bool()).float().mean() > 0.99)


def test_channel_from_the_mean_comes_near_to_what_it_states():
    """Without pilots, and then with its own decisions, against the channel itself."""
    both = link(pilotless=True, constellation={"mean_power": 0.1})
    batch = both.batch(range(16), 8.0, 1, "x")
    estimate = estimate_from_mean(BlindEstimator(), batch.observation)
    error = (estimate.h_hat - batch.truth.h).abs().pow(2).mean()
    # a mean of a tenth of the power under data of nine tenths, 12 dB under the channel after the fit
    assert error < 10**-1.2
    # the stated error is that of independent unknown symbols; within a factor of two
    assert 0.5 < error / estimate.err_var.mean() < 2
    target = 1 - batch.coded_bits.float()
    losses = [
        torch.nn.functional.binary_cross_entropy_with_logits(receiver(batch.observation), target)
        for receiver in (Blind(demapper="exact"), Blind(demapper="exact", num_reestimations=3))
    ]
    known = PerfectCsi(demapper="exact")(batch.observation, batch.truth)
    best = torch.nn.functional.binary_cross_entropy_with_logits(known, target)
    # decisions close more than half of what is left to the known channel
    assert losses[1] - best < 0.5 * (losses[0] - best)


def test_who_cannot_is_refused():
    without = link(pilotless=True, constellation={"mean_power": 0.1})
    with_pilots = link(constellation={"mean_power": 0.1})
    for name in ("ls-linear", "lmmse"):
        with pytest.raises(InputError, match="got a slot without any"):
            without.check_receiver("r", RECEIVERS[name]())
        with_pilots.check_receiver("r", RECEIVERS[name]())
    with pytest.raises(InputError, match="constellation: got one with 'neural'"):
        with_pilots.check_receiver("r", RECEIVERS["neural"]())
    without.check_receiver("r", Blind())
