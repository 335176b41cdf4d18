"""What runs a trained model: torch as it is, torch with compiled networks, or onnxruntime."""

from __future__ import annotations

import tempfile
from pathlib import Path

from receivers import OnnxReceiver, Receiver
from receivers.neural.receiver import NeuralReceiver
from receivers.onnx.export import export_generic

#: How trained weights can be run.
RUNTIMES = ("eager", "compile", "onnx")


def in_runtime(receiver: Receiver, runtime: str, bits_per_symbol: int, num_layers: int) -> Receiver:
    """The receiver as it runs there; anything but trained weights as it is. `ValueError` where it cannot."""
    if runtime == "eager" or not isinstance(receiver, NeuralReceiver):
        return receiver
    if runtime == "onnx":
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.onnx"
            export_generic(receiver.weights, file, bits_per_symbol=bits_per_symbol, num_layers=num_layers)
            return OnnxReceiver(str(file))
    compiled = NeuralReceiver(receiver.weights, receiver.num_turbo, receiver.reject_bursts)
    networks = getattr(compiled.model, "networks", None)
    if networks is None:
        raise ValueError(f"the networks of {receiver.weights!r} are not apart; allowed: models whose networks are")
    for network in networks():
        network.compile(dynamic=False)
    return compiled
