"""Formats of model files: how a module becomes a file, and what runs the file again."""

from __future__ import annotations

import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch
from numpy.typing import NDArray
from torch import Tensor

from ran.errors import InputError
from ran.export.files import TORCH_METADATA
from ran.export.graphs import Graph
from ran.export.litert import litert_to_f16, litert_to_int8, write_litert
from ran.export.quantisation import to_f16, to_int8
from ran.export.runtime_model import ModelReceiver, Runtime, RuntimeModel, torch_runtime
from ran.export.savedmodel import SavedModel, write_savedmodel
from receivers import OnnxReceiver, Receiver
from receivers.onnx.export import write_onnx
from receivers.onnx.receiver import open_model

Feeds = Sequence[dict[str, NDArray]]


class FileFormat(ABC):
    """runtime: what runs such files, in words. suffix: of their names; "" for folders. one_size: whether a file takes
    slots of one size, one at a time. consumer: Python lines that run a file, from `model` and `feeds` to `outputs`.
    """

    runtime: ClassVar[str]
    suffix: ClassVar[str]
    one_size: ClassVar[bool] = True
    consumer: ClassVar[str]
    #: Whether the C++ program for ONNX files runs it.
    runs_in_cpp: ClassVar[bool] = False

    @abstractmethod
    def write(self, graph: Graph, example: tuple[Tensor, ...], path: Path) -> None:
        """example: inputs in the contract's order, of the one size that such a file may have."""

    @abstractmethod
    def open(self, path: Path, graph: Graph) -> Runtime:
        """What runs a file: inputs in the contract's order to outputs in the contract's order."""

    def receiver(self, path: Path, graph: Graph) -> Receiver:
        """A file as a receiver, in its own runtime."""
        model = RuntimeModel(self.open(path, graph), graph.contract, graph.about)
        return ModelReceiver(model, graph.contract, self.sizes(graph))

    def sizes(self, graph: Graph) -> dict[str, int]:
        """Sizes that a file fixes: those of the graph, and where it has one size the batch."""
        return {**graph.fixed, "batch": 1} if self.one_size else dict(graph.fixed)

    def to_f16(self, path: Path) -> None:
        """Rewrite a file with its networks in float16."""
        raise NotImplementedError(f"{type(self).__name__} has float32 alone")

    def to_int8(self, path: Path, feeds: Feeds) -> None:
        """Rewrite a file with its networks in int8. feeds: inputs of slots that activations are scaled on."""
        raise NotImplementedError(f"{type(self).__name__} has float32 alone")


def described(graph: Graph) -> dict[str, str]:
    """Metadata of a file that names its contract itself."""
    return {"contract": graph.contract.name, "contract_version": str(graph.contract.version), **graph.about}


class _NamedTensors(FileFormat):
    """Files that `receivers.OnnxReceiver` runs."""

    def open(self, path: Path, graph: Graph) -> Runtime:
        model = open_model(path)
        outputs = [tensor.name for tensor in model.outputs]

        def run(*arrays: NDArray) -> tuple[NDArray, ...]:
            names = [spec.name for spec in graph.contract.inputs]
            return tuple(model.run(dict(zip(names, arrays, strict=True)), outputs))

        return run

    def receiver(self, path: Path, graph: Graph) -> Receiver:
        return OnnxReceiver(str(path), graph.contract.name, probe=False)  # type: ignore[arg-type]


class OnnxFormat(_NamedTensors):
    """ONNX, sizes left open where the contract leaves them open."""

    runtime, suffix, one_size, runs_in_cpp = "onnxruntime", ".onnx", False, True
    consumer = """import onnxruntime

session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
names = [output.name for output in session.get_outputs()]
outputs = dict(zip(names, session.run(names, feeds)))"""

    def write(self, graph: Graph, example: tuple[Tensor, ...], path: Path) -> None:
        try:
            write_onnx(graph.module, graph.contract, graph.example, graph.fixed, graph.about, path)
        except ValueError as error:
            raise InputError(str(error)) from None

    def to_f16(self, path: Path) -> None:
        to_f16(path)

    def to_int8(self, path: Path, feeds: Feeds) -> None:
        to_int8(path, list(feeds))


class TorchFormat(FileFormat):
    """torch.export program."""

    runtime, suffix = "torch", ".pt2"
    consumer = """import torch

program = torch.export.load(model).module()
with torch.no_grad():
    outputs = {"llr": program(*[torch.from_numpy(array) for array in feeds.values()]).numpy()}"""

    def write(self, graph: Graph, example: tuple[Tensor, ...], path: Path) -> None:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.export.export(graph.module, example, strict=False)
            torch.export.save(program, path, extra_files={TORCH_METADATA: json.dumps(described(graph))})

    def open(self, path: Path, graph: Graph) -> Runtime:
        return torch_runtime(torch.export.load(path).module())


class LitertFormat(_NamedTensors):
    """LiteRT (TensorFlow Lite)."""

    runtime, suffix = "LiteRT", ".tflite"
    consumer = """from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter(model_path=model)
run = interpreter.get_signature_runner()
outputs = run(**{name: array if array.ndim else array.reshape(1) for name, array in feeds.items()})"""

    def write(self, graph: Graph, example: tuple[Tensor, ...], path: Path) -> None:
        write_litert(graph.module, graph.contract, example, described(graph), path)

    def to_f16(self, path: Path) -> None:
        litert_to_f16(path)

    def to_int8(self, path: Path, feeds: Feeds) -> None:
        litert_to_int8(path, feeds)


class SavedModelFormat(FileFormat):
    """TensorFlow SavedModel."""

    runtime, suffix = "TensorFlow", ""
    consumer = """import tensorflow as tf

loaded = tf.saved_model.load(model)
run = loaded.signatures["serving_default"]
found = run(**{name: tf.constant(array) for name, array in feeds.items()})
outputs = {name: tensor.numpy() for name, tensor in found.items()}"""

    def write(self, graph: Graph, example: tuple[Tensor, ...], path: Path) -> None:
        write_savedmodel(graph.module, graph.contract, example, described(graph), path)

    def open(self, path: Path, graph: Graph) -> Runtime:
        return SavedModel(path, graph.contract)
