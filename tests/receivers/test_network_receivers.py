"""Networks that detect by themselves: sizes, equivariance, and that they learn."""

from dataclasses import replace
from functools import partial

import neural_slots
import pytest
import torch
from neural_slots import reordered

from receivers.neural.deeprx import DeepRxReceiver
from receivers.neural.message_passing import MessagePassingReceiver

slots = partial(neural_slots.slots, "networks", num_prb=4)
SMALL = {
    "deeprx": lambda: DeepRxReceiver(num_channels=12, dilations=((1, 1), (2, 2))),
    "message-passing": lambda: MessagePassingReceiver(num_states=8, width=12, num_iterations=2),
}


def built(name):
    torch.manual_seed(3)
    return SMALL[name]().eval()


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        (MessagePassingReceiver(56, 128, 2), 143_000),
        (MessagePassingReceiver(56, 124, 8), 440_000),
        (DeepRxReceiver(64), 143_000),
        (DeepRxReceiver(120), 440_000),
    ],
)
def test_sizes_of_the_recipes_fill_their_class(model, limit):
    size = sum(p.numel() for p in model.parameters())
    assert 0.9 * limit < size <= limit


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("users", [1, 2, 4])
@pytest.mark.parametrize(("num_prb", "mcs", "table", "rx"), [(1, 4, 1, 1), (3, 20, 1, 2), (6, 22, 2, 5)])
def test_any_size_and_modulation(name, users, num_prb, mcs, table, rx):
    batch = slots(
        num_prb=num_prb,
        users=users,
        rx=rx,
        mcs=mcs,
        table=table,
        dmrs={"config_type": 2, "num_cdm_groups_without_data": 3},
    )
    with torch.no_grad():
        llr = built(name)(batch.observation)[-1][0]
    assert llr.shape == batch.coded_bits.shape
    assert torch.isfinite(llr).all()


@pytest.mark.parametrize("name", SMALL)
def test_the_order_of_antennas_and_of_layers_does_not_matter(name):
    observation = slots(users=3).observation
    layers = [2, 0, 1]
    moved = reordered(observation, [2, 0, 3, 1], layers)
    model = built(name)
    with torch.no_grad():
        expected, found = model(observation)[-1][0][:, layers], model(moved)[-1][0]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", SMALL)
def test_slots_of_a_batch_do_not_meet(name):
    observation = slots(users=2, batch=4).observation
    model = built(name)
    with torch.no_grad():
        whole, part = model(observation)[-1][0], model(observation.part(2, 3))[-1][0]
    torch.testing.assert_close(part, whole[2:3], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", SMALL)
def test_training_lowers_the_loss_on_slots_never_seen(name):
    batch, unseen = slots(num_prb=2, users=2, mcs=4, batch=32), slots(num_prb=2, users=2, mcs=4, batch=32, esn0_db=9.5)
    model = built(name)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)

    def losses(batch):
        llr = model(batch.observation)[-1][0]
        target = 1.0 - batch.coded_bits.float()
        return torch.nn.functional.binary_cross_entropy_with_logits(llr, target, reduction="none").mean((1, 2, 3))

    with torch.no_grad():
        before = losses(unseen)
    for _ in range(40):
        optimizer.zero_grad()
        losses(batch).mean().backward()
        optimizer.step()
    with torch.no_grad():
        fall = before - losses(unseen)
    # paired over slots: the mean fall must exceed six of its own deviations
    assert float(fall.mean()) > 6 * float(fall.std()) / len(fall) ** 0.5


def test_spread_symbols_are_refused():
    observation = slots().observation
    for build in SMALL.values():
        with pytest.raises(ValueError, match="transform precoding"):
            build().check_slot(replace(observation, transform_precoding=True))
