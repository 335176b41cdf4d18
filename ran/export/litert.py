"""LiteRT files: written by litert-torch, their networks kept in smaller numbers by ai-edge-quantizer."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from receivers.onnx.contract import Contract
from receivers.onnx.litert import CONTENT_SHA256, SCALARS, litert_metadata, sign_litert

#: What signatures are called that have no name.
_SIGNATURE = "serving_default"


class _Named(nn.Module):
    """A module with its tensors by name, as signatures have them."""

    def __init__(self, module: nn.Module, contract: Contract) -> None:
        super().__init__()
        self.module = module
        self._contract = contract

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        returned = self.module(*[inputs[spec.name] for spec in self._contract.inputs])
        outputs = returned if isinstance(returned, tuple) else (returned,)
        return {spec.name: tensor for spec, tensor in zip(self._contract.outputs, outputs, strict=False)}


def write_litert(
    module: nn.Module, contract: Contract, example: Sequence[Tensor], about: Mapping[str, str], path: Path
) -> None:
    """Write a module for the sizes of `example` (in the contract's order); the metadata become the file's."""
    inputs = {spec.name: tensor for spec, tensor in zip(contract.inputs, example, strict=True)}
    scalars = " ".join(spec.name for spec in contract.inputs if not spec.axes)
    with quiet(), torch.no_grad():
        import litert_torch

        litert_torch.convert(_Named(module, contract).eval(), sample_kwargs=inputs).export(str(path))
    _replace(path, sign_litert(path.read_bytes(), {**about, SCALARS: scalars}))


def litert_to_f16(path: Path) -> None:
    """Rewrite a file with the weights of its networks in float16; runtimes compute with those in their own type."""
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    content = path.read_bytes()
    quantizer, networks = _quantizer(content)
    for network in networks:
        quantizer.add_weight_only_config(
            ".*", network, 16, qtyping.QuantGranularity.TENSORWISE, AlgorithmName.FLOAT_CASTING
        )
    with quiet():
        result = quantizer.quantize(enable_progress_report=False)
    _rewrite(path, content, result, {"dtype": "f16"})


def litert_to_int8(path: Path, feeds: Sequence[dict[str, NDArray]]) -> None:
    """Rewrite a file with its convolutions in int8: static, weights per channel, activations from calibration slots."""
    content = path.read_bytes()
    quantizer, networks = _quantizer(content)
    for network in networks:
        quantizer.add_static_config(".*", network, activation_num_bits=8, weight_num_bits=8)
    slots = [{name: array if array.ndim else array.reshape(1) for name, array in slot.items()} for slot in feeds]
    with quiet():
        ranges = quantizer.calibrate({_SIGNATURE: slots}, num_threads=1)
        result = quantizer.quantize(ranges, enable_progress_report=False)
    _rewrite(path, content, result, {"dtype": "int8", "calibration_slots": str(len(slots))})


def litert_weights_to_int8(path: Path) -> None:
    """Rewrite a file with its fully connected layers and convolutions in int8: weights per channel, activations by what
    they are when it runs."""
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.quantizer import Quantizer

    content = path.read_bytes()
    quantizer, names = Quantizer(content), qtyping.TFLOperationName
    for operation in (names.FULLY_CONNECTED, names.CONV_2D):
        quantizer.add_dynamic_config(".*", operation, num_bits=8)
    with quiet():
        result = quantizer.quantize(enable_progress_report=False)
    _rewrite(path, content, result, {"dtype": "int8"})


def _quantizer(content: bytes) -> tuple[Any, tuple[Any, ...]]:
    """A quantizer without a recipe, and the operations that networks are made of."""
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.quantizer import Quantizer

    names = qtyping.TFLOperationName
    return Quantizer(content), (names.CONV_2D, names.DEPTHWISE_CONV_2D)


def _rewrite(path: Path, before: bytes, result: Any, changes: Mapping[str, str]) -> None:
    about = {key: text for key, text in litert_metadata(before, path.name).items() if key != CONTENT_SHA256}
    _replace(path, sign_litert(bytes(result.quantized_model), {**about, **changes}))


def _replace(path: Path, content: bytes) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    os.replace(new, path)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Converters tell of their progress on both streams, and warn of one another's insides."""
    nowhere = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        warnings.simplefilter("ignore")
        yield
