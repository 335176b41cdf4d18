"""Common phase of each OFDM symbol from its data, without pilots for it."""

from __future__ import annotations

import torch
from torch import Tensor

from receivers.classical.equalizer import lmmse_equalize
from receivers.classical.pam import pam_axis
from receivers.classical.qam import axis_scale
from receivers.interface import SlotObservation
from receivers.transform_precoding import despread

# Phases that are looked at, radians: a fraction of the innermost level apart, or the second where that is less.
_REACH_RAD, _STEP_OF_LEVEL, _STEP_RAD = 0.25, 0.4, 0.06
# Symbols of a layer in an OFDM symbol that are looked at for the start, and the steps that follow with all of them.
_NUM_SAMPLED, _NUM_STEPS = 192, 2
# How far a phase moves, radians, and how alike neighbouring symbols are: what is weighed against one another.
_DEVIATIONS_RAD = (0.0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
_CORRELATIONS = (0.0, 0.7, 0.97)
_TINY = 1e-12


def symbol_phase(observation: SlotObservation, h: Tensor, err_var: Tensor) -> tuple[Tensor, Tensor]:
    """Rotation of every layer in every symbol beyond `h`, radians, float32 [batch, num_layers, num_ofdm_symbols], the
    layers of a user alike; and its variance as the symbol alone tells it, of the same shape.

    h [batch, num_rx_ant, num_layers, num_ofdm_symbols, num_subcarriers] complex64; err_var [batch, num_layers,
    num_ofdm_symbols, num_subcarriers]: error variance of h.

    The phase under which pilots and unknown symbols of a constellation best explain what is received, after LMMSE
    equalisation: looked for over a grid, since decisions on a turned constellation confirm themselves, and then by
    Newton's steps, in which a soft symbol counts by the information that it has.
    """
    received = _equalised(observation, h, err_var)
    angle, information = torch.zeros_like(h.real[:, 0, :, :, 0]), torch.zeros_like(h.real[:, 0, :, :, 0])
    users = observation.layer_to_user
    for user in sorted(set(users)):
        layers = [layer for layer, owner in enumerate(users) if owner == user]
        pilots = _pilot_correlation(observation, h, layers)
        start = _start(received, pilots, layers)
        for _ in range(_NUM_STEPS):
            slope, curve = _slope(received, pilots, layers, start)
            step = slope / curve.clamp_min(_TINY)
            start = torch.where(curve > 0, start + step.clamp(-_STEP_RAD, _STEP_RAD), start)
        angle[:, layers] = start.unsqueeze(1)
        information[:, layers] = _slope(received, pilots, layers, start)[1].unsqueeze(1)
    return angle, 1 / information.clamp_min(_TINY)


def smoothed_phase(angle: Tensor, variance: Tensor) -> Tensor:
    """Wiener estimate of phases over symbols from measured ones, both float32 [..., num_ofdm_symbols].

    How far the phase moves, and how fast, is told from the measured ones: hypotheses count by their likelihood, one of
    which is that it does not move.
    """
    num_symbols = angle.shape[-1]
    place = torch.arange(num_symbols, device=angle.device, dtype=torch.float64)
    lag = (place[:, None] - place).abs()
    moves = [deviation**2 * rho**lag for deviation in _DEVIATIONS_RAD for rho in _CORRELATIONS]
    # [hypothesis, symbol, symbol]
    prior = torch.stack(moves)
    noise = torch.diag_embed(variance.double().clamp(1e-10, 1e6)).unsqueeze(-3)
    factor = torch.linalg.cholesky(prior + noise)
    seen = angle.double().unsqueeze(-2).unsqueeze(-1).expand(*factor.shape[:-1], 1)
    solved = torch.cholesky_solve(seen, factor)
    fit = -0.5 * (seen * solved).sum((-2, -1)) - torch.diagonal(factor, dim1=-2, dim2=-1).log().sum(-1)
    # [..., hypothesis, symbol]
    mean = (prior @ solved).squeeze(-1)
    return (torch.softmax(fit, dim=-1).unsqueeze(-1) * mean).sum(-2).to(angle.dtype)


class _Equalised:
    """Symbols of all layers, unit power, [batch, num_layers, n] with their noise, and the OFDM symbol of each.

    positions: of a few of them, evenly over every OFDM symbol.
    """

    def __init__(self, symbols: Tensor, noise: Tensor, data_mask: Tensor, bits: int) -> None:
        self.symbols, self.noise, self.bits = symbols, noise, bits
        self.num_symbols = data_mask.shape[0]
        per_symbol = data_mask.sum(1)
        self.owner = torch.repeat_interleave(torch.arange(self.num_symbols, device=symbols.device), per_symbol)
        first = torch.cumsum(per_symbol, 0) - per_symbol
        within = torch.arange(len(self.owner), device=symbols.device) - first[self.owner]
        step = -(-int(per_symbol.max()) // _NUM_SAMPLED)
        self.positions = (within % step == 0).nonzero().squeeze(1)

    def per_symbol(self, values: Tensor, owner: Tensor) -> Tensor:
        """Sums over layers and over the symbols of each OFDM symbol, from [batch, layers, n] to [batch, symbol]."""
        total = values.new_zeros(len(values), self.num_symbols)
        return total.index_add_(1, owner, values.sum(1))


def _equalised(observation: SlotObservation, h: Tensor, err_var: Tensor) -> _Equalised:
    data, amplitude = observation.data_mask.flatten().nonzero().squeeze(-1), observation.layer_amplitude
    y = observation.y.flatten(2).index_select(2, data)
    chosen = h.flatten(3).index_select(3, data) * amplitude
    noise = observation.noise_var[:, None] + amplitude**2 * err_var.flatten(2).index_select(2, data).sum(1)
    symbols, variance = lmmse_equalize(y, chosen, noise)
    if observation.transform_precoding:
        symbols, variance = despread(symbols, variance, observation.data_mask.shape[1])
    # symbols of pi/2-BPSK are points of QPSK
    return _Equalised(symbols, variance, observation.data_mask, max(2, observation.bits_per_symbol))


def _pilot_correlation(observation: SlotObservation, h: Tensor, layers: list[int]) -> Tensor:
    """Of the grid with what a user's pilots make of it, over half the noise, complex64 [batch, num_ofdm_symbols]."""
    expected = (h[:, :, layers] * observation.pilots[layers]).sum(2)
    others = [layer for layer, user in enumerate(observation.layer_to_user) if layer not in layers]
    y = observation.y
    if others:
        y = y - (h[:, :, others] * observation.pilots[others]).sum(2)
    return 2 * (y * expected.conj()).sum((1, 3)) / observation.noise_var[:, None]


def _start(received: _Equalised, pilots: Tensor, layers: list[int]) -> Tensor:
    """The best phase of a grid, [batch, num_ofdm_symbols]."""
    step = min(_STEP_RAD, _STEP_OF_LEVEL * axis_scale(received.bits // 2))
    reach = round(_REACH_RAD / step)
    owner = received.owner[received.positions]
    z = received.symbols[:, layers][..., received.positions]
    noise = received.noise[:, layers][..., received.positions]
    levels = pam_axis(received.bits // 2, z.device)[0]
    phases = torch.arange(-reach, reach + 1, device=z.device) * step
    fits = []
    for phase in phases:
        turn = torch.polar(torch.ones_like(phase), -phase)
        distance = (torch.view_as_real(z * turn).unsqueeze(-1) - levels) ** 2 / noise[..., None, None]
        fits.append(received.per_symbol(torch.logsumexp(-distance, dim=-1).sum(-1), owner) + (pilots * turn).real)
    return phases[torch.stack(fits).argmax(0)]


def _slope(received: _Equalised, pilots: Tensor, layers: list[int], phase: Tensor) -> tuple[Tensor, Tensor]:
    """Derivative of the log likelihood by the phase, and its curvature downwards, both [batch, num_ofdm_symbols]."""
    turn = torch.polar(torch.ones_like(phase), -phase)
    u = received.symbols[:, layers] * turn[:, received.owner].unsqueeze(1)
    noise = received.noise[:, layers]
    levels = pam_axis(received.bits // 2, u.device)[0]
    axes = torch.view_as_real(u)
    p = torch.softmax(-((axes.unsqueeze(-1) - levels) ** 2) / noise[..., None, None], dim=-1)
    mean = p @ levels
    spread = (p @ levels**2 - mean**2).clamp_min(0)
    scale = 2 / noise
    across = scale * (mean[..., 0] * axes[..., 1] - mean[..., 1] * axes[..., 0])
    along = mean[..., 0] * axes[..., 0] + mean[..., 1] * axes[..., 1]
    # a turn moves one axis along the other
    hidden = spread[..., 0] * axes[..., 1] ** 2 + spread[..., 1] * axes[..., 0] ** 2
    curve = scale * (along - scale * hidden)
    turned = pilots * turn
    return (
        received.per_symbol(across, received.owner) + turned.imag,
        received.per_symbol(curve, received.owner) + turned.real,
    )
