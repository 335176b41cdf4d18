"""LMMSE channel estimation whose statistics come from the slot itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from receivers.classical.delay_statistics import (
    ActiveBins,
    DelayEstimator,
    DelayStatistics,
    SetPilots,
    empty_res,
    layer_sets,
    set_pilots,
)
from receivers.classical.processor import floats, runs_compiled
from receivers.classical.time_statistics import mean_correlation, time_posterior
from receivers.classical.timing import coarse_delay, delayed
from receivers.interface import SlotObservation
from receivers.levels import factor_to_unit, scaled

# Strongest modes that decide about Doppler and frequency offset.
_DOPPLER_MODES = 24
# Least power of an eigenmode over the noise (-60 dB).
_LEAST_MODE = 1e-6
# Rounds in which sets of layers on the same pilots take their estimates off one another.
_NUM_ROUNDS = 3


@dataclass(frozen=True)
class SlotEstimate:
    """What the pilots of a slot say.

    h_hat [batch, num_rx_ant, num_layers, num_ofdm_symbols, num_subcarriers] complex64.
    err_var [batch, num_layers, num_ofdm_symbols, num_subcarriers] float32: its expected squared error.
    noise_var [batch] float32.
    delays_s, powers: per layer, the power delay profile [batch, num_active] that served as prior, in order of power;
        0 for padding. A delay of 0 is a flat phase over frequency.
    time_posterior: per layer, probabilities of the hypotheses on Doppler and frequency offset, which reach up to
        `max_cfo_hz`; see `time_statistics`.
    """

    h_hat: Tensor
    err_var: Tensor
    noise_var: Tensor
    delays_s: list[Tensor]
    powers: list[Tensor]
    time_posterior: list[Tensor]
    max_cfo_hz: float

    def select(self, slots: Tensor) -> SlotEstimate:
        """The slots at these places of the batch, int64 [n]."""
        return SlotEstimate(
            self.h_hat[slots],
            self.err_var[slots],
            self.noise_var[slots],
            [d[slots] for d in self.delays_s],
            [p[slots] for p in self.powers],
            [p[slots] for p in self.time_posterior],
            self.max_cfo_hz,
        )

    def scaled(self, factor: Tensor) -> SlotEstimate:
        """Of the slots received `factor` [batch] times as strong."""
        of_error = factor[:, None, None, None]
        return replace(
            self,
            h_hat=self.h_hat * of_error.unsqueeze(-1),
            err_var=self.err_var * of_error * of_error,
            noise_var=self.noise_var * factor * factor,
            powers=[p * factor.unsqueeze(1) * factor.unsqueeze(1) for p in self.powers],
        )

    def correlation(self, observation: SlotObservation) -> Tensor:
        """Over time between all symbols, complex64 [batch, num_layers, num_ofdm_symbols, num_ofdm_symbols]."""
        every = tuple((symbol,) for symbol in range(observation.data_mask.shape[0]))
        known = [mean_correlation(observation, every, p, self.max_cfo_hz) for p in self.time_posterior]
        return torch.stack(known, dim=1)

    def profiles(self) -> tuple[Tensor, Tensor]:
        """Delays in seconds and powers of all layers [batch, num_layers, d]; power 0 is padding."""
        width = max(p.shape[1] for p in self.powers)
        pad = [width - p.shape[1] for p in self.powers]
        delays = [torch.nn.functional.pad(d, (0, n)) for d, n in zip(self.delays_s, pad, strict=True)]
        powers = [torch.nn.functional.pad(p, (0, n)) for p, n in zip(self.powers, pad, strict=True)]
        return torch.stack(delays, dim=1), torch.stack(powers, dim=1)

    def delay_spread_s(self, layer: int) -> Tensor:
        """RMS delay spread of a layer's estimated profile [batch], seconds: blurred by the resolution of the band."""
        weight = self.powers[layer] / self.powers[layer].sum(1, keepdim=True)
        delay = self.delays_s[layer]
        mean = (weight * delay).sum(1, keepdim=True)
        return (weight * (delay - mean) ** 2).sum(1).sqrt()


class BlindEstimator:
    """Joint Wiener filter over frequency and time with the prior that the slot's pilots suggest.

    Covariance of a set of layers: delays (independent bins of estimated power) times a correlation over time, a
    Kronecker product, solved exactly by the eigenmodes of either axis. Layers of one set share their pilots and differ
    in the cover code over frequency. Sets on the same pilots, with another cover code over time or, as their frequency
    offsets differ, of another user, are estimated in turn, each from what the others leave of the pilots: the
    estimates go to those of the joint filter.

    The delays looked for are 1/32 of a symbol early to 1/8 late, and move with the mean delay where that is not near 0.
    With one DM-RS symbol nothing tells Doppler and frequency offset: the correlation over time is then the mean under a
    prior, exponential in the Doppler with mean 300 Hz and Gaussian in the offset, with max_cfo_hz as twice its
    deviation.
    """

    def __init__(self, max_cfo_hz: float = 200.0, num_iterations: int = 3) -> None:
        self.max_cfo_hz = max_cfo_hz
        self._delays = DelayEstimator(num_iterations)

    @property
    def num_iterations(self) -> int:
        """Refinements of the power delay profile and the noise power."""
        return self._delays.num_iterations

    def __call__(self, observation: SlotObservation) -> SlotEstimate:
        factor = factor_to_unit(observation)
        if factor is None:
            return self._at_any_delay(observation)
        return self._at_any_delay(scaled(observation, factor)).scaled(1 / factor)

    def _at_any_delay(self, observation: SlotObservation) -> SlotEstimate:
        delay = coarse_delay(observation)
        if delay is None:
            return self._estimate(observation)
        estimate = self._estimate(delayed(observation, -delay))
        moved = delayed(replace(observation, y=estimate.h_hat.flatten(1, 2)), delay).y.view_as(estimate.h_hat)
        delays_s = [d + delay.unsqueeze(1).to(d) for d in estimate.delays_s]
        return replace(estimate, h_hat=moved, delays_s=delays_s)

    def _estimate(self, observation: SlotObservation) -> SlotEstimate:
        whole, rest = _even_bundles(observation)
        sets = [set_pilots(whole, layers, add_symbols=True) for layers in layer_sets(whole.layout)]
        statistics, active = self._delays(whole, sets, empty_res(observation))
        estimate = self._interpolate(whole, sets, statistics, active)
        if rest is None:
            return estimate
        # the last bundle is too narrow to tell its statistics
        narrow = [set_pilots(rest, layers, add_symbols=True) for layers in layer_sets(rest.layout)]
        told = _rebinned(statistics, sets, narrow)
        active = [ActiveBins(group, [told.bins[layer] for layer in group.layers]) for group in narrow]
        at_end = self._interpolate(rest, narrow, told, active, estimate.time_posterior)
        return replace(
            estimate,
            h_hat=torch.cat([estimate.h_hat, at_end.h_hat], dim=-1),
            err_var=torch.cat([estimate.err_var, at_end.err_var], dim=-1),
        )

    def _interpolate(
        self,
        observation: SlotObservation,
        sets: list[SetPilots],
        statistics: DelayStatistics,
        active: list[ActiveBins],
        known_posterior: list[Tensor] | None = None,
    ) -> SlotEstimate:
        """known_posterior: of Doppler and frequency offset, per layer, where it is not to be told from these pilots."""
        modes = [_Modes.build(group, bins, statistics) for group, bins in zip(sets, active, strict=True)]
        if known_posterior is None:
            posteriors = self._posteriors(observation, sets, modes)
        else:
            posteriors = [known_posterior[group.layers[0]] for group in sets]
        layers = _Layers(observation)
        for group, mode, posterior in zip(sets, modes, posteriors, strict=True):
            correlation = mean_correlation(observation, group.groups, posterior, self.max_cfo_hz)
            layers.take(_interpolate(group, mode, statistics, correlation), posterior)
        self._in_turn(observation, sets, statistics, layers, known_posterior)
        h, error, posteriors = layers.stacked()
        grid_of_layer = {layer: group for group in sets for layer in group.layers}
        return SlotEstimate(
            h,
            error,
            statistics.noise_var,
            [
                grid_of_layer[layer].grid.bin_s(observation.subcarrier_spacing_hz) * bins
                for layer, bins in enumerate(statistics.bins)
            ],
            [gamma / grid_of_layer[layer].amplitude ** 2 for layer, gamma in enumerate(statistics.gamma)],
            posteriors,
            self.max_cfo_hz,
        )

    def _posteriors(self, observation: SlotObservation, sets: list[SetPilots], modes: list[_Modes]) -> list[Tensor]:
        """Posterior of Doppler and frequency offset per set; all sets of a single user have it in common."""
        if len(set(observation.layer_to_user)) == 1:
            return [self._posterior(observation, sets[0].groups, modes)] * len(sets)
        return [self._posterior(observation, group.groups, [mode]) for group, mode in zip(sets, modes, strict=True)]

    def _posterior(
        self, observation: SlotObservation, groups: tuple[tuple[int, ...], ...], modes: list[_Modes]
    ) -> Tensor:
        parts = [mode.time_samples() for mode in modes]
        snapshots = modes[0].u.shape[1] * modes[0].u.shape[3]
        return time_posterior(
            observation, groups, [p[0] for p in parts], [p[1] for p in parts], snapshots, self.max_cfo_hz
        )

    def _in_turn(
        self,
        observation: SlotObservation,
        sets: list[SetPilots],
        statistics: DelayStatistics,
        layers: _Layers,
        known_posterior: list[Tensor] | None,
    ) -> None:
        """Refine the estimates of sets on the same pilots, one user after the other."""
        layout, users = observation.layout, observation.layer_to_user
        by_pilots: dict[int, list[tuple[int, ...]]] = {}
        for members in layer_sets(layout, users):
            by_pilots.setdefault(layout.first_subcarrier[members[0]], []).append(members)
        shared = [members for on_them in by_pilots.values() if len(on_them) > 1 for members in on_them]
        if not shared:
            return
        symbols = list(layout.symbols)
        sent = observation.pilots[:, symbols]
        amplitude = {layer: group.amplitude for group in sets for layer in group.layers}
        for _ in range(_NUM_ROUNDS):
            for user in sorted({users[members[0]] for members in shared}):
                mine = [members for members in shared if users[members[0]] == user]
                groups, modes = [], []
                for members in mine:
                    left = observation.y.clone()
                    for layer in range(observation.num_layers):
                        if (
                            layer not in members
                            and layout.first_subcarrier[layer] == layout.first_subcarrier[members[0]]
                        ):
                            left[:, :, symbols] -= layers.h[layer][:, :, symbols] * sent[layer]
                    group = set_pilots(observation, members, add_symbols=False, y=left)
                    scaled = _scaled(statistics, {layer: group.amplitude / amplitude[layer] for layer in members})
                    bins = ActiveBins(group, [statistics.bins[layer] for layer in members])
                    groups.append((group, scaled))
                    modes.append(_Modes.build(group, bins, scaled))
                if known_posterior is None:
                    posterior = self._posterior(observation, groups[0][0].groups, modes)
                else:
                    posterior = known_posterior[mine[0][0]]
                for (group, scaled), mode in zip(groups, modes, strict=True):
                    correlation = mean_correlation(observation, group.groups, posterior, self.max_cfo_hz)
                    layers.take(_interpolate(group, mode, scaled, correlation), posterior)


class _Layers:
    """What is known so far of every layer: channel, error variance, posterior of Doppler and frequency offset."""

    def __init__(self, observation: SlotObservation) -> None:
        self.h: dict[int, Tensor] = {}
        self._error: dict[int, Tensor] = {}
        self._posterior: dict[int, Tensor] = {}
        self._num_layers = observation.num_layers
        batch, num_rx_ant, num_symbols, num_subcarriers = observation.y.shape
        self._whole: Tensor | None = None
        if runs_compiled(observation.y):
            # every layer is written to its place
            self._whole = observation.y.new_empty(batch, num_rx_ant, self._num_layers, num_symbols, num_subcarriers)

    def take(self, estimates: list[tuple[int, Tensor, Tensor, Tensor]], posterior: Tensor) -> None:
        """estimates: of `_interpolate`."""
        for layer, weights, modes, error in estimates:
            self.h[layer], self._error[layer], self._posterior[layer] = (
                self._channel(layer, weights, modes),
                error,
                posterior,
            )

    def _channel(self, layer: int, weights: Tensor, modes: Tensor) -> Tensor:
        if self._whole is None:
            return weights.unsqueeze(1) @ modes
        from receivers.classical.kernels import over_time  # numba takes a while to import

        over_time(floats(weights), floats(modes), layer, floats(self._whole))
        return self._whole[:, :, layer]

    def stacked(self) -> tuple[Tensor, Tensor, list[Tensor]]:
        every = range(self._num_layers)
        h = torch.stack([self.h[i] for i in every], dim=2) if self._whole is None else self._whole
        return h, torch.stack([self._error[i] for i in every], dim=1), [self._posterior[i] for i in every]


def _scaled(statistics: DelayStatistics, level: dict[int, float]) -> DelayStatistics:
    """The powers of some layers as they appear on pilots of another amplitude."""
    gamma = [g * level[layer] ** 2 if layer in level else g for layer, g in enumerate(statistics.gamma)]
    return replace(statistics, gamma=gamma)


def _even_bundles(observation: SlotObservation) -> tuple[SlotObservation, SlotObservation | None]:
    """The part of the band that whole bundles fill, and the rest of it, if any."""
    size, num_subcarriers = observation.layout.bundle_subcarriers, observation.data_mask.shape[1]
    if size is None or size >= num_subcarriers or num_subcarriers % size == 0:
        return observation, None
    cut = num_subcarriers - num_subcarriers % size
    return _part_of_band(observation, slice(0, cut)), _part_of_band(observation, slice(cut, None))


def _part_of_band(observation: SlotObservation, k: slice) -> SlotObservation:
    o = observation
    return replace(o, y=o.y[..., k], pilots=o.pilots[..., k], data_mask=o.data_mask[:, k])


def _rebinned(statistics: DelayStatistics, sets: list[SetPilots], narrow: list[SetPilots]) -> DelayStatistics:
    """Power delay profiles in the wider bins of a narrower band."""
    bins, gamma = list(statistics.bins), list(statistics.gamma)
    for wide, group in zip(sets, narrow, strict=True):
        window, ratio = group.grid.window, group.grid.bins_per_symbol / wide.grid.bins_per_symbol
        for layer in group.layers:
            nearest = (statistics.bins[layer] * ratio).round().long() - window[0]
            power = statistics.gamma[layer]
            gamma[layer] = power.new_zeros(len(power), len(window)).scatter_add_(
                1, nearest.clamp(0, len(window) - 1), power
            )
            bins[layer] = window.expand(len(power), -1)
    return replace(statistics, bins=bins, gamma=gamma)


@dataclass(frozen=True)
class _Modes:
    """Eigenmodes of the covariance of a set over frequency, noise normalised to 1.

    u [batch, num_rx_ant, t, num_subbands, d] complex64: observed modes, variance kappa + 1.
    kappa [batch, d] float32: power of the modes over the noise, ascending.
    to_bins [batch, d, d] float32: unit-power modes to bins, sqrt(gamma) V.
    """

    u: Tensor
    kappa: Tensor
    to_bins: Tensor

    @classmethod
    def build(cls, group: SetPilots, bins: ActiveBins, statistics: DelayStatistics) -> _Modes:
        model = bins.model(torch.cat([statistics.gamma[layer] for layer in group.layers], dim=1))
        noise = statistics.noise_var
        kappa, vectors = torch.linalg.eigh(model.k / noise[:, None, None])
        kappa = kappa.clamp_min(_LEAST_MODE)
        scale = kappa.rsqrt() / noise.unsqueeze(1)
        u = (model.x @ vectors.to(model.x.dtype)) * scale.unsqueeze(1)
        return cls(u.unflatten(1, group.z.shape[1:4]), kappa, model.root.unsqueeze(2) * vectors)

    def time_samples(self) -> tuple[Tensor, Tensor]:
        """Sample covariances over time of the strongest modes [batch, modes, t, t], and their powers."""
        u = self.u[..., -_DOPPLER_MODES:]
        return torch.einsum("brtsd,brvsd->bdtv", u, u.conj()), self.kappa[:, -_DOPPLER_MODES:]


def _interpolate(
    group: SetPilots, modes: _Modes, statistics: DelayStatistics, correlation: Tensor
) -> list[tuple[int, Tensor, Tensor, Tensor]]:
    """Wiener filter of one set: per layer its index, weights of every symbol [batch, num_symbols, t] of functions over
    frequency [batch, num_rx_ant, t, num_subcarriers], whose product is the channel, and its error variance."""
    grid = group.grid
    known = torch.stack([correlation[:, list(symbols)].mean(1) for symbols in group.groups], dim=1)
    eigenvalues, vectors = torch.linalg.eigh((known + known.mH) / 2)
    # over time: [batch, num_symbols, t]
    synthesis = correlation @ vectors
    # [batch, t, d]
    gain = modes.kappa.unsqueeze(1) / (modes.kappa.unsqueeze(1) * eigenvalues.clamp_min(0).unsqueeze(2) + 1)
    filtered = torch.einsum("btj,brtsd->brjsd", vectors.conj(), modes.u)
    filtered = filtered * (gain * modes.kappa.clamp_min(_LEAST_MODE).rsqrt().unsqueeze(1))[:, None, :, None]
    unknown = (1 - (synthesis.abs() ** 2) @ gain).clamp_min(0)
    out, start = [], 0
    num_rx_ant, num_modes = filtered.shape[1:3]
    for layer, code in zip(group.layers, group.codes, strict=True):
        bins = statistics.bins[layer]
        to_bins = modes.to_bins[:, start : start + bins.shape[1]]
        start += bins.shape[1]
        a = filtered.flatten(1, 3) @ to_bins.mT.to(filtered.dtype)
        position = bins - grid.window[0]
        window = a.new_zeros(*a.shape[:2], len(grid.window))
        window.scatter_(2, position.unsqueeze(1).expand_as(a), a)
        factor = grid.phase(code) / group.amplitude
        h_modes = (window @ (grid.synthesis * factor)).unflatten(1, (num_rx_ant, num_modes, -1))
        columns = grid.synthesis.index_select(1, grid.subbands.nodes)[position]
        at_nodes = (to_bins.mT.to(columns.dtype) @ columns).abs() ** 2
        error = grid.subbands.join_nodes(unknown @ at_nodes) / group.amplitude**2
        out.append((layer, synthesis, grid.subbands.join(h_modes), error))
    return out
