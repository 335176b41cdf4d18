"""An ONNX file and the session that runs it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from receivers.errors import unknown_name
from receivers.files import read_bytes
from receivers.onnx.contract import TensorOfFile

_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(int32)": "int32"}
#: Only errors: what the runtime warns of is not for whoever simulates.
_LOG_ERRORS = 3


class RunsModel(Protocol):
    """Something that runs with named inputs: an `OnnxModel`, or its twin in torch."""

    inputs: tuple[TensorOfFile, ...]
    metadata: dict[str, str]

    def run(self, feeds: Mapping[str, NDArray], outputs: list[str]) -> list[NDArray]: ...


class OnnxModel:
    """A model in one file, run by onnxruntime on one thread.

    inputs, outputs: what the file declares. metadata: text by key. sha256: of the file.
    `ValueError` in one line for a file that is missing, damaged, or that keeps its weights elsewhere.
    """

    runtime = "onnxruntime"

    def __init__(self, file: str | Path, provider: str = "cpu") -> None:
        self.path = Path(file)
        content = read_bytes(self.path)
        self.sha256 = hashlib.sha256(content).hexdigest()
        self._session = _session(self.path.name, content, provider)
        self.inputs = tuple(_declared(node) for node in self._session.get_inputs())
        self.outputs = tuple(_declared(node) for node in self._session.get_outputs())
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def run(self, feeds: Mapping[str, NDArray], outputs: list[str]) -> list[NDArray]:
        """The outputs asked for. `ValueError` where the model cannot take these inputs."""
        given = {tensor.name: np.ascontiguousarray(feeds[tensor.name]) for tensor in self.inputs}
        try:
            found: list[NDArray] = self._session.run(outputs, given)
        except Exception as error:  # onnxruntime has a class per status, all of them plain exceptions
            shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in given.items())
            raise ValueError(f"{self.path.name}: cannot run on {shapes}: {_one_line(error)}") from None
        return found


def _session(name: str, content: bytes, provider: str) -> Any:
    import onnxruntime  # takes a while to import

    providers = {
        known.removesuffix("ExecutionProvider").lower(): known for known in onnxruntime.get_available_providers()
    }
    if provider not in providers:
        raise unknown_name("provider", provider, providers)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = _LOG_ERRORS + 1
    try:
        return onnxruntime.InferenceSession(content, options, providers=[providers[provider]])
    except Exception as error:  # as above
        raise ValueError(f"{name}: is no ONNX file that can be run: {_one_line(error)}") from None


def _declared(node: Any) -> TensorOfFile:
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)
    return TensorOfFile(node.name, _TYPES.get(node.type, node.type), shape)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:197] + "..."
