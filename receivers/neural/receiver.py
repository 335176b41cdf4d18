"""`neural`: a trained model as a receiver."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from receivers.interface import Receiver, SlotObservation, Supports, Truth
from receivers.levels import at_unit_level
from receivers.neural.alignment import aligned
from receivers.neural.deeprx import DeepRxReceiver
from receivers.neural.hybrid import HybridReceiver
from receivers.neural.message_passing import MessagePassingReceiver
from receivers.neural.refined_blind import RefinedBlindReceiver
from receivers.neural.soft_pilots import SoftPilotReceiver
from receivers.neural.weights import load_weights

#: Architectures by the name that model cards and recipes use.
ARCHITECTURES: dict[str, type[nn.Module]] = {
    "hybrid": HybridReceiver,
    "refined-blind": RefinedBlindReceiver,
    "soft-pilots": SoftPilotReceiver,
    "deeprx": DeepRxReceiver,
    "message-passing": MessagePassingReceiver,
}
#: Grid positions (antennas x layers x REs) that go through the network together on a CPU.
_POSITIONS_AT_ONCE = 2**16
_MODULATION = {1: "pi/2-BPSK", 2: "QPSK", 4: "16QAM", 6: "64QAM", 8: "256QAM", 10: "1024QAM"}


def passes_of(output: Any) -> list[tuple[Tensor, Tensor | None]]:
    """LLRs and channel estimates of the passes of an architecture. One that has a single pass and states no channel may
    return its LLRs [batch, num_layers, num_data_re, bits_per_symbol] alone."""
    return [(output, None)] if isinstance(output, Tensor) else output


class NeuralReceiver(Receiver):
    """Neural receiver with trained weights: a name that the package ships, or a path to a .safetensors file.

    num_turbo: rounds in which receiver and channel decoder take turns; for architecture refined-blind.
    reject_bursts: detect anew the OFDM symbols in which a burst of interference is found, after the last pass and
        without num_turbo (`receivers.classical.bursts`); of architectures hybrid, refined-blind and soft-pilots.

    Slots that come earlier or later than the prior of a hybrid's first estimate are turned back to it
    (`receivers.neural.alignment`). Exported files do not have it.
    """

    name = "neural"

    def __init__(self, weights: str = "pusch-realtime", num_turbo: int = 0, reject_bursts: bool = True) -> None:
        if num_turbo < 0:
            raise ValueError(f"num_turbo: got {num_turbo}; allowed: 0 or more")
        self.weights = weights
        self.num_turbo = num_turbo
        self.reject_bursts = reject_bursts
        loaded = load_weights(weights)
        self.card = loaded.card
        self.sha256 = loaded.sha256
        self._fingerprint = loaded.fingerprint
        self.model = loaded.model(weights, ARCHITECTURES)
        if hasattr(self.model, "rejects_bursts"):
            setattr(self.model, "rejects_bursts", reject_bursts)  # noqa: B010 - a plain flag, no module
        if num_turbo and not hasattr(self.model, "in_turns"):
            able = ", ".join(name for name, cls in ARCHITECTURES.items() if hasattr(cls, "in_turns"))
            kind = self.card["architecture"]["name"]
            raise ValueError(f"num_turbo: got {num_turbo} with architecture {kind!r}; allowed: 0, or {able}")

    @property
    def supports(self) -> Supports:
        has_own = getattr(self.model, "constellation", None) is not None
        return Supports(constellations=has_own, no_pilots=has_own)

    @property
    def uses_decoder(self) -> bool:
        return self.num_turbo > 0

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

    def check_slot(self, observation: SlotObservation) -> None:
        check = getattr(self.model, "check_slot", None)
        if check is not None:
            check(observation)

    def fingerprint(self) -> str:
        return self._fingerprint

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
            parts = [at_unit_level(observation.part(i, i + size)) for i in range(0, batch, size)]
            return torch.cat([self._llr(part) for part in parts])

    def _llr(self, observation: SlotObservation) -> Tensor:
        mean_delays_s = getattr(self.model, "mean_delays_s", None)
        if mean_delays_s is not None:
            observation = aligned(observation, *mean_delays_s)
        if self.num_turbo:
            in_turns: Tensor = self.model.in_turns(observation, self.num_turbo)  # type: ignore[operator]
            return in_turns
        return passes_of(self.model(observation))[-1][0]
