"""What LiteRT's converter takes, told from the exported programs alone: the converter itself is no part of the tests
that run everywhere (`test_export_litert.py`, mark litert)."""

from __future__ import annotations

import pytest
import torch

from ran.export.graphs import build_graph
from ran.export.slots import empty_slot, experiment_of, link_of
from ran.export.targets import TARGETS
from receivers import NeuralReceiver

#: LiteRT's maximum and minimum, and its powers ("failed to legalize operation 'tfl.maximum'", litert-torch 0.10).
MOST_AXES = {**dict.fromkeys(("clamp", "maximum", "minimum", "clamp_min", "clamp_max"), 5), "pow": 4}
# and its fast kernels (XNNPACK) take means and sums of six axes at most
MOST_AXES_IN = dict.fromkeys(("mean", "sum"), 6)


@pytest.mark.parametrize("weights", ["pusch-hybrid", "pusch-realtime"])
def test_limits_are_of_few_axes(weights):
    target = TARGETS["litert"]
    like = empty_slot(link_of(experiment_of("pusch-receivers", target.changes, ()), 2))
    graph = build_graph(target, NeuralReceiver(weights), like, 4.0, {})
    sizes = {"batch": 1, "num_rx_ant": 4, "num_symbols": 14, "num_subcarriers": 24, **graph.fixed}
    example = [
        torch.rand([axis if isinstance(axis, int) else sizes[axis] for axis in spec.axes])
        for spec in graph.contract.inputs
    ]
    nodes = torch.export.export(graph.module, tuple(example), strict=False).graph.nodes
    axes = [
        (name, node.meta["val"].dim())
        for node in nodes
        if node.op == "call_function" and (name := node.target.__name__.partition(".")[0]) in MOST_AXES
    ]
    assert len(axes) > 5
    assert [found for found in axes if found[1] > MOST_AXES[found[0]]] == []
    summed = [
        (name, node.args[0].meta["val"].dim())
        for node in nodes
        if node.op == "call_function" and (name := node.target.__name__.partition(".")[0]) in MOST_AXES_IN
    ]
    assert len(summed) > 5
    assert [found for found in summed if found[1] > MOST_AXES_IN[found[0]]] == []
