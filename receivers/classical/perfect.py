"""The genie that is told the channel."""

from __future__ import annotations

from torch import Tensor

from receivers.classical.equalizer import detect
from receivers.interface import Receiver, SlotObservation, Truth


class PerfectCsi(Receiver):
    """Genie: the true channel, LMMSE equalisation, max-log demapping."""

    name = "perfect-csi"
    needs_truth = True

    def __call__(self, observation: SlotObservation, truth: Truth | None = None) -> Tensor:
        if truth is None:
            raise ValueError("truth: got None; allowed: the Truth of the slot, which perfect-csi needs")
        return detect(observation, truth.h, None)
