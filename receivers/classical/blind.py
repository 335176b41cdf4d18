"""The receiver that learns its statistics from the slot itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from receivers.classical.blind_estimate import BlindEstimator, SlotEstimate
from receivers.classical.equalizer import detect
from receivers.classical.expectation_propagation import ExpectationPropagation
from receivers.classical.interference import whiten
from receivers.classical.two_layer_list import TwoLayerList
from receivers.interface import Receiver, SlotObservation, Truth

SUBCARRIERS_PER_PRB = 12
_DETECTORS: dict[str, ExpectationPropagation | TwoLayerList] = {
    "lmmse": ExpectationPropagation(num_iterations=0),
    "ep": ExpectationPropagation(),
    "ml": TwoLayerList(),
}


class Blind(Receiver):
    """LMMSE with statistics from the slot's own pilots: noise, delays, Doppler, timing and frequency offset.

    max_cfo_hz: largest carrier frequency offset that is looked for, Hz; 0 when it is known to be corrected.
    num_iterations: refinements of the power delay profile and the noise power.
    noise: "white", or "irc" for interference rejection by the noise covariance over the antennas (MMSE-IRC).
    irc_num_prb: resource blocks that share an estimate of that covariance.
    detector: of several layers. "lmmse"; "ep", which refines it by a step of expectation propagation; "ml", exact
        max-log for two layers, better than "ep" where the code rate is high and worse where it is low.
    """

    name = "blind"

    def __init__(
        self,
        max_cfo_hz: float = 200.0,
        num_iterations: int = 3,
        noise: Literal["white", "irc"] = "white",
        irc_num_prb: int = 4,
        detector: Literal["lmmse", "ep", "ml"] = "ep",
    ) -> None:
        if not 0 <= max_cfo_hz <= 1000:
            raise ValueError(f"max_cfo_hz: got {max_cfo_hz}; allowed: 0 to 1000")
        if num_iterations < 0:
            raise ValueError(f"num_iterations: got {num_iterations}; allowed: 0 or more")
        if noise not in ("white", "irc"):
            raise ValueError(f"noise: got {noise!r}; allowed: white, irc")
        if irc_num_prb < 1:
            raise ValueError(f"irc_num_prb: got {irc_num_prb}; allowed: 1 or more")
        if detector not in _DETECTORS:
            raise ValueError(f"detector: got {detector!r}; allowed: {', '.join(_DETECTORS)}")
        self.max_cfo_hz = max_cfo_hz
        self.num_iterations = num_iterations
        self.noise = noise
        self.irc_num_prb = irc_num_prb
        self.detector = detector
        self.estimate = BlindEstimator(max_cfo_hz, num_iterations)

    def check(self, bits_per_symbol: int, num_layers: int, num_rx_ant: int) -> None:
        if self.detector == "ml" and num_layers > TwoLayerList.max_layers:
            raise ValueError(f"detector: got 'ml' for {num_layers} layers; allowed: lmmse, ep")

    def __call__(self, observation: SlotObservation, truth: Truth | None = None) -> Tensor:
        return self.detect(observation, self.estimate(observation))

    def detect(self, observation: SlotObservation, estimate: SlotEstimate, prior_llr: Tensor | None = None) -> Tensor:
        """LLRs [batch, num_layers, num_data_re, bits_per_symbol] given a channel estimate.

        prior_llr, of the same shape: extrinsic LLRs of a decoder; the result is then what the slot adds to them
        (MMSE-PIC with "lmmse").
        """
        h_hat, err_var = estimate.h_hat, estimate.err_var
        if self.noise == "irc":
            size = SUBCARRIERS_PER_PRB * self.irc_num_prb
            known, h_hat, err_var = whiten(observation, h_hat, err_var, estimate.noise_var, size)
        else:
            known = replace(observation, noise_var=estimate.noise_var)
        if observation.transform_precoding and prior_llr is not None:
            raise ValueError("prior_llr: got LLRs with transform precoding; allowed: none")
        # spread symbols are not on the subcarriers: only linear detection can go before the despreading
        linear = self.detector == "lmmse" or observation.num_layers == 1 or observation.transform_precoding
        if prior_llr is None and linear:
            return detect(known, h_hat, err_var)
        return _detect_by(_DETECTORS[self.detector], known, h_hat, err_var, prior_llr)


def _detect_by(
    detector: ExpectationPropagation | TwoLayerList,
    observation: SlotObservation,
    h_hat: Tensor,
    err_var: Tensor,
    prior_llr: Tensor | None,
) -> Tensor:
    """Hand a detector the data REs, the error of the estimate counted as white noise."""
    data = observation.data_mask.flatten().nonzero().squeeze(-1)
    amplitude = observation.layer_amplitude
    error = err_var.flatten(2).index_select(2, data).sum(1)
    return detector(
        observation.y.flatten(2).index_select(2, data),
        h_hat.flatten(3).index_select(3, data) * amplitude,
        observation.noise_var.unsqueeze(-1) + amplitude**2 * error,
        observation.bits_per_symbol,
        prior_llr,
    )
