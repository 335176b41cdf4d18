"""Receivers: from what a base station observes to LLRs. Usable with any simulator; nothing of `ran` is imported.

Receivers are imported when they are first used: naming them takes no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from receivers.c_library.receiver import CLibrary
    from receivers.classical.blind import Blind
    from receivers.classical.composed import Composed
    from receivers.classical.linear import LsLinear
    from receivers.classical.lmmse import Lmmse
    from receivers.classical.perfect import PerfectCsi
    from receivers.interface import PilotLayout, Receiver, SlotObservation, SoftDecoder, Supports, Truth
    from receivers.neural.receiver import NeuralReceiver
    from receivers.onnx.receiver import OnnxReceiver

    #: Receivers by the name that an experiment file uses.
    RECEIVERS: dict[str, type[Receiver]]

#: Where every receiver is, MODULE:Class by the name that an experiment file uses.
RECEIVER_PATHS = {
    "perfect-csi": "receivers.classical.perfect:PerfectCsi",
    "ls-linear": "receivers.classical.linear:LsLinear",
    "lmmse": "receivers.classical.lmmse:Lmmse",
    "blind": "receivers.classical.blind:Blind",
    "neural": "receivers.neural.receiver:NeuralReceiver",
    "c-library": "receivers.c_library.receiver:CLibrary",
}
_HOMES = {path.partition(":")[2]: path.partition(":")[0] for path in RECEIVER_PATHS.values()} | {
    "Composed": "receivers.classical.composed",
    "OnnxReceiver": "receivers.onnx.receiver",
    "PilotLayout": "receivers.interface",
    "Receiver": "receivers.interface",
    "SlotObservation": "receivers.interface",
    "SoftDecoder": "receivers.interface",
    "Supports": "receivers.interface",
    "Truth": "receivers.interface",
}


def __getattr__(name: str) -> Any:
    if name == "RECEIVERS":
        found: Any = {receiver: __getattr__(path.partition(":")[2]) for receiver, path in RECEIVER_PATHS.items()}
    elif name in _HOMES:
        found = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, found)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "RECEIVERS",
    "RECEIVER_PATHS",
    "Blind",
    "CLibrary",
    "Composed",
    "Lmmse",
    "LsLinear",
    "NeuralReceiver",
    "OnnxReceiver",
    "PerfectCsi",
    "PilotLayout",
    "Receiver",
    "SlotObservation",
    "SoftDecoder",
    "Supports",
    "Truth",
]
