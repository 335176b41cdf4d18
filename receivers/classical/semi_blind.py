"""Channel estimation from pilots and the receiver's own decisions, without the decoder."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from receivers.classical.blind_estimate import SlotEstimate
from receivers.classical.bursts import symbols_hit
from receivers.classical.data_aided import fit_to_decisions
from receivers.classical.detection import Detection
from receivers.classical.soft_grid import soft_grid
from receivers.interface import SlotObservation


def reestimated(
    observation: SlotObservation,
    estimate: SlotEstimate,
    detection: Detection,
    num_rounds: int,
    phase: Tensor | None,
    reject_bursts: bool = False,
) -> SlotEstimate:
    """The estimate after so many rounds of detection and of estimation from pilots and detected symbols.

    Expectation maximisation: every round raises the likelihood of the channel given the whole grid, under the
    statistics that the estimate came with. observation: with the estimated noise power. phase [batch, num_layers,
    num_ofdm_symbols]: of PT-RS, beside the estimate. reject_bursts: OFDM symbols in which a burst of interference is
    found (`receivers.classical.bursts`) say nothing of the channel; without any nothing changes.
    """
    for _ in range(num_rounds):
        h = estimate.h_hat if phase is None else estimate.h_hat * phase[:, None, :, :, None]
        x, _, rest = soft_grid(observation, detection(observation, h, estimate.err_var))
        if reject_bursts:
            clean = ~symbols_hit(observation, h, estimate.err_var, x, rest)[:, None, :, None]
            x, rest = x * clean, rest * clean
        h, error = fit_to_decisions(
            observation,
            h,
            *estimate.profiles(),
            estimate.correlation(observation),
            estimate.noise_var,
            x if phase is None else x * phase.unsqueeze(-1),
            rest,
        )
        estimate = replace(estimate, h_hat=h, err_var=error)
    return estimate
