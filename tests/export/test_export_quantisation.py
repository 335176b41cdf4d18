"""Smaller numbers in ONNX files, and when what they cost counts as known. BLER with int8 is in the notebook."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from pathlib import Path

import onnx
import pytest
import torch

from ran.export.graphs import build_graph
from ran.export.info import describe
from ran.export.loss import decided_loss, is_within, unknown
from ran.export.parity import LEAST_CORRELATION, compare_llrs
from ran.export.quantisation import to_f16, to_int8
from ran.export.runtime_model import ModelReceiver, RuntimeModel, torch_runtime
from ran.export.slots import empty_slot, experiment_of, link_of
from ran.export.targets import TARGETS
from ran.stats import Estimate
from receivers import NeuralReceiver, OnnxReceiver
from receivers.onnx.export import write_onnx

ESN0_DB = 8.0


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A float32 file, its link, and inputs of eight slots."""
    target = TARGETS["onnx"]
    link = link_of(experiment_of("pusch-receivers", target.changes, ()), 4)
    graph = build_graph(target, NeuralReceiver("pusch-hybrid"), empty_slot(link), ESN0_DB, {})
    path = tmp_path_factory.mktemp("whole") / "model.onnx"
    write_onnx(graph.module, graph.contract, graph.example, graph.fixed, graph.about, path)
    model = RuntimeModel(torch_runtime(graph.module), graph.contract, graph.about, keep=8)
    receiver = ModelReceiver(model, graph.contract, graph.fixed)
    observation = link.batch(range(8), ESN0_DB, 1, "quantisation", False).observation
    for i in range(8):
        receiver(observation.part(i, i + 1))
    return path, link, [feeds for feeds, _ in model.recorded]


@pytest.mark.parametrize("dtype", ["f16", "int8"])
def test_networks_alone_are_smaller(dtype, whole, tmp_path):
    path, link, feeds = whole
    smaller: Path = tmp_path / "smaller.onnx"
    shutil.copy(path, smaller)
    if dtype == "f16":
        to_f16(smaller)
    else:
        to_int8(smaller, feeds)
    graph, before = onnx.load(smaller).graph, onnx.load(path).graph
    assert [value.type for value in graph.input] == [value.type for value in before.input]
    kinds = Counter(tensor.data_type for tensor in graph.initializer)
    assert kinds[onnx.TensorProto.FLOAT16 if dtype == "f16" else onnx.TensorProto.INT8] > 10
    assert f"dtype: {dtype}" in describe(smaller)
    assert "state: as it was exported" in describe(smaller)
    found = compare_llrs(link, OnnxReceiver(str(path)), OnnxReceiver(str(smaller)), ESN0_DB, 2, "simulated")
    assert LEAST_CORRELATION[dtype] < found.correlation < 1 - 1e-11  # float16 is not float32
    assert torch.isfinite(torch.tensor(found.max_difference))


@pytest.mark.parametrize(
    ("loss", "within"),
    [
        (Estimate(0.1, 0.0, 0.2), True),
        (Estimate(0.1, -0.1, 0.3), False),  # the value is within, the interval is not
        (Estimate(-0.1, -0.3, 0.1), True),
        (Estimate(0.21, 0.1, 0.3), False),
        (Estimate(0.0, -math.inf, math.inf, reason="beyond"), False),
        (Estimate(0.0, -0.1, math.inf, reason="beyond"), False),
        (Estimate.missing("it stays above 0.1"), False),
    ],
)
def test_a_loss_that_is_not_known_is_not_within(loss, within):
    assert is_within(loss, 0.2) is within
    assert bool(unknown(loss)) is (loss.value is None or not math.isfinite(loss.high))


@pytest.mark.parametrize(
    ("intervals", "slots"),
    [
        ([(0.0, 0.1)], [64]),
        ([(0.25, 0.5)], [64]),
        ([(0.0, 0.4), (0.1, 0.3), (0.1, 0.2)], [64, 128, 256]),
        ([(0.1, 0.3)] * 4, [64, 128, 256, 512]),
        ([(-math.inf, math.inf), (0.3, 0.4)], [64, 128]),
    ],
)
def test_more_slots_until_the_interval_decides(intervals, slots):
    asked: list[int] = []

    def measure(num_slots: int) -> Estimate:
        low, high = intervals[len(asked)]
        asked.append(num_slots)
        return Estimate(0.15, low, high, reason="beyond" if math.isinf(low) else "")

    decided_loss(measure, 64, 0.2)
    assert asked == slots
