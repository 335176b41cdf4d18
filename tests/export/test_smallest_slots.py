"""Exported receivers that measure the noise themselves, on one PRB: three pairs of pilots have no third difference."""

from __future__ import annotations

import pytest
import torch

from ran.export.graphs import build_graph
from ran.export.runtime_model import ModelReceiver, RuntimeModel, torch_runtime
from ran.export.slots import SCENARIO, empty_slot, experiment_of, link_of
from ran.export.targets import TARGETS
from receivers import NeuralReceiver
from receivers.onnx.least_squares import noise_of


@pytest.mark.parametrize("points", [3, 4, 6])
def test_variance_of_white_noise(points):
    """Unbiased: 40,000 rows, whose estimates have a relative deviation of at most sqrt(2) each."""
    generator = torch.Generator().manual_seed(points)
    h = torch.randn(40_000, points, 2, generator=generator)  # variance 2: both parts have 1
    found = noise_of(h, (0, 1))
    assert float(found) == pytest.approx(2.0, rel=5 * 2**0.5 / 200)
    straight = torch.arange(points)[:, None] * torch.ones(3, 1, 2)
    assert float(noise_of(straight, (0, 1))) == 0.0  # a straight line is a channel


@pytest.mark.parametrize(
    ("target", "changes"),
    [
        ("cuphy-chest", ()),
        ("aerial-nrx", ("users.num_users=2", "pusch.dmrs.num_cdm_groups_without_data=1")),
    ],
)
def test_one_prb_is_decoded(target, changes):
    chosen = TARGETS[target]
    link = link_of(experiment_of("pusch-receivers", chosen.changes, changes), 1)
    graph = build_graph(chosen, NeuralReceiver("pusch-hybrid"), empty_slot(link), 6.0, {})
    model = RuntimeModel(torch_runtime(graph.module), graph.contract, graph.about)
    receiver = ModelReceiver(model, graph.contract, graph.fixed)
    for esn0_db in (-10.0, 6.0, 80.0):
        assert torch.isfinite(receiver(link.batch(range(2), esn0_db, 1, SCENARIO, False).observation)).all()
    errors = link.simulate({"file": receiver}, range(8), 30.0, seed=1, scenario_id=SCENARIO)["file"].block_errors
    assert errors.sum() <= 1
