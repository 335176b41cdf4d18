"""A trained neural receiver as an ONNX file of the `generic` contract."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from receivers.neural.hybrid import HybridReceiver
from receivers.neural.receiver import NeuralReceiver
from receivers.onnx.contracts import GENERIC
from receivers.onnx.generic import FIRST_ESTIMATE
from receivers.onnx.hybrid import HybridGraph

#: Operator set: old enough for the runtimes in the field, new enough for every operation used.
_OPSET = 17


def export_generic(weights: str, out: str | Path, *, bits_per_symbol: int = 4, num_layers: int = 1) -> Path:
    """Write trained weights (a name, or a .safetensors file) as ONNX; returns the path of the file.

    Batch, antennas, OFDM symbols and PRBs stay open; bits per symbol and layers are fixed in the file. The first
    estimate, the `lmmse` receiver's, is made outside: its covariance has one size per allocation. The metadata name it.
    `ValueError` for what the weights were not trained for. The file appears whole or not at all.
    """
    receiver = NeuralReceiver(weights)
    receiver.check(bits_per_symbol, num_layers, 1)
    model = receiver.model
    if not isinstance(model, HybridReceiver):
        raise ValueError(f"weights: got {weights!r}, {type(model).__name__}; allowed: architecture hybrid")
    if num_layers not in (1, 2) or bits_per_symbol < 2:
        raise ValueError(f"got {num_layers} layers, {bits_per_symbol} bits per symbol; allowed: 1 or 2 layers, QPSK up")
    import onnx  # takes a while to import

    graph = HybridGraph(model, bits_per_symbol).eval()
    inputs = {spec.name: tensor for spec, tensor in zip(GENERIC.inputs, _example(model, num_layers), strict=True)}
    prior = model.first_estimate
    about = {
        "contract": GENERIC.name,
        "contract_version": str(GENERIC.version),
        FIRST_ESTIMATE: json.dumps(
            {"name": "lmmse", "delay_spread_ns": prior.delay_spread_s * 1e9, "max_doppler_hz": prior.max_doppler_hz}
        ),
        "weights": receiver.card["name"],
        "weights_sha256": receiver.fingerprint(),
        "licence": receiver.card.get("licence", ""),
        "bits_per_symbol": str(bits_per_symbol),
        "num_layers": str(num_layers),
    }
    path = Path(out)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        temporary.write_bytes(b"")
        _trace(graph, inputs, temporary)
        proto = onnx.load(temporary)
        onnx.helper.set_model_props(proto, about)
        _declare_output(proto, {"num_layers": num_layers, "bits_per_symbol": bits_per_symbol})
        proto.producer_name, proto.producer_version = "ran6g", ""
        onnx.save(proto, temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise ValueError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _trace(graph: HybridGraph, inputs: dict[str, Tensor], file: Path) -> None:
    """Write the graph as an ONNX model whose open sizes have the contract's names.

    By tracing: dynamo's export proves every open size first, which takes half a minute for the same graph.
    """
    specs = (*GENERIC.inputs, *GENERIC.outputs)
    fixed = ("num_layers", "bits_per_symbol")
    open_axes = {
        spec.name: {i: axis for i, axis in enumerate(spec.axes) if isinstance(axis, str) and axis not in fixed}
        for spec in specs
    }
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            tuple(inputs.values()),
            file,
            input_names=list(inputs),
            output_names=[spec.name for spec in GENERIC.outputs],
            dynamic_axes=open_axes,
            opset_version=_OPSET,
            dynamo=False,
        )


def _declare_output(proto: Any, fixed: dict[str, int]) -> None:
    """Write the sizes of the output, which tracing does not see through."""
    dims = proto.graph.output[0].type.tensor_type.shape.dim
    for dim, axis in zip(dims, GENERIC.outputs[0].axes, strict=True):
        if axis in fixed:
            dim.dim_value = fixed[str(axis)]
        else:
            dim.dim_param = str(axis)


def _example(model: HybridReceiver, num_layers: int) -> list[Tensor]:
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
