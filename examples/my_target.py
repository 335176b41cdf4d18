"""An export target of one's own: the ONNX file after onnxruntime's own optimisation of its graph."""

from pathlib import Path
from typing import Literal

import onnxruntime
from torch import Tensor

from ran.export.formats import OnnxFormat
from ran.export.graphs import Graph
from ran.export.targets import Onnx

LEVELS = {
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
}


class OptimisedFormat(OnnxFormat):
    """ONNX, with constants folded and operations fused."""

    def __init__(self, level: str) -> None:
        self.level = level

    def write(self, graph: Graph, example: tuple[Tensor, ...], path: Path) -> None:
        super().write(graph, example, path)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = LEVELS[self.level]
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])


class Optimised(Onnx):
    """ONNX as onnxruntime would optimise it when it loads the file"""

    name = "optimised"
    dtypes = ("f32",)

    def __init__(self, level: Literal["basic", "extended"] = "basic") -> None:
        self.level = level
        self.format = OptimisedFormat(level)
