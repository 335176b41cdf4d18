"""What may be done between a first channel estimate and detection: the refinements that a receiver is composed of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor

from receivers.classical.blind_estimate import SlotEstimate
from receivers.classical.detection import DemapperName, Detection
from receivers.classical.impaired import ImpairedSlot
from receivers.classical.interference import whiten
from receivers.classical.semi_blind import reestimated
from receivers.interface import SlotObservation, Supports

SUBCARRIERS_PER_PRB = 12


@dataclass(frozen=True)
class Refined:
    """observation: as received, or without impairments that were found. estimate: of its channel.
    phase [batch, num_layers, num_ofdm_symbols] complex64: rotation of every symbol beside the estimate, or None."""

    observation: SlotObservation
    estimate: SlotEstimate
    phase: Tensor | None


class Refinement(Protocol):
    """supports: the slots that it takes, of those that its receiver takes. takes_coloured_noise: whether it may stand
    before `AntennaCovariance`."""

    supports: Supports
    takes_coloured_noise: bool

    def __call__(self, first: Refined) -> Refined:
        """phase of `first`: that of PT-RS."""


class AsEstimated:
    """No refinement: the estimate from the pilots alone."""

    supports = Supports.all()
    takes_coloured_noise = True

    def __call__(self, first: Refined) -> Refined:
        return first


class Reestimation:
    """Rounds of detection and of estimating the channel anew from pilots and detected symbols, before any decoding."""

    supports = Supports.all()
    takes_coloured_noise = False

    def __init__(self, num_rounds: int, demapper: DemapperName = "maxlog", reject_bursts: bool = False) -> None:
        """reject_bursts: leave OFDM symbols out in which a burst of interference is found."""
        if num_rounds < 1:
            raise ValueError(f"num_rounds: got {num_rounds}; allowed: 1 or more")
        self.num_rounds = num_rounds
        self.reject_bursts = reject_bursts
        self._detection = Detection("ep", demapper)

    def __call__(self, first: Refined) -> Refined:
        slots = replace(first.observation, noise_var=first.estimate.noise_var)
        found = reestimated(slots, first.estimate, self._detection, self.num_rounds, first.phase, self.reject_bursts)
        return replace(first, estimate=found)


class ImpairedReestimation:
    """The same with the common phase of every OFDM symbol and the layers' amplifiers in each round (`ImpairedSlot`)."""

    # phases and amplifiers are told from QAM of DM-RS slots, one modulation for all layers
    supports = Supports()
    takes_coloured_noise = False

    def __init__(self, num_rounds: int, track_phase: bool = True, amplifier_order: int = 1) -> None:
        if num_rounds < 1:
            raise ValueError(f"num_rounds: got {num_rounds}; allowed: 1 or more")
        self.num_rounds = num_rounds
        self._impaired = ImpairedSlot(track_phase, amplifier_order)

    def __call__(self, first: Refined) -> Refined:
        cleaned = self._impaired(first.observation, first.estimate, self.num_rounds, first.phase)
        return Refined(cleaned.observation, cleaned.estimate, cleaned.phase)


class NoiseModel(Protocol):
    """Takes observation and estimate to white noise of the estimated power: observation, h_hat, err_var."""

    supports: Supports

    def __call__(self, observation: SlotObservation, estimate: SlotEstimate) -> tuple[SlotObservation, Tensor, Tensor]:
        """h_hat and err_var are those of the observation that is returned."""


class WhiteNoise:
    """Noise of the estimated power, equal and independent on all antennas."""

    supports = Supports.all()

    def __call__(self, observation: SlotObservation, estimate: SlotEstimate) -> tuple[SlotObservation, Tensor, Tensor]:
        return replace(observation, noise_var=estimate.noise_var), estimate.h_hat, estimate.err_var


class AntennaCovariance:
    """Interference rejection by the noise covariance over the antennas (MMSE-IRC), estimated for `num_prb` PRBs."""

    # the covariance is that of what pilots leave
    supports = replace(Supports.all(), no_pilots=False)

    def __init__(self, num_prb: int = 4) -> None:
        if num_prb < 1:
            raise ValueError(f"num_prb: got {num_prb}; allowed: 1 or more")
        self.num_prb = num_prb

    def __call__(self, observation: SlotObservation, estimate: SlotEstimate) -> tuple[SlotObservation, Tensor, Tensor]:
        size = SUBCARRIERS_PER_PRB * self.num_prb
        return whiten(observation, estimate.h_hat, estimate.err_var, estimate.noise_var, size)
