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
# True over stated error variance: the statistics come from the same slot. Measured 0.5 to 3.6 dB.
_ERROR_FACTOR = 2.0
# Least noise that is reckoned with, as a share of the channel's power (-25 dB): statistics from a mean amid unknown
# symbols are not good enough to tell a cleaner channel, and rounds that believe so settle on wrong symbols.
_LEAST_NOISE = 10**-2.5


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
    observation's, but no less than `_LEAST_NOISE`. Gradients go through the fit, not through the statistics.
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
        strength = (estimate.h_hat.real**2 + estimate.h_hat.imag**2).mean((1, 2, 3, 4))
        noise_var = torch.maximum(observation.noise_var, _LEAST_NOISE * strength)
    batch = observation.y.shape[0]
    x = sent.expand(batch, 1, -1, -1)
    spread = (rest * on_data).expand(batch, 1, -1, -1)
    h, error = estimate.h_hat, estimate.err_var
    for _ in range(_NUM_ROUNDS):
        expected = _with_error(h.detach(), error.detach())
        h, error = fit_to_symbols(observation, expected, *profiles, correlation, noise_var, x, spread)
    return replace(estimate, h_hat=h, err_var=error, noise_var=noise_var)


def _with_error(h: Tensor, err_var: Tensor) -> Tensor:
    """A channel as strong on every RE, in the mean of the antennas, as is expected: stronger than its estimate.

    Without that, the REs where the estimate happens to be small count for almost free of noise when the thermal noise
    is low, and errors of the estimate confirm themselves: more blocks are lost at 60 dB than at 12 dB.
    """
    power = (h.real**2 + h.imag**2).mean(1) + _ERROR_FACTOR * err_var
    return power.sqrt().to(h.dtype).unsqueeze(1).expand_as(h).contiguous()


def _as_pilots(observation: SlotObservation, sent: Tensor) -> SlotObservation:
    """The slot as if its data were pilots, two neighbours a pair, on every symbol of the allocation."""
    symbols = tuple(observation.data_mask.any(1).nonzero().squeeze(1).tolist())
    layout = PilotLayout(symbols=symbols, first_subcarrier=(0,), spacing=1, cover_code=((1, 1),), pair_spacing=2)
    # nothing is data any more
    return replace(
        observation, pilots=sent.unsqueeze(0), layout=layout, data_mask=torch.zeros_like(observation.data_mask)
    )
