"""A LiteRT file (.tflite) and the interpreter that runs it."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from receivers.files import parse_json, read_bytes
from receivers.onnx.contract import TensorOfFile

#: Name of the entry among a file's metadata that holds ours, as JSON.
_ENTRY = b"ran6g.json"
#: Metadata: hash of the file with this hash written as zeros; inputs without dimensions, which the format lacks.
CONTENT_SHA256, SCALARS = "content_sha256", "scalars"
_IDENTIFIER = b"TFL3"
_NEEDS = "needs ai_edge_litert: pip install 'ran6g[litert]'"


class LitertModel:
    """A model in one file, run by LiteRT's interpreter on one thread.

    inputs, outputs: what its signature declares; every size is fixed. metadata: text by key. sha256: of the file.
    `ValueError` in one line for a file that is missing or damaged, and without LiteRT.
    """

    runtime = "LiteRT"

    def __init__(self, file: str | Path) -> None:
        self.path = Path(file)
        content = read_bytes(self.path)
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.metadata = litert_metadata(content, self.path.name)
        scalars = self.metadata.get(SCALARS, "").split()
        try:
            from ai_edge_litert.interpreter import Interpreter

            interpreter = Interpreter(model_content=content, num_threads=1)
            self._run = interpreter.get_signature_runner()
            inputs, outputs = self._run.get_input_details(), self._run.get_output_details()
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"{self.path.name}: is no LiteRT file that can be run: {_one_line(error)}") from None
        self.inputs = tuple(_declared(name, detail, scalars) for name, detail in inputs.items())
        self.outputs = tuple(_declared(name, detail, scalars) for name, detail in outputs.items())
        self._interpreter = interpreter  # the runner borrows it

    def run(self, feeds: Mapping[str, NDArray], outputs: list[str]) -> list[NDArray]:
        """The outputs asked for. `ValueError` where the model cannot take these inputs."""
        given = {}
        for tensor in self.inputs:
            array = np.ascontiguousarray(feeds[tensor.name])
            shape = tuple(size for size in tensor.shape if size is not None)
            if array.shape not in (shape, shape or (1,)):
                raise ValueError(
                    f"{self.path.name}: cannot run on {tensor.name} {list(array.shape)}; allowed: {list(shape)}"
                )
            given[tensor.name] = array.reshape(shape or (1,))
        found = self._run(**given)
        return [found[name] for name in outputs]


def litert_metadata(content: bytes, name: str) -> dict[str, str]:
    """Our metadata in a file, nothing in a file of others. `ValueError` for what is no LiteRT file."""
    schema = _schema(name)
    if content[4:8] != _IDENTIFIER:
        raise ValueError(f"{name}: is no LiteRT file")
    try:
        model = schema.Model.GetRootAs(content, 0)
        for index in range(model.MetadataLength()):
            entry = model.Metadata(index)
            if entry.Name() == _ENTRY:
                found = parse_json(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
                return {str(key): str(value) for key, value in found.items()}
    except (struct.error, ValueError, IndexError, TypeError, AttributeError) as error:  # offsets lead anywhere
        raise ValueError(f"{name}: is no LiteRT file: damaged ({_one_line(error)})") from None
    return {}


def sign_litert(content: bytes, about: Mapping[str, str]) -> bytes:
    """A file with our metadata, and with the hash of all that it holds."""
    import flatbuffers

    schema = _schema("file")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    for held in model.buffers:
        if held.offset > 1:  # what lies behind the tables would be lost when they are written anew
            held.data = np.frombuffer(content[held.offset : held.offset + held.size], np.uint8)
            held.offset = held.size = 0
    kept = [entry for entry in model.metadata or [] if entry.name != _ENTRY]
    entry, buffer = schema.MetadataT(), schema.BufferT()
    text = json.dumps({**about, CONTENT_SHA256: "0" * 64})
    buffer.data = np.frombuffer(text.encode(), np.uint8)
    model.buffers.append(buffer)
    entry.name, entry.buffer = _ENTRY, len(model.buffers) - 1
    model.metadata = [*kept, entry]
    builder = flatbuffers.Builder(len(content) + len(text))
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    unsigned = bytes(builder.Output())
    return unsigned.replace(_hash_text("0" * 64), _hash_text(hashlib.sha256(unsigned).hexdigest()))


def litert_content_sha256(content: bytes, stated: str) -> str:
    """SHA-256 of a file, with the hash that it states read as zeros."""
    return hashlib.sha256(content.replace(_hash_text(stated), _hash_text("0" * 64))).hexdigest()


def _hash_text(digest: str) -> bytes:
    return f'"{CONTENT_SHA256}": "{digest}"'.encode()


def _schema(name: str) -> Any:
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError:
        raise ValueError(f"{name}: {_NEEDS}") from None
    return schema_py_generated


def _declared(name: str, detail: Mapping[str, Any], scalars: list[str]) -> TensorOfFile:
    shape = () if name in scalars else tuple(int(size) for size in detail["shape"])
    return TensorOfFile(name, np.dtype(detail["dtype"]).name, shape)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:197] + "..."
