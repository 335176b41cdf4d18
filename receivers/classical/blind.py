"""The receiver that learns its statistics from the slot itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from torch import Tensor

from receivers.classical.blind_estimate import BlindEstimator, SlotEstimate
from receivers.classical.data_aided import refine_with_data
from receivers.classical.detecting_receiver import DetectingReceiver
from receivers.classical.detection import DemapperName, Detection, DetectorName
from receivers.classical.impaired import ImpairedSlot
from receivers.classical.interference import whiten
from receivers.classical.phase_tracking import common_phase
from receivers.classical.pilotless import estimate_slot
from receivers.classical.semi_blind import reestimated
from receivers.interface import PilotLayout, SlotObservation, Truth
from receivers.levels import at_unit_level

SUBCARRIERS_PER_PRB = 12


class Blind(DetectingReceiver):
    """LMMSE with statistics from the slot's own pilots: noise, delays, Doppler, timing and frequency offset.

    max_cfo_hz: largest carrier frequency offset that is looked for, Hz; 0 when it is known to be corrected.
    num_iterations: refinements of the power delay profile and the noise power.
    noise: "white", or "irc" for interference rejection by the noise covariance over the antennas (MMSE-IRC).
    irc_num_prb: resource blocks that share an estimate of that covariance.
    detector: of several layers. "lmmse"; "ep", which refines it by a step of expectation propagation; "ml", exact
        max-log for two layers, better than "ep" where the code rate is high and worse where it is low; "k-best", a tree
        search with `num_paths` paths; "mmse-pic", "ep" and then up to `num_turbo` rounds of decoding and of detection
        without the other layers' interference, as the decoder knows it.
    demapper: "maxlog" or "exact".
    data_aided: estimate the channel anew in each round of "mmse-pic", from pilots and decoded data.
    num_reestimations: rounds of detection and of estimating the channel anew from pilots and detected symbols, before
        any decoding; with white noise only. Two close about half of what is left to a known channel, more with one
        DM-RS symbol.
    track_phase: in these rounds also the common phase of every OFDM symbol, with or without PT-RS.
    amplifier_order: in these rounds also the distortion by each layer's amplifier, up to this odd order, which is then
        taken off; 1 is none, 5 does for most, with 4 rounds. For layers that leave from antennas of their own.
    """

    name = "blind"

    def __init__(
        self,
        max_cfo_hz: float = 200.0,
        num_iterations: int = 3,
        noise: Literal["white", "irc"] = "white",
        irc_num_prb: int = 4,
        detector: DetectorName = "ep",
        demapper: DemapperName = "maxlog",
        num_paths: int = 16,
        num_turbo: int = 3,
        data_aided: bool = False,
        num_reestimations: int = 0,
        track_phase: bool = False,
        amplifier_order: int = 1,
    ) -> None:
        if not 0 <= max_cfo_hz <= 1000:
            raise ValueError(f"max_cfo_hz: got {max_cfo_hz}; allowed: 0 to 1000")
        if num_iterations < 0:
            raise ValueError(f"num_iterations: got {num_iterations}; allowed: 0 or more")
        if noise not in ("white", "irc"):
            raise ValueError(f"noise: got {noise!r}; allowed: white, irc")
        if irc_num_prb < 1:
            raise ValueError(f"irc_num_prb: got {irc_num_prb}; allowed: 1 or more")
        if data_aided and detector != "mmse-pic":
            raise ValueError(
                f"data_aided: got true with detector {detector!r}; allowed: with 'mmse-pic', false otherwise"
            )
        if num_reestimations < 0:
            raise ValueError(f"num_reestimations: got {num_reestimations}; allowed: 0 or more")
        if num_reestimations and noise != "white":
            raise ValueError(f"num_reestimations: got {num_reestimations} with noise {noise!r}; allowed: 0, or 'white'")
        self._impaired = ImpairedSlot(track_phase, amplifier_order)
        if self._impaired.is_on and not num_reestimations:
            raise ValueError(
                "num_reestimations: got 0 with track_phase or amplifier_order; allowed: 1 or more, 4 are enough"
            )
        self.max_cfo_hz = max_cfo_hz
        self.num_iterations = num_iterations
        self.noise = noise
        self.irc_num_prb = irc_num_prb
        super().__init__(detector, demapper, num_paths, num_turbo)
        self.data_aided = data_aided
        self.num_reestimations = num_reestimations
        self.track_phase = track_phase
        self.amplifier_order = amplifier_order
        self._first_detection = Detection("ep", demapper)
        self.estimate = BlindEstimator(max_cfo_hz, num_iterations)

    def check_pilots(self, layout: PilotLayout) -> None:
        step, size = layout.pair_spacing or 2 * layout.spacing, SUBCARRIERS_PER_PRB * self.irc_num_prb
        if self.noise == "irc" and layout.symbols and step > size:
            raise ValueError(
                f"irc_num_prb: got {self.irc_num_prb} with pairs of pilots {step} subcarriers apart, which leaves "
                f"parts of the band without any; allowed: {-(-step // SUBCARRIERS_PER_PRB)} or more"
            )
        super().check_pilots(layout)

    @property
    def works_without_pilots(self) -> bool:
        # the covariance of the noise is that of what pilots leave
        return self.noise == "white" and not self._impaired.is_on

    @property
    def takes_constellations(self) -> bool:
        return super().takes_constellations and not self._impaired.is_on

    @property
    def takes_mixed_modulations(self) -> bool:
        return super().takes_mixed_modulations and not self._impaired.is_on

    def __call__(self, observation: SlotObservation, truth: Truth | None = None) -> Tensor:
        observation = at_unit_level(observation)
        return self.detect(observation, estimate_slot(self.estimate, observation))

    def detect(self, observation: SlotObservation, estimate: SlotEstimate, prior_llr: Tensor | None = None) -> Tensor:
        """LLRs [batch, num_layers, num_data_re, bits_per_symbol] given a channel estimate.

        prior_llr, of the same shape: extrinsic LLRs of a decoder; the result is then what the slot adds to them
        (MMSE-PIC with "lmmse").
        """

        phase = common_phase(observation, estimate.h_hat, estimate.noise_var)
        if self._impaired.is_on:
            cleaned = self._impaired(observation, estimate, self.num_reestimations, phase)
            observation, estimate, phase = cleaned.observation, cleaned.estimate, cleaned.phase
        elif self.num_reestimations:
            slots = replace(observation, noise_var=estimate.noise_var)
            estimate = reestimated(slots, estimate, self._first_detection, self.num_reestimations, phase)
        if phase is not None:
            estimate = replace(estimate, h_hat=estimate.h_hat * phase[:, None, :, :, None])

        def refine(left: Tensor, extrinsic: Tensor) -> tuple[SlotObservation, Tensor, Tensor]:
            slots, known = observation.select(left), estimate.select(left)
            turned = None if phase is None else phase[left]
            h, error = refine_with_data(
                slots,
                known.h_hat,
                *known.profiles(),
                known.correlation(slots),
                known.noise_var,
                extrinsic,
                turned,
            )
            return self._in_noise(slots, replace(known, h_hat=h, err_var=error))

        known, h_hat, err_var = self._in_noise(observation, estimate)
        return self._detection(known, h_hat, err_var, prior_llr, refine if self.data_aided else None)

    def _in_noise(self, observation: SlotObservation, estimate: SlotEstimate) -> tuple[SlotObservation, Tensor, Tensor]:
        """Observation and estimate as they are in white noise of the estimated power."""
        if self.noise == "irc":
            size = SUBCARRIERS_PER_PRB * self.irc_num_prb
            return whiten(observation, estimate.h_hat, estimate.err_var, estimate.noise_var, size)
        return replace(observation, noise_var=estimate.noise_var), estimate.h_hat, estimate.err_var
