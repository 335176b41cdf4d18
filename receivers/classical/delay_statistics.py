"""Noise power and power delay profile of a slot from its own pilots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from receivers.classical.delay_grid import DelayGrid, grid_of
from receivers.classical.processor import runs_compiled
from receivers.interface import PilotLayout, SlotObservation

# A bin is kept when its power exceeds the noise by this many standard deviations of the measured noise power.
_THRESHOLD = 4.0
# Widths of the active set are rounded up to this, so that batches differ little in shape.
_GRANULE = 8
_MAX_ACTIVE = 160
# Floor of the noise relative to the mean power of the pilots: what single precision leaves of an inversion.
_NOISE_FLOOR = 1e-7
# Noise of a slot of zeros, beside pilots near unit level (see `level`): nothing to any other slot, and still a number
# by which one can divide.
_NOISE_OF_NOTHING = 1e-24
# Fewest free delays and empty REs that the first noise estimate is trusted to.
_MIN_NOISE_SAMPLES = 4


@dataclass(frozen=True)
class SetPilots:
    """Pilots of layers that share them and are told apart by their cover code over frequency, the sequence removed.

    layers: those layers. places [num_layers of the set]: where their pilot vectors are, see `DelayGrid`; codes: the
        second entries of their cover codes over frequency.
    z [batch, num_rx_ant, num_groups, num_subbands, num_pilots] complex64: noise as in `y`.
    groups: the pilot symbols behind each entry of z; with double-symbol DM-RS two where they were added up.
    amplitude: of the pilots, by which the layers' channels appear scaled in z.
    """

    grid: DelayGrid
    layers: tuple[int, ...]
    codes: tuple[int, ...]
    z: Tensor
    groups: tuple[tuple[int, ...], ...]
    amplitude: float

    @property
    def places(self) -> tuple[int, ...]:
        return tuple(self.grid.place(code) for code in self.codes)


def layer_sets(layout: PilotLayout, layer_to_user: tuple[int, ...] | None = None) -> list[tuple[int, ...]]:
    """Layers that share their pilots and the cover code over time; with users given, of one user each."""
    sets: dict[tuple, list[int]] = {}
    for layer, first in enumerate(layout.first_subcarrier):
        over_time = layout.time_cover_code[layer] if layout.num_adjacent_symbols > 1 else None
        user = None if layer_to_user is None else layer_to_user[layer]
        sets.setdefault((first, over_time, user), []).append(layer)
    return [tuple(layers) for layers in sets.values()]


def set_pilots(
    observation: SlotObservation, layers: tuple[int, ...], add_symbols: bool, y: Tensor | None = None
) -> SetPilots:
    """Take the sequence off the received pilots of a set of layers.

    add_symbols: add up the two symbols of double-symbol DM-RS, which removes the sets with another cover code over time
        where the channel stands still. y: in place of the observation's.
    """
    layout = observation.layout
    symbols, num_subcarriers = list(layout.symbols), observation.data_mask.shape[1]
    grid = grid_of(layout, layout.first_subcarrier[layers[0]], num_subcarriers, observation.y.device)
    base = grid.pilots(observation.pilots[layers[0]], symbols)
    even, odd = layout.cover_code[layers[0]]
    if even * odd < 0:
        base = base.clone()
        base[..., 1::2] *= -1
    amplitude = base.abs()
    received = observation.y if y is None else y
    z = grid.pilots(received, symbols) * (base.conj() / amplitude)
    level = float(amplitude.mean())
    groups: tuple[tuple[int, ...], ...] = tuple((symbol,) for symbol in symbols)
    if add_symbols and layout.num_adjacent_symbols > 1:
        groups = layout.symbol_groups
        z = z.unflatten(2, (len(groups), -1)).sum(3) * len(groups[0]) ** -0.5
        level *= len(groups[0]) ** 0.5
    codes = [layout.cover_code[layer] for layer in layers]
    return SetPilots(grid, layers, tuple(even * odd for even, odd in codes), grid.cut(z), groups, level)


def empty_res(observation: SlotObservation) -> Tensor:
    """REs of the DM-RS symbols on which no layer sends, [batch, num_rx_ant, n]: noise and interference alone."""
    silent = ~observation.data_mask
    silent = silent & (observation.pilots.abs().sum(0) == 0)
    rows = torch.zeros_like(silent[:, 0])
    rows[list(observation.layout.symbols)] = True
    index = (silent & rows.unsqueeze(1)).flatten().nonzero().squeeze(-1)
    return observation.y.flatten(2).index_select(2, index)


def _power(z: Tensor) -> Tensor:
    return z.real**2 + z.imag**2


def inverse_of_covariance(a: Tensor) -> Tensor:
    """Inverses of positive definite matrices [batch, n, n]: on a CPU by their Cholesky factors, in a third of the time,
    but for those that single precision does not take for positive definite."""
    if not runs_compiled(a):
        return torch.linalg.inv(a)
    factor, failed = torch.linalg.cholesky_ex(a)
    inverse = torch.cholesky_inverse(factor)
    if bool(failed.any()):
        places = failed.nonzero().squeeze(1)
        inverse[places] = torch.linalg.inv(a[places])
    return inverse


@dataclass(frozen=True)
class DelayStatistics:
    """Noise power and power delay profile of every slot of a batch.

    noise_var [batch] float32.
    bins: per layer, signed bins in use int64 [batch, num_active]; the layers of a user have the same.
    gamma: per layer, their power float32 [batch, num_active], as it appears in `SetPilots.z`; 0 for padding.
    """

    noise_var: Tensor
    bins: list[Tensor]
    gamma: list[Tensor]


@dataclass(frozen=True)
class CombModel:
    """Covariance of the pilots of a set and their sufficient statistics for it.

    k [batch, d, d] float32: sqrt(gamma) F^H F sqrt(gamma), d = active bins of all its layers.
    x [batch, snapshots, d] complex64: sqrt(gamma) F^H z.
    root [batch, d]: sqrt(gamma).
    """

    k: Tensor
    x: Tensor
    root: Tensor


class ActiveBins:
    """What stays the same while the powers of the active bins of a set are refined."""

    def __init__(self, pilots: SetPilots, bins: list[Tensor]) -> None:
        where = torch.cat([b + place for b, place in zip(bins, pilots.places, strict=True)], dim=1)
        self.gram = pilots.grid.inner_products(where)
        self.matched = pilots.grid.matched(pilots.z, where)
        self.energy = _power(pilots.z).sum((1, 2, 3, 4))
        self.size = pilots.z[0].numel()

    def model(self, gamma: Tensor) -> CombModel:
        root = gamma.sqrt()
        return CombModel(root.unsqueeze(2) * self.gram * root.unsqueeze(1), self.matched * root.unsqueeze(1), root)


class DelayEstimator:
    """Noise power and power delay profile by evidence maximisation, started from a tapered delay spectrum.

    num_iterations: refinements. Each is a fixed-point step of the type-II likelihood of independent Gaussian bins
    (D. J. C. MacKay, Bayesian interpolation, 1992, for the noise; its damped form for the powers).
    """

    def __init__(self, num_iterations: int = 3) -> None:
        self.num_iterations = num_iterations

    def __call__(
        self, observation: SlotObservation, pilots: list[SetPilots], empty: Tensor
    ) -> tuple[DelayStatistics, list[ActiveBins]]:
        users = observation.layer_to_user
        empty_energy, empty_count = _power(empty).sum((1, 2)), empty[0].numel()
        noise = self._first_noise(pilots, empty_energy, empty_count)
        bins, gamma = self._first_profile(users, pilots, noise)
        active = [ActiveBins(group, [bins[layer] for layer in group.layers]) for group in pilots]
        for _ in range(self.num_iterations):
            noise, gamma = self._refine(users, pilots, active, noise, gamma, empty_energy, empty_count)
        return DelayStatistics(noise, bins, gamma), active

    @staticmethod
    def _first_noise(pilots: list[SetPilots], empty_energy: Tensor, empty_count: int) -> Tensor:
        """From the delays that no layer can have, and the empty REs."""
        energy, weight = empty_energy, float(empty_count)
        total = torch.stack([_power(group.z).mean((1, 2, 3, 4)) for group in pilots]).mean(0)
        for group in pilots:
            free = group.grid.powers(group.z, group.codes)[1]
            if free.shape[1]:
                # the taper halves the number of independent values
                share = 0.5 * group.z[0].numel() * float(np.float32(free.shape[1] / group.grid.num_bins))
                energy = energy + share * free.mean(1)
                weight += share
        # so few values say little: the refinement starts from a guess
        if weight >= _MIN_NOISE_SAMPLES:
            noise = energy / weight
        else:
            quiet = torch.stack([group.grid.quiet(group.z) for group in pilots]).mean(0)
            noise = torch.minimum(0.1 * total, quiet)
        return torch.maximum(noise, _NOISE_FLOOR * total + _NOISE_OF_NOTHING)

    @staticmethod
    def _first_profile(
        users: tuple[int, ...], pilots: list[SetPilots], noise: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Bins that stand out of the noise, the same for the layers of a user."""
        profile: dict[int, Tensor] = {}
        snapshots: dict[int, int] = {}
        for group in pilots:
            for layer, p in zip(group.layers, group.grid.powers(group.z, group.codes)[0], strict=True):
                user = users[layer]
                profile[user] = profile[user] + p if user in profile else p
                snapshots[user] = snapshots.get(user, 0) + group.z[0, ..., 0].numel()
        grid = pilots[0].grid
        bins_of, gamma_of = {}, {}
        for user, p in profile.items():
            excess = p / users.count(user) - noise.unsqueeze(1)
            limit = _THRESHOLD * noise.unsqueeze(1) / snapshots[user] ** 0.5
            keep = excess > limit
            # the strongest bin always stays
            keep = keep | (excess == excess.amax(1, keepdim=True))
            excess = torch.where(keep, torch.maximum(excess, 0.01 * noise.unsqueeze(1)), 0)
            width = int((excess > 0).sum(1).max())
            width = min(-(-width // _GRANULE) * _GRANULE, _MAX_ACTIVE, excess.shape[1])
            gamma, index = excess.topk(width, dim=1)
            bins_of[user], gamma_of[user] = grid.window[index], gamma / grid.bins_per_power
        return [bins_of[u] for u in users], [gamma_of[u] for u in users]

    @staticmethod
    def _refine(
        users: tuple[int, ...],
        pilots: list[SetPilots],
        active: list[ActiveBins],
        noise: Tensor,
        gamma: list[Tensor],
        empty_energy: Tensor,
        empty_count: int,
    ) -> tuple[Tensor, list[Tensor]]:
        residual, dimensions = empty_energy, torch.full_like(noise, float(empty_count))
        energy = torch.zeros_like(noise)
        ratios: dict[int, list[Tensor]] = {}
        for group, bins in zip(pilots, active, strict=True):
            model = bins.model(torch.cat([gamma[layer] for layer in group.layers], dim=1))
            eye = torch.eye(model.k.shape[1], device=model.k.device)
            inverse = inverse_of_covariance(model.k + noise[:, None, None] * eye)
            # posterior mean of the unit-power bins; share of each bin that the pilots determine
            g = model.x @ inverse.to(model.x.dtype)
            known = (1 - noise.unsqueeze(1) * torch.diagonal(inverse, dim1=1, dim2=2)).clamp(1e-9, 1)
            ratio = _power(g).mean(1) / known
            widths = [gamma[layer].shape[1] for layer in group.layers]
            for layer, part in zip(group.layers, ratio.split(widths, 1), strict=True):
                ratios.setdefault(users[layer], []).append(part)
            fitted = (g.conj() * (2 * model.x - g @ model.k.to(g.dtype))).real.sum((1, 2))
            residual = residual + (bins.energy - fitted).clamp_min(0)
            dimensions = dimensions + bins.size - model.x.shape[1] * known.sum(1)
            energy = energy + bins.energy / bins.size
        step = {user: torch.stack(parts).mean(0) for user, parts in ratios.items()}
        noise = residual / dimensions.clamp_min(1.0)
        floor = _NOISE_FLOOR * energy / len(pilots) + _NOISE_OF_NOTHING
        return torch.maximum(noise, floor), [g * step[users[layer]] for layer, g in enumerate(gamma)]
