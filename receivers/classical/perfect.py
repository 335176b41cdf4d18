"""The genie that is told the channel."""

from __future__ import annotations

from torch import Tensor

from receivers.classical.detection import DemapperName, Detection, DetectorName
from receivers.classical.estimate import ChannelEstimate
from receivers.interface import Receiver, SlotObservation, Truth


class PerfectCsi(Receiver):
    """Genie: the true channel, LMMSE equalisation, max-log demapping.

    detector, demapper, num_paths, num_turbo: see `Detection`.
    """

    name = "perfect-csi"
    needs_truth = True

    def __init__(
        self,
        detector: DetectorName = "lmmse",
        demapper: DemapperName = "maxlog",
        num_paths: int = 16,
        num_turbo: int = 3,
    ) -> None:
        self.detector = detector
        self.demapper = demapper
        self.num_paths = num_paths
        self.num_turbo = num_turbo
        self._detection = Detection(detector, demapper, num_paths, num_turbo)

    @property
    def uses_decoder(self) -> bool:
        return self._detection.uses_decoder

    @property
    def takes_mixed_modulations(self) -> bool:
        return self._detection.takes_mixed_modulations

    def check(self, bits_per_symbol: int, num_layers: int, num_rx_ant: int) -> None:
        self._detection.check(num_layers)

    def __call__(self, observation: SlotObservation, truth: Truth | None = None) -> Tensor:
        if truth is None:
            raise ValueError("truth: got None; allowed: the Truth of the slot, which perfect-csi needs")
        return self._detection.of_estimate(observation, ChannelEstimate(truth.h))
