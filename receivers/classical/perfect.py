"""The genie that is told the channel."""

from __future__ import annotations

from torch import Tensor

from receivers.classical.detecting_receiver import DetectingReceiver
from receivers.classical.estimate import ChannelEstimate
from receivers.interface import SlotObservation, Supports, Truth
from receivers.levels import at_unit_level, truth_at_unit_level


class PerfectCsi(DetectingReceiver):
    """Genie: the true channel, LMMSE equalisation, max-log demapping.

    detector, demapper, num_paths, num_turbo, reject_bursts: see `Detection`.
    """

    name = "perfect-csi"
    needs_truth = True

    @property
    def supports(self) -> Supports:
        return self._detection.supports

    def __call__(self, observation: SlotObservation, truth: Truth | None = None) -> Tensor:
        if truth is None:
            raise ValueError("truth: got None; allowed: the Truth of the slot, which perfect-csi needs")
        h = truth_at_unit_level(observation, truth).h
        return self._detection.of_estimate(at_unit_level(observation), ChannelEstimate(h))
