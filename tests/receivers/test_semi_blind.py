"""Channel estimation from the receiver's own decisions, before any decoding."""

import pytest
import torch

from ran.link import Link, LinkConfig
from ran.phy.config import Carrier, Dmrs, Pusch, Users
from receivers import Blind


def slots(users=1, layers=1, position=1, mcs=14, esn0_db=4.0, num_prb=12, batch=32):
    config = LinkConfig(
        carrier=Carrier(num_prb=num_prb),
        pusch=Pusch(mcs_index=mcs, num_layers=layers, dmrs=Dmrs(additional_position=position)),
        users=Users(num_users=users),
        channel={"name": "tdl", "profile": "B", "delay_spread_ns": 100, "max_doppler_hz": 200},
    )
    return Link(config).batch(range(batch), esn0_db, 6, "semi-blind")


def entropies(receiver, batch):
    target = 1.0 - batch.coded_bits.float()
    llr = receiver(batch.observation)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(llr, target, reduction="none")
    return loss.mean((1, 2, 3))


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"position": 0, "esn0_db": 7.0},
        {"users": 2, "esn0_db": 6.0},
        {"layers": 2, "esn0_db": 8.0},
        pytest.param({"users": 4, "mcs": 9, "esn0_db": 8.0, "batch": 64}, marks=pytest.mark.slow),
        {"mcs": 24, "esn0_db": 13.0},
        {"mcs": 4, "esn0_db": -2.0},
        {"num_prb": 132, "batch": 12},
    ],
)
def test_the_bits_become_surer(kind):
    batch = slots(**kind)
    fall = entropies(Blind(), batch) - entropies(Blind(num_reestimations=2), batch)
    # paired over slots: the mean fall must exceed four of its own deviations
    assert float(fall.mean()) > 4 * float(fall.std()) / len(fall) ** 0.5


def test_without_rounds_nothing_changes():
    batch = slots(batch=2)
    assert torch.equal(Blind(num_reestimations=0)(batch.observation), Blind()(batch.observation))


def test_coloured_noise_is_refused():
    with pytest.raises(ValueError, match="num_reestimations: got 2 with noise 'irc'"):
        Blind(num_reestimations=2, noise="irc")
    with pytest.raises(ValueError, match="num_reestimations: got -1"):
        Blind(num_reestimations=-1)
