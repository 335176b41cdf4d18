"""From a channel estimate to LLRs, by a detector of choice, with or without the decoder in the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor

from receivers.classical.bursts import bursts_rejected
from receivers.classical.compiled_detection import ep_of_estimate, list_of_estimate
from receivers.classical.equalizer import detect_estimate, lmmse_equalize
from receivers.classical.estimate import ChannelEstimate
from receivers.classical.expectation_propagation import ExpectationPropagation
from receivers.classical.points import demap_points
from receivers.classical.processor import runs_compiled
from receivers.classical.tree_search import KBest
from receivers.classical.two_layer_list import TwoLayerList
from receivers.classical.unrolled import MAX_LAYERS
from receivers.errors import unknown_name
from receivers.interface import SlotObservation, SoftDecoder, Supports

DetectorName = Literal["lmmse", "ep", "ml", "k-best", "mmse-pic"]
DemapperName = Literal["maxlog", "exact"]

#: A new channel estimate [like h_hat, like err_var] of some slots, by their places, from extrinsic LLRs of a decoder.
Refine = Callable[[Tensor, Tensor], tuple[SlotObservation, Tensor, Tensor]]


class Detection:
    """The part of a receiver after channel estimation.

    detector: "lmmse"; "ep", which refines it by a step of expectation propagation; "ml", exact max-log for two layers;
        "k-best", a tree search; "mmse-pic", "ep" followed by `num_turbo` rounds of decoding and of MMSE detection with
        the interference of the other layers, as the decoder sees it, taken off.
    demapper: "maxlog", or "exact", which sums over all levels of an axis, or over all paths of a search.
    num_paths: of "k-best".
    reject_bursts: detect anew the slots in which decisions leave OFDM symbols with far more than the noise that was
        stated, with the noise covariance over the antennas of each of these symbols (`receivers.classical.bursts`).
    """

    def __init__(
        self,
        detector: DetectorName = "lmmse",
        demapper: DemapperName = "maxlog",
        num_paths: int = 16,
        num_turbo: int = 3,
        reject_bursts: bool = False,
    ) -> None:
        if detector not in get_args(DetectorName):
            raise unknown_name("detector", detector, get_args(DetectorName))
        if demapper not in get_args(DemapperName):
            raise unknown_name("demapper", demapper, get_args(DemapperName))
        if num_turbo < 1:
            raise ValueError(f"num_turbo: got {num_turbo}; allowed: 1 or more")
        self.detector = detector
        self.demapper: DemapperName = demapper
        self.num_turbo = num_turbo
        self.reject_bursts = reject_bursts
        self._soft = ExpectationPropagation(0, rule=demapper)
        self._by_name: dict[str, ExpectationPropagation | TwoLayerList | KBest] = {
            "lmmse": self._soft,
            "ep": ExpectationPropagation(rule=demapper),
            "ml": TwoLayerList(demapper),
            "k-best": KBest(num_paths, demapper),
            "mmse-pic": ExpectationPropagation(rule=demapper),
        }

    @property
    def uses_decoder(self) -> bool:
        return self.detector == "mmse-pic"

    @property
    def supports(self) -> Supports:
        """What it can detect; pilots are no matter of its."""
        return replace(Supports.all(), mixed_modulations=self.detector in ("lmmse", "ep", "mmse-pic"))

    def check(self, num_layers: int) -> None:
        """`ValueError` when so many layers cannot be detected."""
        if self.detector == "ml" and num_layers > TwoLayerList.max_layers:
            allowed = ", ".join(name for name in get_args(DetectorName) if name != "ml")
            raise ValueError(f"detector: got 'ml' for {num_layers} layers; allowed: {allowed}")

    def of_estimate(self, observation: SlotObservation, estimate: ChannelEstimate) -> Tensor:
        """LLRs from an estimate that need not be written out on the grid."""
        llr = self._once(observation, estimate)
        return self._without_bursts(observation, *estimate.on_grid(), llr) if self.reject_bursts else llr

    def __call__(
        self,
        observation: SlotObservation,
        h_hat: Tensor,
        err_var: Tensor,
        prior_llr: Tensor | None = None,
        refine: Refine | None = None,
    ) -> Tensor:
        """LLRs [batch, num_layers, num_data_re, bits_per_symbol], positive means bit 0.

        h_hat [batch, num_rx_ant, num_layers, num_ofdm_symbols, num_subcarriers] complex64.
        err_var [batch, num_layers, num_ofdm_symbols, num_subcarriers] float32: counted as white noise.
        prior_llr, of the result's shape: extrinsic LLRs of a decoder; the result is what the slot adds to them.
        refine: improves the channel estimate between the rounds of "mmse-pic".
        """
        if prior_llr is not None and observation.transform_precoding:
            raise ValueError("prior_llr: got LLRs with transform precoding; allowed: none")
        estimate = ChannelEstimate(h_hat, error_modes=err_var)
        if prior_llr is not None:
            return _detect_by(self._by_name[self.detector], observation, estimate, prior_llr)
        llr = self._once(observation, estimate, refine)
        return self._without_bursts(observation, h_hat, err_var, llr) if self.reject_bursts else llr

    def _once(self, observation: SlotObservation, estimate: ChannelEstimate, refine: Refine | None = None) -> Tensor:
        """Detection of slots without a prior, bursts counted as noise."""
        if self._is_linear(observation):
            return detect_estimate(observation, estimate, self.demapper)
        if self.uses_decoder:
            return self._in_turns(observation, estimate, refine)
        return _detect_by(self._by_name[self.detector], observation, estimate, None)

    def _on_grid_once(self, observation: SlotObservation, h_hat: Tensor, err_var: Tensor) -> Tensor:
        return self._once(observation, ChannelEstimate(h_hat, error_modes=err_var))

    def _without_bursts(self, observation: SlotObservation, h_hat: Tensor, err_var: Tensor, llr: Tensor) -> Tensor:
        # the channel of a slot that is detected anew is that of before, also with the decoder in the loop
        return bursts_rejected(observation, h_hat, err_var, llr, self._on_grid_once)

    def _is_linear(self, observation: SlotObservation) -> bool:
        # spread symbols are not on the subcarriers: only linear detection can go before the despreading
        if self.detector == "lmmse" or observation.transform_precoding:
            return True
        return observation.num_layers == 1 and not self.uses_decoder

    def _in_turns(self, observation: SlotObservation, estimate: ChannelEstimate, refine: Refine | None) -> Tensor:
        """Detection and decoding in turns, for the slots that are not decoded without errors yet."""
        if observation.decoder is None:
            raise ValueError("decoder: got None; allowed: observations with a decoder, for detector 'mmse-pic'")
        llr = _detect_by(self._by_name[self.detector], observation, estimate, None)
        first = llr.clone() if adds_transmissions(observation) else None
        left = torch.arange(len(llr), device=llr.device)
        for _ in range(self.num_turbo):
            extrinsic, arrived = undecoded(observation.decoder, llr[left])
            left = left[~arrived]
            if not len(left):
                break
            if refine is None:
                slots, known = observation.select(left), estimate.select(left)
            else:
                slots, h, error = refine(left, extrinsic)
                known = ChannelEstimate(h, error_modes=error)
            llr[left] = _detect_by(self._soft, slots, known, extrinsic)
        if first is not None and len(left):
            failed = left[~observation.decoder(llr[left])[1]]
            llr[failed] = first[failed]
        return llr


def undecoded(decoder: SoftDecoder, llr: Tensor) -> tuple[Tensor, Tensor]:
    """Extrinsic LLRs of the slots that are not decoded, and whether each slot is; see `SoftDecoder.undecoded`."""
    if hasattr(decoder, "undecoded"):
        return decoder.undecoded(llr)
    extrinsic, arrived = decoder(llr)
    return extrinsic[~arrived], arrived


def adds_transmissions(observation: SlotObservation) -> bool:
    """Whether LLRs of slots that are not decoded are kept for retransmissions: these then have to be from the slot
    alone, as what a failed decoding told of it would count again with each transmission."""
    return bool(getattr(observation.decoder, "adds_transmissions", False))


def _detect_by(
    detector: ExpectationPropagation | TwoLayerList | KBest,
    observation: SlotObservation,
    estimate: ChannelEstimate,
    prior_llr: Tensor | None,
) -> Tensor:
    """Hand a detector the data REs, the error of the estimate counted as white noise.

    With a constellation by its points there is one layer, and nothing to detect beside it: demapping alone.
    """
    if observation.constellation is None and detector.rule == "maxlog":
        llr = _compiled(detector, observation, estimate, prior_llr)
        if llr is not None:
            return llr
    h_hat, err_var = estimate.on_grid()
    amplitude = observation.layer_amplitude
    error = observation.at_data(err_var).sum(1)
    y = observation.at_data(observation.y)
    h = observation.at_data(h_hat) * amplitude
    noise = observation.noise_var.unsqueeze(-1) + amplitude**2 * error
    if observation.constellation is not None:
        return demap_points(*lmmse_equalize(y, h, noise), observation.constellation, prior_llr, detector.rule)
    if isinstance(detector, ExpectationPropagation):
        return detector(y, h, noise, observation.bits_per_symbol, prior_llr, observation.modulations)
    return detector(y, h, noise, observation.bits_per_symbol, prior_llr)


def _compiled(
    detector: ExpectationPropagation | TwoLayerList | KBest,
    observation: SlotObservation,
    estimate: ChannelEstimate,
    prior_llr: Tensor | None,
) -> Tensor | None:
    """LLRs of a kernel that goes from the grid to max-log LLRs, where there is one and it may run."""
    if not runs_compiled(observation.y, observation.noise_var, estimate.modes, estimate.error_modes, prior_llr):
        return None
    if isinstance(detector, ExpectationPropagation) and observation.num_layers <= MAX_LAYERS:
        return ep_of_estimate(observation, estimate, detector.num_iterations, detector.damping, prior_llr)
    if isinstance(detector, TwoLayerList) and observation.num_layers == 2 and prior_llr is None:
        return list_of_estimate(observation, estimate)
    return None
