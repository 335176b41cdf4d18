"""Two layers in `aerial-nrx`: apart on other REs, or by cover codes on the same (TS 38.211 table 6.4.1.1.3-1)."""

from __future__ import annotations

import numpy as np
import pytest

from ran.errors import InputError
from ran.export.check import check_file
from ran.export.graphs import build_graph
from ran.export.request import Request
from ran.export.run import export
from ran.export.runtime_model import ModelReceiver, RuntimeModel, torch_runtime
from ran.export.slots import empty_slot, experiment_of, link_of
from ran.export.targets import TARGETS
from receivers import NeuralReceiver

TARGET = TARGETS["aerial-nrx"]
LAYOUTS = {
    "two users, two CDM groups": (("users.num_users=2",), (0, 1)),
    "one user, two CDM groups": (("pusch.num_layers=2",), (0, 1)),
    "two users, one CDM group": (("users.num_users=2", "pusch.dmrs.num_cdm_groups_without_data=1"), (0, 0)),
}


@pytest.mark.parametrize(("changes", "first"), LAYOUTS.values(), ids=LAYOUTS)
def test_two_layers_decode_like_the_weights(changes, first):
    """The file gets neither noise level nor pilots; what it measures instead may turn a block at the edge."""
    num_drops = 48
    link = link_of(experiment_of("pusch-receivers", TARGET.changes, changes), 8)
    like = empty_slot(link)
    assert like.layout.first_subcarrier == first
    weights = NeuralReceiver("pusch-hybrid")
    graph = build_graph(TARGET, weights, like, 4.0, {})
    model = RuntimeModel(torch_runtime(graph.module), graph.contract, graph.about)
    file = ModelReceiver(model, graph.contract, graph.fixed)
    found = link.simulate({"weights": weights, "file": file}, range(num_drops), 4.0, seed=5, scenario_id="layers")
    errors = {name: outcome.block_errors for name, outcome in found.items()}
    assert 0 < errors["weights"].sum() < errors["weights"].size
    # paired: only drops at the edge of decoding may differ
    assert np.sum(errors["weights"] != errors["file"]) <= 0.1 * errors["weights"].size


def test_file_of_two_layers(tmp_path):
    request = Request(
        "pusch-hybrid",
        TARGET,
        tmp_path / "two",
        num_prb=(4,),
        changes=("users.num_users=2",),
        num_slots=16,
        latency_slots=5,
    )
    outcome = export(request)
    (file,) = outcome.files
    assert not outcome.problems
    assert file.bler is not None
    assert file.bler.other_decisions == 0
    broken = [clause for clause in check_file(outcome.folder / file.name, "aerial-nrx") if clause.met is not True]
    assert broken == []


def test_three_layers_are_refused():
    link = link_of(experiment_of("pusch-receivers", TARGET.changes, ("users.num_users=3",)), 4)
    with pytest.raises(InputError, match=r"aerial-nrx: .*3 layers"):
        build_graph(TARGET, NeuralReceiver("pusch-hybrid"), empty_slot(link), 4.0, {})
