"""Smaller numbers in an ONNX file: the networks in float16 or int8, the closed forms around them left in float32."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ran.errors import InputError
from ran.export.half_precision import halve_networks
from receivers.onnx.export import CONTENT_SHA256, sign_metadata


class _Slots:
    """Calibration inputs, one slot after the other, as onnxruntime asks for them."""

    def __init__(self, feeds: Sequence[dict[str, NDArray]]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> dict[str, NDArray] | None:
        return next(self._feeds, None)


def to_f16(path: Path) -> None:
    """Rewrite a file with its networks in float16; inputs and outputs stay as the contract has them."""
    import onnx

    model = onnx.load(path)
    about = _metadata(model)
    if not halve_networks(model):
        raise InputError("--dtype: got 'f16' for a model without networks; allowed: f32")
    _save(model, {**about, "dtype": "f16"}, path)


def with_half_buffers(path: Path, out: Path) -> None:
    """Write a file anew with float16 in place of float32 inputs and outputs; inside, all stays as it is."""
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load(path)
    graph = model.graph
    casts_in, casts_out = [], []
    for value in (*graph.input, *graph.output):
        kind = value.type.tensor_type
        if kind.elem_type != TensorProto.FLOAT:
            continue
        kind.elem_type, name, inside = TensorProto.FLOAT16, value.name, f"{value.name}_f32"
        for node in graph.node:
            node.input[:] = [inside if used == name else used for used in node.input]
            node.output[:] = [inside if made == name else made for made in node.output]
        if value in graph.input:
            casts_in.append(helper.make_node("Cast", [name], [inside], to=TensorProto.FLOAT))
        else:
            casts_out.append(helper.make_node("Cast", [inside], [name], to=TensorProto.FLOAT16))
    nodes = [*casts_in, *graph.node, *casts_out]
    del graph.node[:]
    graph.node.extend(nodes)
    _save(model, {**_metadata(model), "buffers": "f16"}, out)


def to_int8(path: Path, feeds: Sequence[dict[str, NDArray]]) -> None:
    """Rewrite a file with its convolutions in int8: static, weights per channel, activations from calibration slots."""
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    about = _metadata(onnx.load(path))
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises a preparation that open sizes do not survive
    try:
        with tempfile.TemporaryDirectory() as folder:
            smaller = Path(folder) / "int8.onnx"
            quantize_static(
                str(path),
                str(smaller),
                _Slots(feeds),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
            )
            model = onnx.load(smaller)
    finally:
        root.setLevel(level)
    _save(model, {**about, "dtype": "int8", "calibration_slots": str(len(feeds))}, path)


def _metadata(model: Any) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props if entry.key != CONTENT_SHA256}


def _save(model: Any, about: dict[str, str], path: Path) -> None:
    import onnx

    sign_metadata(model, about)
    new = path.with_name(f".{path.name}.new")
    onnx.save(model, new)
    os.replace(new, path)
