"""A receiver composed of an estimator, a refinement, a noise model and a detector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from receivers.classical.blind_estimate import BlindEstimator, SlotEstimate
from receivers.classical.data_aided import refine_with_data
from receivers.classical.detection import Detection
from receivers.classical.phase_tracking import common_phase
from receivers.classical.pilotless import estimate_slot
from receivers.classical.refinement import AsEstimated, NoiseModel, Refined, Refinement, WhiteNoise
from receivers.interface import Receiver, SlotObservation, Supports, Truth
from receivers.levels import at_unit_level


class Composed(Receiver):
    """Estimator, refinement, noise model, detector: each an object, in this order.

    estimator: from the slot's pilots to a `SlotEstimate`, by default `BlindEstimator()`. refinement: `AsEstimated`,
    `Reestimation` or `ImpairedReestimation`. noise: `WhiteNoise` or `AntennaCovariance`. detection: `Detection`.
    data_aided: estimate the channel anew in each round of a detector with the decoder in its loop, from pilots and
    decoded data; without rejection of bursts. Any object that is called in the same way will do. The receiver `blind`
    is made of these by its options.
    """

    name = "composed"

    def __init__(
        self,
        estimator: BlindEstimator | None = None,
        refinement: Refinement | None = None,
        noise: NoiseModel | None = None,
        detection: Detection | None = None,
        data_aided: bool = False,
    ) -> None:
        self.estimator = estimator or BlindEstimator()
        self.refinement = refinement or AsEstimated()
        self.noise_model = noise or WhiteNoise()
        self.detection = detection or Detection("ep")
        self.data_aided = data_aided
        if data_aided and not self.detection.uses_decoder:
            raise ValueError(
                f"data_aided: got true with detector {self.detection.detector!r}; allowed: with 'mmse-pic', false "
                "otherwise"
            )
        if data_aided and self.detection.reject_bursts:
            raise ValueError("reject_bursts: got true with data_aided; allowed: false, or data_aided false")
        if not isinstance(self.noise_model, WhiteNoise) and not self.refinement.takes_coloured_noise:
            raise ValueError(
                f"refinement: got {type(self.refinement).__name__} with {type(self.noise_model).__name__}; allowed: "
                "AsEstimated, or WhiteNoise"
            )

    @property
    def uses_decoder(self) -> bool:
        return self.detection.uses_decoder

    @property
    def supports(self) -> Supports:
        return self.detection.supports & self.refinement.supports & self.noise_model.supports

    def check(self, bits_per_symbol: int, num_layers: int, num_rx_ant: int) -> None:
        self.detection.check(num_layers)

    def __call__(self, observation: SlotObservation, truth: Truth | None = None) -> Tensor:
        observation = at_unit_level(observation)
        return self.detect(observation, estimate_slot(self.estimator, observation))

    def detect(self, observation: SlotObservation, estimate: SlotEstimate, prior_llr: Tensor | None = None) -> Tensor:
        """LLRs [batch, num_layers, num_data_re, bits_per_symbol] given a channel estimate.

        prior_llr, of the same shape: extrinsic LLRs of a decoder; the result is then what the slot adds to them
        (MMSE-PIC with "lmmse").
        """
        phase = common_phase(observation, estimate.h_hat, estimate.noise_var)
        found = self.refinement(Refined(observation, estimate, phase))
        estimate, phase = found.estimate, found.phase
        if phase is not None:
            estimate = replace(estimate, h_hat=estimate.h_hat * phase[:, None, :, :, None])
        known, h_hat, err_var = self.noise_model(found.observation, estimate)
        refine = self._with_data(found.observation, estimate, phase) if self.data_aided else None
        return self.detection(known, h_hat, err_var, prior_llr, refine)

    def _with_data(
        self, observation: SlotObservation, estimate: SlotEstimate, phase: Tensor | None
    ) -> Callable[[Tensor, Tensor], tuple[SlotObservation, Tensor, Tensor]]:
        """What estimates the channel of some slots anew from what the decoder says about their bits."""

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
            return self.noise_model(slots, replace(known, h_hat=h, err_var=error))

        return refine
