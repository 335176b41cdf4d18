"""Channel estimation without pilots, from a constellation whose mean is not zero."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from receivers.classical.blind_estimate import BlindEstimator, SlotEstimate
from receivers.classical.data_aided import fit_to_symbols
from receivers.interface import PilotLayout, SlotObservation
from receivers.levels import factor_to_unit, scaled

# Rounds of weighing REs by what their unknown symbols bring in as noise, which itself takes an estimate.
_NUM_ROUNDS = 2


def estimate_slot(estimator: BlindEstimator, observation: SlotObservation) -> SlotEstimate:
    """The estimate from pilots where there are any, else from the mean of the constellation."""
    if observation.layout.symbols:
        return estimator(observation)
    factor = factor_to_unit(observation)
    if factor is None:
        return estimate_from_mean(estimator, observation)
    return estimate_from_mean(estimator, scaled(observation, factor)).scaled(1 / factor)


def estimate_from_mean(estimator: BlindEstimator, observation: SlotObservation) -> SlotEstimate:
    """The mean of the constellation is a pilot on every RE; what a symbol differs from it by is noise.

    That noise is as strong as the channel, so REs in fades count more; few delays and Dopplers spread over all REs of
    the slot leave enough of the mean to start from. The statistics are those of `BlindEstimator`, the thermal noise the
    observation's. Gradients go through the fit, not through the statistics.
    """
    if observation.constellation is None:
        raise ValueError("constellation: got None without pilots; allowed: points whose mean is not zero")
    points = observation.constellation
    mean = points.mean()
    rest = observation.layer_amplitude**2 * ((points.real**2 + points.imag**2).mean() - mean.abs() ** 2)
    on_data = observation.data_mask.float()
    sent = (observation.layer_amplitude * mean) * on_data
    with torch.no_grad():
        estimate = estimator(_as_pilots(observation, sent.detach()))
        profiles, correlation = estimate.profiles(), estimate.correlation(observation)
    batch = observation.y.shape[0]
    x = sent.expand(batch, 1, -1, -1)
    spread = (rest * on_data).expand(batch, 1, -1, -1)
    h, error = estimate.h_hat, estimate.err_var
    for _ in range(_NUM_ROUNDS):
        known = h.detach()
        h, error = fit_to_symbols(observation, known, *profiles, correlation, observation.noise_var, x, spread)
    return replace(estimate, h_hat=h, err_var=error, noise_var=observation.noise_var)


def _as_pilots(observation: SlotObservation, sent: Tensor) -> SlotObservation:
    """The slot as if its data were pilots, two neighbours a pair, on every symbol of the allocation."""
    symbols = tuple(observation.data_mask.any(1).nonzero().squeeze(1).tolist())
    layout = PilotLayout(symbols=symbols, first_subcarrier=(0,), spacing=1, cover_code=((1, 1),), pair_spacing=2)
    # nothing is data any more
    return replace(
        observation, pilots=sent.unsqueeze(0), layout=layout, data_mask=torch.zeros_like(observation.data_mask)
    )
