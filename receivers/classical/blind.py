"""LMMSE channel estimation whose statistics come from the slot itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from receivers.classical.delay_statistics import (
    ActiveBins,
    CombPilots,
    DelayEstimator,
    DelayStatistics,
    comb_pilots,
    empty_res,
)
from receivers.classical.equalizer import detect
from receivers.classical.expectation_propagation import ExpectationPropagation
from receivers.classical.interference import whiten
from receivers.classical.time_statistics import time_correlation
from receivers.classical.two_layer_list import TwoLayerList
from receivers.interface import PilotLayout, Receiver, SlotObservation, Truth

# Strongest modes that decide about Doppler and frequency offset.
_DOPPLER_MODES = 24
SUBCARRIERS_PER_PRB = 12
_DETECTORS: dict[str, ExpectationPropagation | TwoLayerList] = {
    "lmmse": ExpectationPropagation(num_iterations=0),
    "ep": ExpectationPropagation(),
    "ml": TwoLayerList(),
}


@dataclass(frozen=True)
class SlotEstimate:
    """What the pilots of a slot say.

    h_hat [batch, num_rx_ant, num_layers, num_ofdm_symbols, num_subcarriers] complex64.
    err_var [batch, num_layers, num_ofdm_symbols, num_subcarriers] float32: its expected squared error.
    noise_var [batch] float32.
    delays_s, powers: per layer, the power delay profile [batch, num_active] that served as prior, in order of power;
        0 for padding. A delay of 0 is a flat phase over frequency.
    time_correlation: per layer, [batch, num_ofdm_symbols, num_pilot_symbols] complex64.
    """

    h_hat: Tensor
    err_var: Tensor
    noise_var: Tensor
    delays_s: list[Tensor]
    powers: list[Tensor]
    time_correlation: list[Tensor]

    def delay_spread_s(self, layer: int) -> Tensor:
        """RMS delay spread of a layer's estimated profile [batch], seconds: blurred by the resolution of the band."""
        weight = self.powers[layer] / self.powers[layer].sum(1, keepdim=True)
        delay = self.delays_s[layer]
        mean = (weight * delay).sum(1, keepdim=True)
        return (weight * (delay - mean) ** 2).sum(1).sqrt()


class BlindEstimator:
    """Joint Wiener filter over frequency and time with the prior that the slot's pilots suggest.

    Covariance: delays (independent bins of estimated power) times a correlation over time, a Kronecker product, solved
    exactly by the eigenmodes of either axis. Layers that share a comb are estimated jointly.
    """

    def __init__(self, max_cfo_hz: float = 200.0, num_iterations: int = 3) -> None:
        self.max_cfo_hz = max_cfo_hz
        self._delays = DelayEstimator(num_iterations)

    def __call__(self, observation: SlotObservation) -> SlotEstimate:
        pilots = comb_pilots(observation)
        statistics, active = self._delays(observation, pilots, empty_res(observation))
        modes = [_Modes.build(comb, bins, statistics) for comb, bins in zip(pilots, active, strict=True)]
        correlations = self._correlations(observation, modes)
        comb_of = {layer: comb for comb in pilots for layer in comb.layers}
        h: list[Tensor | None] = [None] * observation.num_layers
        err: list[Tensor | None] = [None] * observation.num_layers
        by_layer: list[Tensor | None] = [None] * observation.num_layers
        for comb, mode, correlation in zip(pilots, modes, correlations, strict=True):
            for layer, h_layer, err_layer in _interpolate(observation, comb, mode, statistics, correlation):
                h[layer], err[layer], by_layer[layer] = h_layer, err_layer, correlation
        return SlotEstimate(
            torch.stack([x for x in h if x is not None], dim=2),
            torch.stack([x for x in err if x is not None], dim=1),
            statistics.noise_var,
            [
                comb_of[layer].grid.bin_s(observation.subcarrier_spacing_hz) * bins
                for layer, bins in enumerate(statistics.bins)
            ],
            [gamma / comb_of[layer].amplitude ** 2 for layer, gamma in enumerate(statistics.gamma)],
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
        model = bins.model(torch.cat([statistics.gamma[layer] for layer in comb.layers], dim=1))
        noise = statistics.noise_var
        kappa, vectors = torch.linalg.eigh(model.k / noise[:, None, None])
        kappa = kappa.clamp_min(1e-6)
        scale = kappa.rsqrt() / noise.unsqueeze(1)
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
    num_rx_ant, num_modes = filtered.shape[1:3]
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

    def check_pilots(self, layout: PilotLayout) -> None:
        if layout.num_adjacent_symbols > 1 or not layout.is_comb:
            raise ValueError("blind: got DM-RS of type 2 or of double symbols; allowed: type 1, single symbols")
        if layout.bundle_subcarriers is not None:
            raise ValueError("blind: got a precoder that changes over the band; allowed: one for the whole band")

    def __call__(self, observation: SlotObservation, truth: Truth | None = None) -> Tensor:
        self.check_pilots(observation.layout)
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
