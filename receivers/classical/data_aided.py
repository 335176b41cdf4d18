"""Channel estimation from pilots and decoded data together."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from receivers.classical.points import soft_symbols
from receivers.classical.subbands import cut_band
from receivers.interface import SlotObservation

# Time modes that are kept have at least this share of the strongest one's power.
_TIME_RANK = 1e-3
_MAX_TIME_MODES = 4
# Size of a residual in unit-power coefficients that counts as solved.
_CONVERGED = 1e-20
# Variance of a symbol that counts as known.
_LEAST_VARIANCE = 1e-6


def refine_with_data(
    observation: SlotObservation,
    h_hat: Tensor,
    delays_s: Tensor,
    powers: Tensor,
    over_time: Tensor,
    noise_var: Tensor,
    prior_llr: Tensor,
    phase: Tensor | None = None,
    num_steps: int = 6,
) -> tuple[Tensor, Tensor]:
    """LMMSE estimate of the channel from all REs: pilots, and data as far as a decoder knows them.

    h_hat: an estimate from the pilots, complex64 [batch, num_rx_ant, num_layers, num_ofdm_symbols, num_subcarriers],
    for the power that unknown parts of the symbols bring in as noise.
    delays_s, powers [batch, num_layers, d]: the layers' power delay profiles.
    over_time [batch, num_layers, num_ofdm_symbols, num_ofdm_symbols] complex64: their correlation over time.
    noise_var [batch]. prior_llr [batch, num_layers, num_data_re, bits_per_symbol]: extrinsic LLRs.
    phase [batch, num_layers, num_ofdm_symbols] complex64: rotations that the correlation over time does not know.
    num_steps: of the conjugate gradient method.

    Returns a new h_hat and its error variance [batch, num_layers, num_ofdm_symbols, num_subcarriers].

    The channel is a sum of products of few functions over frequency and over time with independent coefficients, and
    the regularised least-squares problem in them is solved by preconditioned conjugate gradients.
    """
    sent, spread = _symbols(observation, prior_llr, phase)
    h, error = fit_to_symbols(observation, h_hat, delays_s, powers, over_time, noise_var, sent, spread, num_steps)
    return (h if phase is None else h * phase[:, None, :, :, None]), error


def fit_to_symbols(
    observation: SlotObservation,
    h_hat: Tensor,
    delays_s: Tensor,
    powers: Tensor,
    over_time: Tensor,
    noise_var: Tensor,
    sent: Tensor,
    spread: Tensor,
    num_steps: int = 6,
    detected: bool = False,
) -> tuple[Tensor, Tensor]:
    """`refine_with_data` from symbols: the mean of what is sent, complex64 [batch, num_layers, num_ofdm_symbols,
    num_subcarriers], and its variance, of the same shape.

    detected: the symbols were detected in this very grid with the channel `h_hat`, otherwise they are known from
    elsewhere. This is then one step of expectation maximisation, the channel that best explains pilots and data where
    the data are averaged over what they may be. What is left unknown of a detected symbol agrees with the noise of its
    RE. As noise it would be counted twice; here its variance, and between layers its covariance, stand beside the
    products of the means.

    Subband by subband, as the profiles were estimated: delays that are apart as far as a subband resolves do not
    describe a wider band, nor one function a channel that jumps.
    """
    statistics, noise = (delays_s, powers, over_time), noise_var[:, None, None]
    h, error = torch.empty_like(h_hat), torch.empty_like(spread)
    for band, kept in _subbands(observation):
        part = replace(
            observation,
            y=observation.y[..., band],
            pilots=observation.pilots[..., band],
            data_mask=observation.data_mask[:, band],
        )
        before, x, rest = h_hat[..., band], sent[..., band], spread[..., band]
        if detected:
            weight = (1 / noise).expand(len(x), *x.shape[2:])
            left = symbol_covariance(before, weight, rest)
        else:
            power = (before.real**2 + before.imag**2).mean(1)
            weight, left = 1 / (noise + (power * rest).sum(1)), None
        found = _solve(part, statistics, x, weight, left, num_steps)
        inside = slice(kept.start - band.start, kept.stop - band.start)
        h[..., kept], error[..., kept] = found[0][..., inside], found[1][..., inside]
    return h, error


#: From symbols that were detected in this very grid.
fit_to_decisions = partial(fit_to_symbols, num_steps=8, detected=True)


def _subbands(observation: SlotObservation) -> list[tuple[slice, slice]]:
    """Subbands of the band, and the subcarriers that are taken from each."""
    layout, num_subcarriers = observation.layout, observation.data_mask.shape[1]
    unit, bundle = layout.pair_spacing or 2 * layout.spacing, layout.bundle_subcarriers
    if bundle is None or bundle >= num_subcarriers:
        bundle = None
    even = num_subcarriers if bundle is None else num_subcarriers - num_subcarriers % bundle
    cut = cut_band(even, unit, bundle, torch.device("cpu"))
    owner = cut.owner // cut.width if len(cut) > 1 else torch.zeros(even, dtype=torch.int64)
    found = []
    for i, start in enumerate(cut.starts.tolist()):
        own = (owner == i).nonzero().squeeze(1)
        found.append((slice(start, start + cut.width), slice(int(own[0]), int(own[-1]) + 1)))
    if even < num_subcarriers:
        rest = slice(even, num_subcarriers)
        found.append((rest, rest))
    return found


def symbol_covariance(h: Tensor, weight: Tensor, spread: Tensor) -> Tensor:
    """Of what is left unknown of the layers of a RE after detection, complex64 [batch, layer, layer, symbol,
    subcarrier], positive semidefinite, with the variances `spread`.

    The precision of Gaussian symbols has the correlation of the layers' channels beside its diagonal. With two layers
    the variances then determine the covariance. With more, the precision's diagonal is taken as large as the variances
    ask for at least, and the covariance scaled to them.
    """
    num_layers = spread.shape[1]
    if num_layers == 1:
        return spread.unsqueeze(1).to(h.dtype)
    gram = torch.einsum("brikn,brjkn->bijkn", h.conj(), h) * weight[:, None, None]
    if num_layers == 2:
        product = spread.unsqueeze(1) * spread.unsqueeze(2)
        strength = gram.real**2 + gram.imag**2
        between = -gram * (2 * product / (1 + (1 + 4 * product * strength).sqrt()))
        own = torch.diag_embed(spread.movedim(1, -1)).movedim((-2, -1), (1, 2))
        different = ~torch.eye(2, dtype=torch.bool, device=h.device)
        return torch.where(different[:, :, None, None], between, own.to(h.dtype))
    # [batch, symbol, subcarrier, layer, layer]
    precision = gram.movedim((1, 2), (-2, -1))
    needed = 1 / spread.movedim(1, -1).clamp_min(_LEAST_VARIANCE)
    more = (needed - torch.diagonal(precision, dim1=-2, dim2=-1).real).clamp_min(1)
    covariance = torch.linalg.inv(precision + torch.diag_embed(more))
    found = torch.diagonal(covariance, dim1=-2, dim2=-1).real
    scale = (spread.movedim(1, -1) / found.clamp_min(_LEAST_VARIANCE**2)).sqrt()
    return (covariance * scale.unsqueeze(-1) * scale.unsqueeze(-2)).movedim((-2, -1), (1, 2))


def _solve(
    observation: SlotObservation,
    statistics: tuple[Tensor, ...],
    sent: Tensor,
    weight: Tensor,
    left: Tensor | None,
    num_steps: int,
) -> tuple[Tensor, Tensor]:
    """Regularised least squares by preconditioned conjugate gradients; weight [batch, symbol, subcarrier] of every RE,
    left: covariance of the layers' symbols beside the products of their means."""
    delays_s, powers, over_time = statistics
    frequency, strength = _frequency_modes(observation, delays_s, powers)
    time, slowness = _time_modes(over_time)
    energy = sent.real**2 + sent.imag**2
    if left is not None:
        energy = energy + torch.diagonal(left, dim1=1, dim2=2).real.movedim(-1, 1)
    known = (energy * weight.unsqueeze(1)).mean((2, 3))
    # [batch, layer, time mode, frequency mode]
    precision = 1 + known[..., None, None] * slowness.unsqueeze(3) * strength.unsqueeze(2)

    def channel(a: Tensor) -> Tensor:
        return time.unsqueeze(1) @ (a @ frequency.unsqueeze(1))

    def matched(residual: Tensor) -> Tensor:
        along = sent.conj().unsqueeze(1) * (residual * weight.unsqueeze(1)).unsqueeze(2)
        return (time.mH.unsqueeze(1) @ along) @ frequency.mH.unsqueeze(1)

    def explained(h: Tensor) -> Tensor:
        along = matched((h * sent.unsqueeze(1)).sum(2))
        if left is None:
            return along
        rest = torch.einsum("brjkn,bjikn->brikn", h, left) * weight[:, None, None]
        return along + (time.mH.unsqueeze(1) @ rest) @ frequency.mH.unsqueeze(1)

    # one system per slot and antenna
    a = torch.zeros_like(matched(observation.y))
    residual = matched(observation.y)
    direction = residual / precision.unsqueeze(1)
    size = (residual.conj() * direction).real.sum((2, 3, 4), keepdim=True)
    for _ in range(num_steps):
        image = direction + explained(channel(direction))
        step = size / (direction.conj() * image).real.sum((2, 3, 4), keepdim=True).clamp_min(_CONVERGED)
        a, residual = a + step * direction, residual - step * image
        scaled = residual / precision.unsqueeze(1)
        previous, size = size, (residual.conj() * scaled).real.sum((2, 3, 4), keepdim=True)
        direction = scaled + size / previous.clamp_min(_CONVERGED) * direction
    h = channel(a)
    at = (time.abs() ** 2) @ (1 / precision) @ (frequency.abs() ** 2)
    return h, at


def _symbols(observation: SlotObservation, prior_llr: Tensor, phase: Tensor | None) -> tuple[Tensor, Tensor]:
    """What is sent as far as it is known, [batch, layer, symbol, subcarrier] complex64, and the variance left."""
    mean, variance = soft_symbols(prior_llr, observation)
    amplitude, shape = observation.layer_amplitude, observation.data_mask.shape
    data = observation.data_mask.flatten().nonzero().squeeze(-1)
    pilots = observation.pilots.expand(len(prior_llr), -1, -1, -1).flatten(2)
    sent = pilots.index_copy(2, data, amplitude * mean).unflatten(2, shape)
    spread = torch.zeros_like(pilots.real).index_copy(2, data, amplitude**2 * variance).unflatten(2, shape)
    return (sent if phase is None else sent * phase.unsqueeze(-1)), spread


def _frequency_modes(observation: SlotObservation, delays_s: Tensor, powers: Tensor) -> tuple[Tensor, Tensor]:
    """Orthogonal functions over frequency [batch, layer, d, num_subcarriers] with unit-power coefficients, and their
    squared norms."""
    k = torch.arange(observation.y.shape[-1], device=powers.device, dtype=torch.float32)
    angle = -2 * torch.pi * observation.subcarrier_spacing_hz * delays_s.unsqueeze(-1) * (k - k.mean())
    paths = torch.polar(powers.clamp_min(0).sqrt().unsqueeze(-1).expand_as(angle).contiguous(), angle)
    strength, turn = torch.linalg.eigh(paths @ paths.mH)
    return turn.mH @ paths, strength.clamp_min(0)


def _time_modes(over_time: Tensor) -> tuple[Tensor, Tensor]:
    """Orthogonal functions over time [batch, layer, num_symbols, q] with unit-power coefficients, and their squared
    norms [batch, layer, q]."""
    values, modes = torch.linalg.eigh((over_time + over_time.mH) / 2)
    values, modes = values[..., -_MAX_TIME_MODES:], modes[..., -_MAX_TIME_MODES:]
    values = torch.where(values > _TIME_RANK * values[..., -1:], values, 0).clamp_min(0)
    return modes * values.sqrt().unsqueeze(-2), values
