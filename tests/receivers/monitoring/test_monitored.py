"""A monitored receiver works as before, and its records say what happened."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ran.link import Link, LinkConfig
from ran.phy.config import Carrier, Pusch, Users
from receivers import Arbitrated, Blind, Lmmse, LsLinear
from receivers.interface import Receiver
from receivers.monitoring.monitored import Monitored, claimed_excess


class Silent(Receiver):
    """Knows nothing and says so."""

    name = "silent"

    def __call__(self, observation, truth=None):
        shape = len(observation.y), observation.num_layers, observation.num_data_re, observation.bits_per_symbol
        return torch.zeros(shape)


@pytest.fixture(scope="module")
def received():
    config = LinkConfig(
        carrier=Carrier(num_prb=6),
        pusch=Pusch(mcs_index=14),
        users=Users(num_users=2),
        channel={"name": "tdl", "profile": "B", "delay_spread_ns": 100, "max_doppler_hz": 100},
    )
    link = Link(config)
    return link, link.batch(range(32), 7.0, seed=1, scenario_id="monitored")


def test_llrs_are_untouched_and_records_are_the_counts(received):
    link, batch = received
    receiver = LsLinear()
    monitored = Monitored(receiver, Lmmse())
    assert monitored.name == "ls-linear"
    assert monitored.uses_decoder
    llr = monitored(batch.observation)
    assert torch.equal(llr, receiver(batch.observation))
    lost = link.count_errors(llr, batch).block_errors > 0
    assert 2 < lost.sum() < 30
    assert [not record.arrived for record in monitored.records] == lost.tolist()


def test_records_are_those_of_all_bits_encoded_again(received):
    """Bits are encoded again only where they are looked at, which also is where one of two users is lost."""
    _, batch = received
    plain, saving = Monitored(LsLinear(), Lmmse()), Monitored(LsLinear(), Lmmse())
    llr = plain.receiver(batch.observation)
    bits, arrived = batch.observation.decoder.reencoded(llr)
    assert (arrived.any(1) & ~arrived.all(1)).sum() > 2
    plain.record(batch.observation, llr, bits, arrived, torch.zeros(len(llr)))
    saving(batch.observation)
    # NaN where nothing is known, which is equal to nothing
    assert list(map(str, saving.records)) == list(map(str, plain.records))
    one_by_one = Monitored(LsLinear(), Lmmse())
    for i in range(len(llr)):
        one_by_one(batch.observation.part(i, i + 1))
    assert [r.arrived for r in one_by_one.records] == [r.arrived for r in plain.records]
    both = zip(one_by_one.records, plain.records, strict=True)
    assert all(one.excess == pytest.approx(all_bits.excess, abs=1e-4, nan_ok=True) for one, all_bits in both)


def test_the_excess_is_the_cross_entropy_less_the_entropy():
    """The closed form against the definition, with entropies and logarithms of double precision."""
    generator = torch.Generator().manual_seed(4)
    llr = 4 * torch.randn(3, 2, 400, 4, generator=generator, dtype=torch.float64)
    bits = torch.randint(0, 2, llr.shape, generator=generator, dtype=torch.uint8)
    p_one = torch.sigmoid(-llr)
    cost = torch.nn.functional.binary_cross_entropy(p_one, bits.double(), reduction="none").mean((2, 3)) / math.log(2)
    entropy = torch.distributions.Bernoulli(p_one).entropy().mean((2, 3)) / math.log(2)
    arrived = torch.tensor([[True, True], [False, False], [True, False]])
    wanted = torch.where(arrived, cost - entropy, (1 - entropy - 0.3).clamp_min(0)).mean(1)
    torch.testing.assert_close(claimed_excess(llr.float(), bits, arrived, 0.3).double(), wanted, rtol=1e-5, atol=1e-6)


def test_which_slots_are_looked_at(received):
    _, batch = received
    one = Monitored(Silent(), Lmmse(), every=8, share=0.25, stride=4)
    for i in range(32):
        one(batch.observation.part(i, i + 1))
    sampled = [not math.isnan(record.statistics[0]) for record in one.records]
    assert sampled == [i % 4 == 0 for i in range(32)]
    compared = [record.compared for record in one.records]
    assert all(compared[::8])
    # regular ones, and of those that were lost a quarter at most
    assert sum(compared) == 4 + sum(compared[i] for i in range(32) if i % 8)
    assert sum(compared) <= 4 + 8
    reference = Lmmse()(batch.observation)
    arrived = batch.observation.decoder.arrived_layers(reference).all(1)
    for i, record in enumerate(one.records):
        assert not record.compared or record.reference_arrived == bool(arrived[i])
    # in one batch the same slots are looked at
    together = Monitored(Silent(), Lmmse(), every=8, share=0.25, stride=4)
    together(batch.observation)
    assert [record.compared for record in together.records] == compared


def test_fallbacks_of_an_arbitrated_receiver(received):
    _, batch = received
    monitored = Monitored(Arbitrated((Silent(), Blind())), Lmmse())
    monitored(batch.observation)
    fell = np.array([record.fell_back for record in monitored.records])
    assert set(fell.tolist()) <= {0.0, 0.5, 1.0}
    # the other member ran where a block was lost, and had nothing to say
    assert fell[[not record.arrived for record in monitored.records]].min() > 0
    assert Monitored(Blind(), Lmmse()).records == []


def test_calibrated_llrs_claim_what_they_hold():
    # LLRs of a binary channel in Gaussian noise are calibrated: claims are right on average
    generator = torch.Generator().manual_seed(2)
    bits = torch.randint(0, 2, (8, 1, 5000, 4), generator=generator)
    sent, deviation = 1 - 2.0 * bits, 0.8
    y = sent + deviation * torch.randn(sent.shape, generator=generator)
    llr = 2 * y / deviation**2
    arrived = torch.ones(8, 1, dtype=torch.bool)
    # one bit's cross-entropy deviates by about half a bit
    tolerance = 5 * 0.6 / math.sqrt(5000 * 4)
    assert float(claimed_excess(llr, bits, arrived, 0.5).abs().max()) < tolerance
    assert (claimed_excess(3 * llr, bits, arrived, 0.5) > 0.1).all()
    assert (claimed_excess(0.3 * llr, bits, arrived, 0.5) < -0.05).all()
    # of layers that were lost, what they claim above the code rate
    lost = ~arrived
    certain = claimed_excess(1e3 * llr, bits, lost, 0.5)
    torch.testing.assert_close(certain, torch.full((8,), 0.5), rtol=0, atol=1e-3)
    assert not claimed_excess(0.1 * llr, bits, lost, 0.5).any()


def test_bits_of_layers_that_arrived_are_those_that_were_sent(received):
    _, batch = received
    decoder = batch.observation.decoder
    bits, arrived = decoder.reencoded(Blind()(batch.observation))
    assert torch.equal(arrived, decoder.arrived_layers(Blind()(batch.observation)))
    assert 0 < int((~arrived).sum()) < arrived.numel()
    assert torch.equal(bits[arrived], batch.coded_bits[arrived])
    assert 0.4 < decoder.code_rate < 0.6
    with pytest.raises(ValueError, match="decoder: got None; allowed"):
        Monitored(Blind(), Lmmse())(replace(batch.observation, decoder=None))
