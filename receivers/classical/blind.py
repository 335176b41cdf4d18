"""The receiver that learns its statistics from the slot itself."""

from __future__ import annotations

from typing import Literal

from receivers.classical.blind_estimate import BlindEstimator
from receivers.classical.composed import Composed
from receivers.classical.detection import DemapperName, Detection, DetectorName
from receivers.classical.impaired import ImpairedSlot
from receivers.classical.refinement import (
    SUBCARRIERS_PER_PRB,
    AntennaCovariance,
    AsEstimated,
    ImpairedReestimation,
    Reestimation,
    Refinement,
    WhiteNoise,
)
from receivers.interface import PilotLayout, SlotObservation


class Blind(Composed):
    """LMMSE with statistics from the slot's own pilots: noise, delays, Doppler, timing and frequency offset.

    A ready composition of the parts of `receivers.classical.composed`, by options.

    max_cfo_hz: largest carrier frequency offset that is looked for, Hz; 0 when it is known to be corrected.
    num_iterations: refinements of the power delay profile and the noise power.
    noise: "white", or "irc" for interference rejection by the noise covariance over the antennas (MMSE-IRC).
    irc_num_prb: resource blocks that share an estimate of that covariance.
    detector: of several layers. "lmmse"; "ep", which refines it by a step of expectation propagation; "ml", exact
        max-log for two layers, better than "ep" where the code rate is high and worse where it is low; "k-best", a tree
        search; "mmse-pic", "ep" and then rounds of decoding and of detection without the other layers' interference,
        as the decoder knows it.
    num_paths: that the tree search of "k-best" keeps.
    num_turbo: rounds of "mmse-pic" at most.
    demapper: "maxlog" or "exact".
    data_aided: estimate the channel anew in each round of "mmse-pic", from pilots and decoded data.
    num_reestimations: rounds of detection and of estimating the channel anew from pilots and detected symbols, before
        any decoding; with white noise only. Two close about half of what is left to a known channel, more with one
        DM-RS symbol.
    track_phase: in these rounds also the common phase of every OFDM symbol, with or without PT-RS.
    amplifier_order: in these rounds also the distortion by each layer's amplifier, up to this odd order, which is then
        taken off; 1 is none, 5 does for most, with 4 rounds. For layers that leave from antennas of their own.
    reject_bursts: detect anew the slots in which decisions leave OFDM symbols with far more than the noise that was
        estimated, with the noise covariance over the antennas of each of these symbols; without data_aided. With
        num_reestimations the channel is estimated without these symbols (not with track_phase or amplifier_order).
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
        reject_bursts: bool = False,
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
        is_impaired = ImpairedSlot(track_phase, amplifier_order).is_on
        if is_impaired and not num_reestimations:
            raise ValueError(
                "num_reestimations: got 0 with track_phase or amplifier_order; allowed: 1 or more, 4 are enough"
            )
        refinement: Refinement = AsEstimated()
        if is_impaired:
            refinement = ImpairedReestimation(num_reestimations, track_phase, amplifier_order)
        elif num_reestimations:
            refinement = Reestimation(num_reestimations, demapper, reject_bursts)
        super().__init__(
            BlindEstimator(max_cfo_hz, num_iterations),
            refinement,
            AntennaCovariance(irc_num_prb) if noise == "irc" else WhiteNoise(),
            Detection(detector, demapper, num_paths, num_turbo, reject_bursts),
            data_aided,
        )
        self.max_cfo_hz = max_cfo_hz
        self.num_iterations = num_iterations
        self.noise = noise
        self.irc_num_prb = irc_num_prb
        self.detector: DetectorName = detector
        self.demapper: DemapperName = demapper
        self.num_paths = num_paths
        self.num_turbo = num_turbo
        self.num_reestimations = num_reestimations
        self.track_phase = track_phase
        self.amplifier_order = amplifier_order
        self.reject_bursts = reject_bursts

    def check_pilots(self, layout: PilotLayout) -> None:
        step, size = layout.pair_spacing or 2 * layout.spacing, SUBCARRIERS_PER_PRB * self.irc_num_prb
        if self.noise == "irc" and layout.symbols and step > size:
            raise ValueError(
                f"irc_num_prb: got {self.irc_num_prb} with pairs of pilots {step} subcarriers apart, which leaves "
                f"parts of the band without any; allowed: {-(-step // SUBCARRIERS_PER_PRB)} or more"
            )
        super().check_pilots(layout)

    def check_slot(self, observation: SlotObservation) -> None:
        """`ValueError` also where a part of the band with a covariance of its own has no pilots, as the last may."""
        super().check_slot(observation)
        if self.noise != "irc" or not observation.layout.symbols:
            return
        size = SUBCARRIERS_PER_PRB * self.irc_num_prb
        has_pilots = (observation.pilots != 0).any(0).any(0)
        empty = [place for place, part in enumerate(has_pilots.split(size)) if not bool(part.any())]
        if empty:
            raise ValueError(
                f"irc_num_prb: got {self.irc_num_prb} with {len(has_pilots) // SUBCARRIERS_PER_PRB} PRBs, which leaves "
                f"part {empty[0] + 1} of the band without pilots; allowed: a number that leaves some in every part"
            )

    @property
    def estimate(self) -> BlindEstimator:
        """The channel estimator."""
        return self.estimator
