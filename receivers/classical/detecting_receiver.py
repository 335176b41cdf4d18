"""Receivers that estimate the channel in their own way and then detect by a detector of choice."""

from __future__ import annotations

from dataclasses import replace

from receivers.classical.detection import DemapperName, Detection, DetectorName
from receivers.interface import Receiver, Supports


class DetectingReceiver(Receiver):
    """A receiver with the options of `Detection`.

    detector, demapper, num_paths, num_turbo, reject_bursts: see `Detection`.
    """

    def __init__(
        self,
        detector: DetectorName = "lmmse",
        demapper: DemapperName = "maxlog",
        num_paths: int = 16,
        num_turbo: int = 3,
        reject_bursts: bool = False,
    ) -> None:
        self.detector = detector
        self.demapper = demapper
        self.num_paths = num_paths
        self.num_turbo = num_turbo
        self.reject_bursts = reject_bursts
        self._detection = Detection(detector, demapper, num_paths, num_turbo, reject_bursts)

    @property
    def uses_decoder(self) -> bool:
        return self._detection.uses_decoder

    @property
    def supports(self) -> Supports:
        return replace(self._detection.supports, no_pilots=False)

    def check(self, bits_per_symbol: int, num_layers: int, num_rx_ant: int) -> None:
        self._detection.check(num_layers)
