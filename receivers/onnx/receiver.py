"""`FILE.onnx` or `FILE.tflite`: a model file as a receiver."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from receivers.errors import unknown_name
from receivers.interface import Receiver, SlotObservation, Truth
from receivers.levels import at_unit_level
from receivers.onnx.chest import ChestModel
from receivers.onnx.contract import Contract, PilotOrder
from receivers.onnx.contracts import CONTRACTS, recognise
from receivers.onnx.demapper import DemapperModel
from receivers.onnx.generic import GenericModel
from receivers.onnx.litert import LitertModel
from receivers.onnx.model import OnnxModel, RunsModel
from receivers.onnx.neural_rx import NeuralRxModel
from receivers.onnx.probe import check_meaning


class OnnxReceiver(Receiver):
    """A model in an ONNX (or LiteRT) file that keeps a contract: generic, aerial-nrx, oai-nrx, cuphy-chest, ...

    file: the model. contract: which it keeps, by default recognised from names, types and shapes of its inputs.
    pilot_order: in which a model takes estimates at pilots. provider: of onnxruntime. probe: read a plain slot before
    the first run and refuse a model that reads it otherwise than its contract says.
    """

    name = "onnx"

    def __init__(
        self,
        file: str,
        contract: Literal["generic", "aerial-nrx", "oai-nrx", "oai-demapper", "llrnet", "cuphy-chest"] | None = None,
        pilot_order: PilotOrder = "symbol-major",
        provider: str = "cpu",
        probe: bool = True,
    ) -> None:
        if contract is not None and contract not in CONTRACTS:
            raise unknown_name("contract", contract, CONTRACTS)
        self.model = open_model(file, provider)
        self.probe = probe
        self.pilot_order: PilotOrder = pilot_order
        try:
            kept = recognise(self.model.inputs, self.model.outputs) if contract is None else CONTRACTS[contract]
            if pilot_order != "symbol-major" and kept.pilot_order is None:
                raise ValueError(
                    f"pilot_order: got {pilot_order!r} for {kept.name}; allowed: none, it takes no estimates"
                )
            self._fed = self._feeder(kept)
        except ValueError as error:
            stated = f" as {contract}" if contract else ""
            raise ValueError(f"{self.model.path.name}{stated}: {error}") from None
        self.contract: Contract = kept

    def _feeder(self, contract: Contract) -> Feeder:
        return feeder(self.model, contract, contract.sizes(self.model.inputs, self.model.outputs))

    def check_slot(self, observation: SlotObservation) -> None:
        """`ValueError` where the file cannot take such slots, or reads them otherwise than its contract says."""
        try:
            self._fed.check(observation)
            if self.probe:
                has_order = self.contract.pilot_order is not None
                check_meaning(self._run, self.pilot_order, observation, has_order)
        except ValueError as error:
            name = self.model.path.name
            text = str(error).removeprefix(f"{name}: ")
            raise ValueError(f"{name} as {self.contract.name}: {text}") from None

    def fingerprint(self) -> str:
        return self.model.sha256

    def __call__(self, observation: SlotObservation, truth: Truth | None = None) -> Tensor:
        return self._run(at_unit_level(observation), self.pilot_order)

    def _run(self, observation: SlotObservation, pilot_order: PilotOrder) -> Tensor:
        if isinstance(self._fed, NeuralRxModel):
            self._fed.pilot_order = pilot_order
        if observation.y.device.type != "cpu":
            # onnxruntime takes its inputs from the processor
            on_cpu = replace(
                observation,
                **{key: getattr(observation, key).cpu() for key in ("y", "pilots", "data_mask", "noise_var")},
            )
            return self._fed(on_cpu).to(observation.y.device)
        with torch.no_grad():
            return self._fed(observation)


def open_model(file: str | Path, provider: str = "cpu") -> OnnxModel | LitertModel:
    """A file in its runtime, which its suffix tells. `ValueError` as of the models."""
    if Path(file).suffix != ".tflite":
        return OnnxModel(file, provider)
    if provider != "cpu":
        raise ValueError(f"provider: got {provider!r} for a LiteRT file; allowed: cpu")
    return LitertModel(file)


#: What turns observations into a model's inputs, and its outputs into LLRs.
Feeder = GenericModel | NeuralRxModel | DemapperModel | ChestModel


def feeder(model: RunsModel, contract: Contract, sizes: dict[str, int]) -> Feeder:
    """Feeds a model as its contract says; sizes: those that the model fixes."""
    if contract.name == "generic":
        return GenericModel(model, sizes)
    if contract.name in ("oai-demapper", "llrnet"):
        return DemapperModel(model, sizes, llrnet=contract.name == "llrnet")
    if contract.name == "cuphy-chest":
        return ChestModel(model, sizes)
    return NeuralRxModel(model, sizes, joined=contract.name == "oai-nrx")
