"""Receivers: from what a base station observes to LLRs. Usable with any simulator; nothing of `ran` is imported."""

from receivers.c_library.receiver import CLibrary
from receivers.classical.blind import Blind
from receivers.classical.linear import LsLinear
from receivers.classical.lmmse import Lmmse
from receivers.classical.perfect import PerfectCsi
from receivers.interface import PilotLayout, Receiver, SlotObservation, Truth
from receivers.neural.receiver import NeuralReceiver
from receivers.onnx.receiver import OnnxReceiver

#: Receivers by the name that an experiment file uses.
RECEIVERS: dict[str, type[Receiver]] = {
    cls.name: cls for cls in (PerfectCsi, LsLinear, Lmmse, Blind, NeuralReceiver, CLibrary)
}

__all__ = ["RECEIVERS", "OnnxReceiver", "PilotLayout", "Receiver", "SlotObservation", "Truth"]
