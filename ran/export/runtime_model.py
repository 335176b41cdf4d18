"""A model and its twin behind one interface: the module in torch, and the exported file in its own runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from receivers.interface import Receiver, SlotObservation, Truth
from receivers.onnx.contract import Contract, TensorOfFile
from receivers.onnx.model import RunsModel
from receivers.onnx.receiver import feeder

#: What a runtime does: arrays in the contract's order to the outputs in the contract's order.
Runtime = Callable[..., tuple[NDArray, ...]]


def torch_runtime(module: nn.Module) -> Runtime:
    """A module as a runtime."""

    def run(*arrays: NDArray) -> tuple[NDArray, ...]:
        with torch.no_grad():
            returned = module(*[torch.from_numpy(array) for array in arrays])
        found: tuple[Tensor, ...] = returned if isinstance(returned, tuple) else (returned,)
        return tuple(output.numpy() for output in found)

    return run


class RuntimeModel:
    """Something that runs as a model with named inputs. recorded: inputs and outputs of every run, if kept."""

    def __init__(self, runtime: Runtime, contract: Contract, metadata: Mapping[str, str], keep: int = 0) -> None:
        self._runtime = runtime
        self._contract = contract
        self._keep = keep
        self.inputs = tuple(TensorOfFile(spec.name, spec.dtype, (None,) * len(spec.axes)) for spec in contract.inputs)
        self.metadata = dict(metadata)
        self.recorded: list[tuple[dict[str, NDArray], dict[str, NDArray]]] = []

    def run(self, feeds: Mapping[str, NDArray], outputs: list[str]) -> list[NDArray]:
        """The outputs asked for."""
        given = {spec.name: np.ascontiguousarray(feeds[spec.name]) for spec in self._contract.inputs}
        returned = self._runtime(*given.values())
        by_name = {spec.name: array for spec, array in zip(self._contract.outputs, returned, strict=False)}
        if len(self.recorded) < self._keep:
            self.recorded.append((given, by_name))
        return [by_name[name] for name in outputs]


class ModelReceiver(Receiver):
    """A model fed as its contract says. sizes: those that it fixes."""

    name = "model"

    def __init__(self, model: RunsModel, contract: Contract, sizes: Mapping[str, int]) -> None:
        self._fed = feeder(model, contract, dict(sizes))

    def check_slot(self, observation: SlotObservation) -> None:
        self._fed.check(observation)

    def __call__(self, observation: SlotObservation, truth: Truth | None = None) -> Tensor:
        with torch.no_grad():
            return self._fed(observation)
