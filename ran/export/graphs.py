"""A trained receiver as a module with a target's inputs and outputs, or the reason why it cannot be one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ran.errors import InputError
from receivers import NeuralReceiver, SlotObservation
from receivers.neural.hybrid import HybridReceiver
from receivers.neural.soft_pilots import SoftPilotReceiver
from receivers.onnx.chest_graph import ChestGraph
from receivers.onnx.contract import Contract
from receivers.onnx.contracts import CONTRACTS
from receivers.onnx.demapper_graph import DemapperGraph
from receivers.onnx.export import about_weights, generic_graph, hybrid_model
from receivers.onnx.neural_rx_graph import NeuralRxGraph
from receivers.onnx.pairs import NoRealForm
from receivers.onnx.traced import TracedGraph

if TYPE_CHECKING:
    from ran.export.slot_target import SlotTarget

#: The engine that the plugin of `oai-nrx` builds: 24 PRB.
_OAI_NUM_PRB = 24


@dataclass(frozen=True)
class Graph:
    """A module, an example of its inputs in the contract's order, the sizes that it fixes, and its metadata."""

    module: nn.Module
    contract: Contract
    example: tuple[Tensor, ...]
    fixed: dict[str, int]
    about: dict[str, str]


def build_graph(
    target: SlotTarget, receiver: NeuralReceiver, like: SlotObservation, esn0_db: float, settings: Mapping[str, int]
) -> Graph:
    """`target.build` with the metadata that every file has. `InputError` when the contract cannot be met."""
    try:
        built = target.build(receiver, like, esn0_db, settings)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{target.name}: {error}") from None
    built.module.eval()
    slot = {
        "num_prb": like.data_mask.shape[1] // 12,
        "num_rx_ant": like.y.shape[1],
        "num_layers": like.num_layers,
        "bits_per_symbol": like.bits_per_symbol,
        "dmrs_symbols": list(like.layout.symbols),
        "subcarrier_spacing_khz": round(like.subcarrier_spacing_hz / 1e3),
    }
    about = {**about_weights(receiver), **built.about, "slot": json.dumps(slot)}
    return Graph(built.module, built.contract, built.example, built.fixed, about)


def generic(receiver: NeuralReceiver, like: SlotObservation) -> Graph:
    """The toolkit's own contract, from the received grid to LLRs."""
    module, example, about = generic_graph(receiver, like.bits_per_symbol, like.num_layers)
    fixed = {"num_layers": like.num_layers, "bits_per_symbol": like.bits_per_symbol}
    return Graph(module, CONTRACTS["generic"], example, fixed, about)


def has_open_sizes(receiver: NeuralReceiver) -> bool:
    """Whether `generic` takes the network: any number of PRBs, the first estimate outside of the file."""
    return isinstance(receiver.model, HybridReceiver | SoftPilotReceiver)


def traced(receiver: NeuralReceiver, like: SlotObservation, real: bool) -> Graph:
    """A network of any kind by its own forward pass, for slots shaped as `like`. real: for runtimes that know no
    complex numbers. `InputError` where the forward pass then has no form."""
    receiver.check(like.bits_per_symbol, like.num_layers, like.y.shape[1])
    num_symbols, num_subcarriers = like.data_mask.shape
    fixed = {
        "batch": 1,
        "num_rx_ant": like.y.shape[1],
        "num_layers": like.num_layers,
        "num_symbols": num_symbols,
        "num_subcarriers": num_subcarriers,
        "bits_per_symbol": like.bits_per_symbol,
    }
    module = TracedGraph(receiver.model, like, real)
    about = {key: str(fixed[key]) for key in ("bits_per_symbol", "num_layers")}
    example = _example(CONTRACTS["generic"], fixed, {})
    try:
        with torch.no_grad():
            module(*example)
    except NoRealForm as error:
        raise InputError(
            f"weights: got {receiver.weights!r}, whose forward pass takes {error} of complex numbers; allowed: what "
            "has a form in real ones (sums, products, conjugates, absolute values and the like), or --target torch, "
            "which knows complex numbers"
        ) from None
    return Graph(module, CONTRACTS["generic"], example, fixed, about)


def neural_rx(contract: Contract, receiver: NeuralReceiver, like: SlotObservation, planes: int, joined: bool) -> Graph:
    """A neural receiver for NVIDIA's stacks. planes: of LLRs. joined: real and imaginary parts of antennas as planes of
    one tensor, for an engine of one size."""
    model = hybrid_model(receiver, like.bits_per_symbol, like.num_layers)
    num_rx_ant = like.y.shape[1]
    if joined and (like.bits_per_symbol != 4 or num_rx_ant != 1 or like.data_mask.shape[1] != 12 * _OAI_NUM_PRB):
        raise ValueError(
            f"got {like.data_mask.shape[1] // 12} PRB, {num_rx_ant} antennas, {like.bits_per_symbol} bits per symbol; "
            f"allowed: {_OAI_NUM_PRB} PRB, 1 antenna, 4 (16QAM), which the plugin's engine fixes"
        )
    module = NeuralRxGraph(model, like, joined, planes)
    num_symbols, num_subcarriers = module.data_mask.shape
    num_pilot_symbols = len(like.layout.symbols)
    sizes = {
        "num_subcarriers": num_subcarriers,
        "num_symbols": num_symbols,
        "num_rx_ant": num_rx_ant,
        "num_layers": like.num_layers,
        "num_pilot_symbols": num_pilot_symbols,
        "num_pilots": num_subcarriers // 2 * num_pilot_symbols,
        "num_bits": planes,
        "twice_num_rx_ant": 2 * num_rx_ant,
    }
    given = {
        "active_dmrs_ports": torch.ones(1, like.num_layers),
        "dmrs_ofdm_pos": module.positions.int(),
        "dmrs_subcarrier_pos": module.within_prb.int(),
    }
    about = {"pilot_order": "symbol-major", "bits_per_symbol": str(like.bits_per_symbol)}
    return Graph(module, contract, _example(contract, sizes, given), sizes, about)


def chest(contract: Contract, receiver: NeuralReceiver, like: SlotObservation) -> Graph:
    """A channel estimator."""
    # groups of two layers are what the network sees
    module = ChestGraph(hybrid_model(receiver, like.bits_per_symbol, 2), like)
    num_subcarriers, num_pilot_symbols = like.data_mask.shape[1], len(like.layout.symbols)
    sizes = {
        "num_subcarriers": num_subcarriers,
        "num_pilots": num_subcarriers // 2,
        "num_pilot_symbols": num_pilot_symbols,
    }
    return Graph(module, contract, _example(contract, {**sizes, "batch": 3}, {}), sizes, {"pilot_order": "frequency"})


def demapper(
    contract: Contract, like: SlotObservation, esn0_db: float, scale: float = 1.0, num_outputs: int | None = None
) -> Graph:
    """A demapper of equalised symbols alone. scale: of its input over symbols of unit power. num_outputs: planes."""
    # combining over antennas: what the demapper sees is better by their number
    noise_var = 10 ** (-esn0_db / 10) / like.y.shape[1]
    module = DemapperGraph(like.bits_per_symbol, noise_var, scale, num_outputs)
    about = {"bits_per_symbol": str(like.bits_per_symbol), "noise_var": repr(noise_var)}
    return Graph(module, contract, _example(contract, {"num_res": 12}, {}), {}, about)


def _example(contract: Contract, sizes: Mapping[str, int], given: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """Inputs in the contract's order: those that are given, the others random."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for spec in contract.inputs:
        shape = [axis if isinstance(axis, int) else sizes[axis] for axis in spec.axes]
        random = torch.randn(shape, generator=generator).to(getattr(torch, spec.dtype))
        found.append(given.get(spec.name, random))
    return tuple(found)
