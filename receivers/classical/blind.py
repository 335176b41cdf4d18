"""LMMSE channel estimation whose statistics come from the slot itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from receivers.classical.equalizer import detect
from receivers.classical.slot_statistics import (
    ActiveBins,
    CombPilots,
    DelayEstimator,
    DelayStatistics,
    comb_pilots,
    empty_res,
    time_correlation,
)
from receivers.interface import Receiver, SlotObservation, Truth

# Strongest modes that decide about Doppler and frequency offset.
_DOPPLER_MODES = 24


@dataclass(frozen=True)
class ChannelEstimate:
    """What the pilots of a slot say.

    h_hat [batch, num_rx_ant, num_layers, num_ofdm_symbols, num_subcarriers] complex64.
    err_var [batch, num_layers, num_ofdm_symbols, num_subcarriers] float32: its expected squared error.
    noise_var [batch] float32.
    statistics: power delay profile per layer.
    time_correlation: per layer, [batch, num_ofdm_symbols, num_pilot_symbols] complex64.
    """

    h_hat: Tensor
    err_var: Tensor
    noise_var: Tensor
    statistics: DelayStatistics
    time_correlation: list[Tensor]


class BlindEstimator:
    """Joint Wiener filter over frequency and time with the prior that the slot's pilots suggest.

    Covariance: delays (independent bins of estimated power) times a correlation over time, a Kronecker product, solved
    exactly by the eigenmodes of either axis. Layers that share a comb are estimated jointly.
    """

    def __init__(self, max_cfo_hz: float = 200.0, num_iterations: int = 3) -> None:
        self.max_cfo_hz = max_cfo_hz
        self._delays = DelayEstimator(num_iterations)

    def __call__(self, observation: SlotObservation) -> ChannelEstimate:
        pilots = comb_pilots(observation)
        statistics, active = self._delays(observation, pilots, empty_res(observation))
        modes = [_Modes.build(comb, bins, statistics) for comb, bins in zip(pilots, active, strict=True)]
        correlations = self._correlations(observation, modes)
        h: list[Tensor | None] = [None] * observation.num_layers
        err: list[Tensor | None] = [None] * observation.num_layers
        by_layer: list[Tensor | None] = [None] * observation.num_layers
        for comb, mode, correlation in zip(pilots, modes, correlations, strict=True):
            for layer, h_layer, err_layer in _interpolate(observation, comb, mode, statistics, correlation):
                h[layer], err[layer], by_layer[layer] = h_layer, err_layer, correlation
        return ChannelEstimate(
            torch.stack([x for x in h if x is not None], dim=2),
            torch.stack([x for x in err if x is not None], dim=1),
            statistics.noise_var,
            statistics,
            [x for x in by_layer if x is not None],
        )

    def _correlations(self, observation: SlotObservation, modes: list[_Modes]) -> list[Tensor]:
        """Correlation over time per comb: combs of one user have it in common."""
        parts = [mode.time_samples() for mode in modes]
        covariances, kappas = [p[0] for p in parts], [p[1] for p in parts]
        snapshots = modes[0].u.shape[1] * modes[0].u.shape[3]
        if len(set(observation.layer_to_user)) == 1:
            together = time_correlation(observation, covariances, kappas, snapshots, self.max_cfo_hz)
            return [together] * len(modes)
        return [
            time_correlation(observation, [c], [k], snapshots, self.max_cfo_hz)
            for c, k in zip(covariances, kappas, strict=True)
        ]


@dataclass(frozen=True)
class _Modes:
    """Eigenmodes of a comb's covariance over frequency, noise normalised to 1.

    u [batch, num_rx_ant, t, num_subbands, d] complex64: observed modes, variance kappa + 1.
    kappa [batch, d] float32: power of the modes over the noise, ascending.
    to_bins [batch, d, d] float32: unit-power modes to bins, sqrt(gamma) V.
    """

    u: Tensor
    kappa: Tensor
    to_bins: Tensor

    @classmethod
    def build(cls, comb: CombPilots, bins: ActiveBins, statistics: DelayStatistics) -> _Modes:
        model = bins.model(torch.cat([statistics.gamma[l] for l in comb.layers], dim=1))
        noise = statistics.noise_var
        kappa, vectors = torch.linalg.eigh(model.k / noise[:, None, None])
        kappa = kappa.clamp_min(1e-6)
        scale = (kappa * noise.unsqueeze(1) ** 2).rsqrt()
        u = (model.x @ vectors.to(model.x.dtype)) * scale.unsqueeze(1)
        return cls(u.unflatten(1, comb.z.shape[1:4]), kappa, model.root.unsqueeze(2) * vectors)

    def time_samples(self) -> tuple[Tensor, Tensor]:
        """Sample covariances over time of the strongest modes [batch, modes, t, t], and their powers."""
        u = self.u[..., -_DOPPLER_MODES:]
        return torch.einsum("brtsd,brvsd->bdtv", u, u.conj()), self.kappa[:, -_DOPPLER_MODES:]


def _interpolate(
    observation: SlotObservation, comb: CombPilots, modes: _Modes, statistics: DelayStatistics, correlation: Tensor
) -> list[tuple[int, Tensor, Tensor]]:
    """Wiener filter of one comb: per layer its index, channel and error variance."""
    grid = comb.grid
    known = correlation[:, list(observation.layout.symbols)]
    eigenvalues, vectors = torch.linalg.eigh((known + known.mH) / 2)
    # over time: [batch, num_symbols, t]
    synthesis = correlation @ vectors
    # [batch, t, d]
    gain = modes.kappa.unsqueeze(1) / (modes.kappa.unsqueeze(1) * eigenvalues.clamp_min(0).unsqueeze(2) + 1)
    filtered = torch.einsum("btj,brtsd->brjsd", vectors.conj(), modes.u)
    filtered = filtered * (gain * modes.kappa.clamp_min(1e-6).rsqrt().unsqueeze(1))[:, None, :, None]
    unknown = (1 - (synthesis.abs() ** 2) @ gain).clamp_min(0)
    out, start = [], 0
    batch, num_rx_ant, num_modes = filtered.shape[:3]
    for layer, shift in zip(comb.layers, comb.shifts, strict=True):
        bins = statistics.bins[layer]
        to_bins = modes.to_bins[:, start : start + bins.shape[1]]
        start += bins.shape[1]
        a = filtered.flatten(1, 3) @ to_bins.mT.to(filtered.dtype)
        position = bins - grid.window[0]
        window = a.new_zeros(*a.shape[:2], len(grid.window))
        window.scatter_(2, position.unsqueeze(1).expand_as(a), a)
        factor = (grid.half_shift if shift else 1.0) / comb.amplitude
        h_modes = (window @ (grid.synthesis * factor)).unflatten(1, (num_rx_ant, num_modes, -1))
        # [batch, rx, num_symbols, num_subcarriers]
        h = synthesis.unsqueeze(1) @ grid.join(h_modes)
        columns = grid.synthesis.index_select(1, grid.nodes)[position]
        at_nodes = (to_bins.mT.to(columns.dtype) @ columns).abs() ** 2
        out.append((layer, h, grid.join_nodes(unknown @ at_nodes) / comb.amplitude**2))
    return out


class Blind(Receiver):
    """LMMSE with statistics from the slot's own pilots: noise, delays, Doppler, timing and frequency offset.

    max_cfo_hz: largest carrier frequency offset that is looked for, Hz; 0 when it is known to be corrected.
    num_iterations: refinements of the power delay profile and the noise power.
    """

    name = "blind"

    def __init__(self, max_cfo_hz: float = 200.0, num_iterations: int = 3) -> None:
        self.max_cfo_hz = max_cfo_hz
        self.num_iterations = num_iterations
        self.estimate = BlindEstimator(max_cfo_hz, num_iterations)

    def __call__(self, observation: SlotObservation, truth: Truth | None = None) -> Tensor:
        estimate = self.estimate(observation)
        known = replace(observation, noise_var=estimate.noise_var)
        return detect(known, estimate.h_hat, estimate.err_var)
