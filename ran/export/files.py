"""Modules as files of each runtime, and the runtime that runs such a file again."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from numpy.typing import NDArray
from torch import Tensor

from ran.errors import InputError
from ran.export.graphs import Graph
from ran.export.litert import write_litert
from ran.export.savedmodel import SavedModel, write_savedmodel
from ran.export.twin import ModelReceiver, Runtime, RuntimeModel, torch_runtime
from receivers import OnnxReceiver, Receiver
from receivers.onnx.export import write_onnx
from receivers.onnx.receiver import open_model

#: Name of the metadata beside a torch.export program's graph.
_METADATA = "ran6g.json"


def write_model(graph: Graph, runtime: str, example: tuple[Tensor, ...], path: Path) -> None:
    """Write a module as a file. example: inputs of the one size that files for torch and LiteRT have."""
    about = {"contract": graph.contract.name, "contract_version": str(graph.contract.version), **graph.about}
    if runtime == "onnxruntime":
        try:
            write_onnx(graph.module, graph.contract, graph.example, graph.fixed, graph.about, path)
        except ValueError as error:
            raise InputError(str(error)) from None
    elif runtime == "torch":
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.export.export(graph.module, example, strict=False)
            torch.export.save(program, path, extra_files={_METADATA: json.dumps(about)})
    elif runtime == "TensorFlow":
        write_savedmodel(graph.module, graph.contract, example, about, path)
    else:
        write_litert(graph.module, graph.contract, example, about, path)


def receiver_of(path: Path, graph: Graph, runtime: str) -> Receiver:
    """A file as a receiver in its own runtime."""
    if runtime in ("onnxruntime", "LiteRT"):
        return OnnxReceiver(str(path), graph.contract.name, probe=False)  # type: ignore[arg-type]
    return ModelReceiver(
        RuntimeModel(runtime_of(path, graph, runtime), graph.contract, graph.about),
        graph.contract,
        one_size(graph, runtime),
    )


def one_size(graph: Graph, runtime: str) -> dict[str, int]:
    """Sizes that a file fixes: those of the graph, and for runtimes of one size the batch."""
    return dict(graph.fixed) if runtime == "onnxruntime" else {**graph.fixed, "batch": 1}


def runtime_of(path: Path, graph: Graph, runtime: str) -> Runtime:
    """What runs a file: inputs in the contract's order to outputs in the contract's order."""
    if runtime in ("onnxruntime", "LiteRT"):
        model = open_model(path)
        outputs = [tensor.name for tensor in model.outputs]

        def run(*arrays: NDArray) -> tuple[NDArray, ...]:
            names = [spec.name for spec in graph.contract.inputs]
            return tuple(model.run(dict(zip(names, arrays, strict=True)), outputs))

        return run
    if runtime == "TensorFlow":
        return SavedModel(path, graph.contract)
    return torch_runtime(torch.export.load(path).module())


def size_and_sha256(path: Path) -> tuple[int, str]:
    """Bytes of a file and their SHA-256; of a folder those of all its files, by name."""
    if path.is_file():
        content = path.read_bytes()
        return len(content), hashlib.sha256(content).hexdigest()
    parts = sorted(part for part in path.rglob("*") if part.is_file())
    digest, size = hashlib.sha256(), 0
    for part in parts:
        content = part.read_bytes()
        digest.update(f"{part.relative_to(path).as_posix()} {len(content)}\n".encode() + content)
        size += len(content)
    return size, digest.hexdigest()


def torch_metadata(path: Path) -> Mapping[str, str]:
    """Metadata of a torch.export program."""
    extra = {_METADATA: ""}
    torch.export.load(path, extra_files=extra)
    found: dict[str, str] = json.loads(extra[_METADATA] or "{}")
    return found
