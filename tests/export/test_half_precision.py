"""Float16 in ONNX files: networks alone, casts only where they begin and end, finite and right at any signal level."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from ran.export.graphs import build_graph
from ran.export.half_precision import halve_networks
from ran.export.quantisation import to_f16
from ran.export.slots import empty_slot, experiment_of, link_of
from ran.export.targets import TARGETS
from receivers import NeuralReceiver, OnnxReceiver
from receivers.onnx.export import write_onnx

#: Passes of the two networks: each begins and ends once.
PASSES = {"pusch-hybrid": 2, "pusch-realtime": 2}


@pytest.fixture(scope="module", params=PASSES)
def both(request, tmp_path_factory) -> tuple[str, Path, Path]:
    """Weights, their float32 file, and that file with its networks in float16."""
    target, folder = TARGETS["onnx"], tmp_path_factory.mktemp(request.param)
    like = empty_slot(link_of(experiment_of("pusch-receivers", target.changes, ()), 4))
    graph = build_graph(target, NeuralReceiver(request.param), like, 4.0, {})
    write_onnx(graph.module, graph.contract, graph.example, graph.fixed, graph.about, folder / "whole.onnx")
    shutil.copy(folder / "whole.onnx", folder / "half.onnx")
    to_f16(folder / "half.onnx")
    return request.param, folder / "whole.onnx", folder / "half.onnx"


def test_casts_stand_only_where_networks_begin_and_end(both):
    weights, whole, half = both
    before, after = onnx.load(whole).graph, onnx.load(half).graph
    kinds = [node.attribute[0].i for node in after.node if node.op_type == "Cast"]
    assert kinds.count(TensorProto.FLOAT16) == PASSES[weights]
    assert len(kinds) == sum(node.op_type == "Cast" for node in before.node) + 2 * PASSES[weights]
    ours = {
        name
        for node in after.node
        if node.op_type == "Cast" and node.attribute[0].i == TensorProto.FLOAT16
        for name in node.output
    }
    back = [node.name for node in after.node if node.op_type == "Cast" and node.input[0] in ours]
    assert back == [], "casts that lead straight back"


def test_all_weights_are_halved(both):
    _, whole, half = both
    weights = {tensor.name for tensor in onnx.load(whole).graph.initializer if "passes." in tensor.name}
    halved = {tensor.name for tensor in onnx.load(half).graph.initializer if tensor.data_type == TensorProto.FLOAT16}
    assert halved == {f"{name}_f16" for name in weights}
    onnx.checker.check_model(onnx.load(half), full_check=True)


@pytest.mark.parametrize(("num_prb", "num_rx_ant"), [(1, 1), (1, 2), (4, 2)])
def test_finite_and_as_float32_from_weak_to_strong_signals(both, num_prb, num_rx_ant):
    """-10 to 80 dB, down to the smallest slot. What float16 may cost there is far below what noise costs."""
    _, whole, half = both
    link = link_of(experiment_of("pusch-receivers", TARGETS["onnx"].changes, ()), num_prb, num_rx_ant)
    receivers = {"whole": OnnxReceiver(str(whole)), "half": OnnxReceiver(str(half))}
    for esn0_db in (-10.0, 10.0, 30.0, 40.0, 60.0, 80.0):
        observation = link.batch(range(8), esn0_db, 3, "half", False).observation
        expected, found = (receiver(observation) for receiver in receivers.values())
        assert torch.isfinite(found).all()
        assert float((found - expected).abs().max()) < 2e-3 * float(expected.abs().max())
        errors = link.simulate(receivers, range(8), esn0_db, seed=3, scenario_id="half")
        np.testing.assert_array_equal(errors["half"].block_errors, errors["whole"].block_errors)


def test_what_lies_outside_of_networks_is_not_rounded():
    """x / 1e-9 after a network: in float16 the divisor is 0. A tensor that both sides read is cast once."""
    kernel = helper.make_tensor("kernel", TensorProto.FLOAT, (1, 1, 1, 1), [2.0])
    small = helper.make_tensor("small", TensorProto.FLOAT, (1,), [1e-9])
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["first"]),
        helper.make_node("Relu", ["first"], ["active"]),
        helper.make_node("Conv", ["active", "kernel"], ["second"]),
        helper.make_node("Div", ["second", "small"], ["ratio"]),
        helper.make_node("Mul", ["active", "small"], ["product"]),
    ]
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, 1, 1, 1)) for n in ("x", "ratio", "product")]
    model = helper.make_model(
        helper.make_graph(nodes, "g", value[:1], value[1:], [kernel, small]),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    assert halve_networks(model) == 3
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    ratio, product = session.run(["ratio", "product"], {"x": np.ones((1, 1, 1, 1), np.float32)})
    assert ratio.item() == pytest.approx(4e9)
    assert product.item() == pytest.approx(2e-9)
    assert sum(node.op_type == "Cast" for node in model.graph.node) == 3


def test_a_model_without_networks_is_left_alone():
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1,)) for name in ("x", "y")]
    model = helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", value[:1], value[1:]))
    before = model.SerializeToString()
    assert halve_networks(model) == 0
    assert model.SerializeToString() == before
