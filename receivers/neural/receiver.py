"""`neural`: a trained model as a receiver."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from receivers.interface import Receiver, SlotObservation, Truth
from receivers.neural.hybrid import HybridReceiver
from receivers.neural.weights import load_weights

#: Architectures by the name that model cards and recipes use.
ARCHITECTURES: dict[str, type[nn.Module]] = {"hybrid": HybridReceiver}
#: Grid positions (antennas x layers x REs) that go through the network together on a CPU.
_POSITIONS_AT_ONCE = 2**16
_MODULATION = {1: "pi/2-BPSK", 2: "QPSK", 4: "16QAM", 6: "64QAM", 8: "256QAM", 10: "1024QAM"}


class NeuralReceiver(Receiver):
    """Neural receiver with trained weights: a name that the package ships, or a path to a .safetensors file."""

    name = "neural"

    def __init__(self, weights: str = "pusch-hybrid") -> None:
        self.weights = weights
        loaded = load_weights(weights)
        self.card = loaded.card
        self._sha256 = loaded.sha256
        architecture = dict(loaded.card["architecture"])
        kind = architecture.pop("name")
        if kind not in ARCHITECTURES:
            raise ValueError(f"weights: architecture {kind!r} of {weights!r}; allowed: {', '.join(ARCHITECTURES)}")
        self.model = ARCHITECTURES[kind](**architecture)
        try:
            self.model.load_state_dict(loaded.tensors)
        except RuntimeError as error:
            first = str(error).splitlines()[-1].strip()
            raise ValueError(f"weights: {weights!r} does not fit architecture {kind!r}: {first}") from None
        self.model.eval()

    def check(self, bits_per_symbol: int, num_layers: int, num_rx_ant: int) -> None:
        known = self.card["bits_per_symbol"]
        if bits_per_symbol not in known:
            allowed = ", ".join(_MODULATION[b] for b in known)
            raise ValueError(
                f"weights: {self.weights!r} does not know {_MODULATION[bits_per_symbol]}; allowed: {allowed}"
            )
        if num_layers not in self.card["num_layers"]:
            raise ValueError(
                f"weights: {self.weights!r} was not trained for {num_layers} layers; "
                f"allowed: {', '.join(str(n) for n in self.card['num_layers'])}"
            )

    def fingerprint(self) -> str:
        return self._sha256

    def to(self, device: torch.device | str) -> Receiver:
        self.model.to(device)
        return self

    def __call__(self, observation: SlotObservation, truth: Truth | None = None) -> Tensor:
        # a few slots at a time: the activations of a large batch would leave the processor's caches
        batch, num_rx_ant, num_symbols, num_subcarriers = observation.y.shape
        size = max(1, _POSITIONS_AT_ONCE // (num_rx_ant * observation.num_layers * num_symbols * num_subcarriers))
        if observation.y.is_cuda:
            size = batch
        with torch.no_grad():
            parts = [self.model(observation.part(i, i + size))[-1][0] for i in range(0, batch, size)]
        return torch.cat(parts)
