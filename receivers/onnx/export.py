"""Trained neural receivers as ONNX files of the contracts."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from receivers.neural.hybrid import HybridReceiver
from receivers.neural.receiver import NeuralReceiver
from receivers.neural.soft_pilots import SoftPilotReceiver
from receivers.onnx.contract import Contract
from receivers.onnx.contracts import GENERIC
from receivers.onnx.generic import COUNTS_POSITIONS, FIRST_ESTIMATE
from receivers.onnx.hybrid import HybridGraph
from receivers.onnx.soft_pilots import SoftPilotGraph

#: Operator set: old enough for the runtimes in the field, new enough for every operation used.
_OPSET = 17
#: Key of the metadata with the hash of all the rest of a file.
CONTENT_SHA256 = "content_sha256"


def export_generic(weights: str, out: str | Path, *, bits_per_symbol: int = 4, num_layers: int = 1) -> Path:
    """Write trained weights (a name, or a .safetensors file) as ONNX; returns the path of the file.

    Batch, antennas, OFDM symbols and PRBs stay open; bits per symbol and layers are fixed in the file. The first
    estimate, that of the `lmmse` or of the `blind` receiver, is made outside: its covariance has one size per
    allocation. The metadata name it.
    `ValueError` for what the weights were not trained for. The file appears whole or not at all.
    """
    receiver = NeuralReceiver(weights, reject_bursts=False)
    graph, example, about = generic_graph(receiver, bits_per_symbol, num_layers)
    sizes = {"num_layers": num_layers, "bits_per_symbol": bits_per_symbol}
    return write_onnx(graph, GENERIC, example, sizes, about_weights(receiver) | about, out)


def generic_graph(
    receiver: NeuralReceiver, bits_per_symbol: int, num_layers: int
) -> tuple[HybridGraph | SoftPilotGraph, tuple[Tensor, ...], dict[str, str]]:
    """A receiver as a module with the `generic` inputs, an example of those, and what its metadata must say."""
    receiver.check(bits_per_symbol, num_layers, 1)
    model = receiver.model
    graph: HybridGraph | SoftPilotGraph
    first: dict[str, object]
    if isinstance(model, SoftPilotReceiver):
        first = {"name": "blind", "max_cfo_hz": model.first_estimate.max_cfo_hz}
        graph = SoftPilotGraph(model, bits_per_symbol)
        most_layers = 4
    elif isinstance(model, HybridReceiver):
        prior = model.first_estimate
        first = {"name": "lmmse", "delay_spread_ns": prior.delay_spread_s * 1e9, "max_doppler_hz": prior.max_doppler_hz}
        graph = HybridGraph(model, bits_per_symbol)
        most_layers = 2
    else:
        kind = type(model).__name__
        raise ValueError(
            f"weights: got {receiver.weights!r}, {kind}; allowed: architecture hybrid or soft-pilots; any with the "
            "targets onnx, tensorrt and torch"
        )
    if not 1 <= num_layers <= most_layers or bits_per_symbol < 2:
        raise ValueError(
            f"got {num_layers} layers, {bits_per_symbol} bits per symbol; allowed: 1 to {most_layers} layers, QPSK up"
        )
    about = {
        FIRST_ESTIMATE: json.dumps(first),
        # the graph counts them among all symbols with pilots
        **({COUNTS_POSITIONS: "yes"} if model.shown_range.fewest_dmrs_positions > 1 else {}),
        "bits_per_symbol": str(bits_per_symbol),
        "num_layers": str(num_layers),
    }
    return graph.eval(), tuple(_example(num_layers)), about


def hybrid_model(receiver: NeuralReceiver, bits_per_symbol: int, num_layers: int) -> HybridReceiver:
    """The network of a receiver that was trained for such slots; `ValueError` otherwise."""
    receiver.check(bits_per_symbol, num_layers, 1)
    model = receiver.model
    if not isinstance(model, HybridReceiver):
        raise ValueError(f"weights: got {receiver.weights!r}, {type(model).__name__}; allowed: architecture hybrid")
    return model


def about_weights(receiver: NeuralReceiver) -> dict[str, str]:
    """Metadata on where a model's weights come from."""
    card = receiver.card
    return {
        "task": str(card.get("description", "")),
        "weights": card["name"],
        "weights_sha256": receiver.sha256,
        "training_commit": str(dict(card.get("training", {})).get("commit", "")),
        "licence": card.get("licence", ""),
    }


def write_onnx(
    graph: nn.Module,
    contract: Contract,
    example: tuple[Tensor, ...],
    fixed: Mapping[str, int],
    about: Mapping[str, str],
    out: str | Path,
) -> Path:
    """Write a module as ONNX with a contract's names; sizes that are not in `fixed` stay open.

    example: inputs in the contract's order. about: metadata besides the contract. `ValueError` when the file cannot be
    written; it appears whole or not at all.
    """
    onnx = onnx_package()  # takes a while to import

    path = Path(out)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        temporary.write_bytes(b"")
        _trace(graph, contract, example, fixed, temporary)
        proto = onnx.load(temporary)
        _declare_outputs(proto, contract, fixed)
        proto.producer_name, proto.producer_version = "ran6g", ""
        sign_metadata(proto, {"contract": contract.name, "contract_version": str(contract.version), **about})
        onnx.save(proto, temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise ValueError(f"{path}: cannot be written: {error.strerror or error}") from None
    except torch.onnx.OnnxExporterError as error:
        raise ValueError(
            f"{path.name}: cannot be written as ONNX: {str(error).splitlines()[0]}; allowed: what operator set "
            f"{_OPSET} has, or --target torch"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)
    return path


def onnx_package() -> Any:
    """The package onnx, which writes files and reads what is in them; `ValueError` where it is not installed."""
    try:
        import onnx
    except ImportError:
        raise ValueError("onnx: not installed; allowed: after pip install 'ran6g[onnx]'") from None
    return onnx


def sign_metadata(proto: Any, about: Mapping[str, str]) -> None:
    """Set a model's metadata, with the hash of all that it holds besides."""
    onnx = onnx_package()
    onnx.helper.set_model_props(proto, dict(about))
    onnx.helper.set_model_props(proto, {**about, CONTENT_SHA256: content_sha256(proto)})


def content_sha256(proto: Any) -> str:
    """SHA-256 of a model with its metadata, but for this hash itself."""
    onnx = onnx_package()
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    kept = sorted((entry.key, entry.value) for entry in proto.metadata_props if entry.key != CONTENT_SHA256)
    onnx.helper.set_model_props(copy, dict(kept))
    return hashlib.sha256(copy.SerializeToString(deterministic=True)).hexdigest()


def _trace(
    graph: nn.Module, contract: Contract, example: tuple[Tensor, ...], fixed: Mapping[str, int], file: Path
) -> None:
    """Write the graph as an ONNX model whose open sizes have the contract's names.

    By tracing: dynamo's export proves every open size first, which takes half a minute for the same graph.
    """
    with torch.no_grad():
        returned = graph(*example)
    num_outputs = len(returned) if isinstance(returned, tuple) else 1
    specs = (*contract.inputs, *contract.outputs[:num_outputs])
    open_axes = {
        spec.name: {i: axis for i, axis in enumerate(spec.axes) if isinstance(axis, str) and axis not in fixed}
        for spec in specs
    }
    # it prints the whole graph where it stops
    with warnings.catch_warnings(), torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            example,
            file,
            input_names=[spec.name for spec in contract.inputs],
            output_names=[spec.name for spec in contract.outputs[:num_outputs]],
            dynamic_axes={name: axes for name, axes in open_axes.items() if axes},
            opset_version=_OPSET,
            dynamo=False,
        )


def _declare_outputs(proto: Any, contract: Contract, fixed: Mapping[str, int]) -> None:
    """Write the sizes of the outputs, which tracing does not see through."""
    for output, spec in zip(proto.graph.output, contract.outputs, strict=False):
        for dim, axis in zip(output.type.tensor_type.shape.dim, spec.axes, strict=True):
            if isinstance(axis, int) or axis in fixed:
                dim.dim_value = axis if isinstance(axis, int) else fixed[axis]
            else:
                dim.dim_param = axis


def _example(num_layers: int) -> list[Tensor]:
    """Inputs in the contract's order, of sizes that no two axes share by chance."""
    batch, num_rx_ant, num_symbols, num_subcarriers = 3, 5, 14, 48
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    mask = torch.ones(num_symbols, num_subcarriers)
    mask[[2, 11]] = 0
    pilots = normal(num_layers, num_symbols, num_subcarriers, 2) * (1 - mask)[..., None]
    return [
        normal(batch, num_rx_ant, num_symbols, num_subcarriers, 2),
        pilots,
        mask,
        torch.full((batch,), 0.1),
        normal(batch, num_rx_ant, num_layers, num_symbols, num_subcarriers, 2),
        torch.full((batch, num_layers, num_symbols, num_subcarriers), 0.05),
        torch.arange(num_symbols) / 28,
        torch.tensor(1.0),
    ]
