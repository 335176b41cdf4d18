"""Noise power and power delay profile of a slot from its own pilots."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from receivers.classical.delay_grid import DelayGrid, combs, delay_grid
from receivers.interface import SlotObservation

# Half width of the taper's main lobe, bins: leakage beyond it is below the sidelobes.
_LOBE = 5
# A bin is kept when its power exceeds the noise by this many standard deviations of the measured noise power.
_THRESHOLD = 4.0
# Widths of the active set are rounded up to this, so that batches differ little in shape.
_GRANULE = 8
_MAX_ACTIVE = 160
# Floor of the noise relative to the mean power of the pilots: what single precision leaves of an inversion.
_NOISE_FLOOR = 1e-7
_TINY = 1e-30
# Fewest free delays and empty REs that the first noise estimate is trusted to.
_MIN_NOISE_SAMPLES = 4


@dataclass(frozen=True)
class CombPilots:
    """Pilots of one comb, its sequence removed.

    layers: the layers on it. shifts [num_layers of the comb]: 0, or half the delay axis for cover code (1, -1).
    z [batch, num_rx_ant, num_pilot_symbols, num_subbands, num_pilots] complex64: noise as in `y`.
    amplitude: of the pilots, by which the layers' channels appear scaled in z.
    """

    grid: DelayGrid
    layers: tuple[int, ...]
    shifts: tuple[int, ...]
    z: Tensor
    amplitude: float


def comb_pilots(observation: SlotObservation) -> list[CombPilots]:
    """Take the pilot sequence off the received combs."""
    layout = observation.layout
    symbols, num_subcarriers = list(layout.symbols), observation.data_mask.shape[1]
    out = []
    for first, layers in combs(layout).items():
        grid = delay_grid(first, layout.spacing, num_subcarriers, observation.y.device)
        base = observation.pilots[layers[0], symbols, first :: layout.spacing]
        even, odd = layout.cover_code[layers[0]]
        if even * odd < 0:
            base = base.clone()
            base[..., 1::2] *= -1
        amplitude = base.abs()
        z = observation.y[:, :, symbols, first :: layout.spacing] * (base.conj() / amplitude)
        codes = [layout.cover_code[layer] for layer in layers]
        shifts = [0 if even * odd > 0 else grid.num_bins // 2 for even, odd in codes]
        out.append(CombPilots(grid, tuple(layers), tuple(shifts), grid.subbands(z), float(amplitude.mean())))
    return out


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


@dataclass(frozen=True)
class DelayStatistics:
    """Noise power and power delay profile of every slot of a batch.

    noise_var [batch] float32.
    bins: per layer, signed bins in use int64 [batch, num_active]; the layers of a user have the same.
    gamma: per layer, their power float32 [batch, num_active], as it appears in `CombPilots.z`; 0 for padding.
    """

    noise_var: Tensor
    bins: list[Tensor]
    gamma: list[Tensor]


@dataclass(frozen=True)
class CombModel:
    """Covariance of a comb's pilots and their sufficient statistics for it.

    k [batch, d, d] float32: sqrt(gamma) F^H F sqrt(gamma), d = active bins of all layers of the comb.
    x [batch, snapshots, d] complex64: sqrt(gamma) F^H z.
    root [batch, d]: sqrt(gamma).
    """

    k: Tensor
    x: Tensor
    root: Tensor


class ActiveBins:
    """What stays the same while the powers of the active bins of a comb are refined."""

    def __init__(self, comb: CombPilots, bins: list[Tensor]) -> None:
        grid = comb.grid
        where = torch.cat([b + s for b, s in zip(bins, comb.shifts, strict=True)], dim=1)
        self.gram = grid.gram[(where.unsqueeze(2) - where.unsqueeze(1)).abs()]
        spectrum = grid.to_bins(comb.z)
        index = (where % grid.num_bins)[:, None, None, None].expand(*spectrum.shape[:4], -1)
        # a turn around the delay axis changes the sign, because the middle lies between two pilots
        sign = 1.0 - 2.0 * (where < 0)
        # [batch, rx, symbol, subband, d] -> [batch, snapshots, d]
        self.matched = torch.gather(spectrum, -1, index).flatten(1, 3) * sign.unsqueeze(1)
        self.energy = _power(comb.z).sum((1, 2, 3, 4))
        self.size = comb.z[0].numel()

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
        self, observation: SlotObservation, pilots: list[CombPilots], empty: Tensor
    ) -> tuple[DelayStatistics, list[ActiveBins]]:
        users = observation.layer_to_user
        empty_energy, empty_count = _power(empty).sum((1, 2)), empty[0].numel()
        noise = self._first_noise(pilots, empty_energy, empty_count)
        bins, gamma = self._first_profile(users, pilots, noise)
        active = [ActiveBins(comb, [bins[layer] for layer in comb.layers]) for comb in pilots]
        for _ in range(self.num_iterations):
            noise, gamma = self._refine(users, pilots, active, noise, gamma, empty_energy, empty_count)
        return DelayStatistics(noise, bins, gamma), active

    @staticmethod
    def _first_noise(pilots: list[CombPilots], empty_energy: Tensor, empty_count: int) -> Tensor:
        """From the delays that no layer can have, and the empty REs."""
        energy, weight = empty_energy, float(empty_count)
        total = torch.stack([_power(comb.z).mean((1, 2, 3, 4)) for comb in pilots]).mean(0)
        for comb in pilots:
            grid, spectrum = comb.grid, comb.grid.powers(comb.z).mean((1, 2, 3))
            free = torch.ones(grid.num_bins, dtype=torch.bool, device=spectrum.device)
            lobe = torch.arange(-_LOBE, _LOBE + 1, device=spectrum.device)
            for shift in comb.shifts:
                free[((grid.window[:, None] + lobe).flatten() + shift) % grid.num_bins] = False
            if bool(free.any()):
                # the taper halves the number of independent values
                share = 0.5 * comb.z[0].numel() * float(free.float().mean())
                energy = energy + share * spectrum[:, free].mean(1)
                weight += share
        # so few values say little: the refinement starts from a guess
        noise = energy / weight if weight >= _MIN_NOISE_SAMPLES else 0.1 * total
        return torch.maximum(noise, _NOISE_FLOOR * total + _TINY)

    @staticmethod
    def _first_profile(
        users: tuple[int, ...], pilots: list[CombPilots], noise: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Bins that stand out of the noise, the same for the layers of a user."""
        profile: dict[int, Tensor] = {}
        snapshots: dict[int, int] = {}
        for comb in pilots:
            spectrum = comb.grid.powers(comb.z).mean((1, 2, 3))
            for layer, shift in zip(comb.layers, comb.shifts, strict=True):
                user = users[layer]
                p = spectrum[:, (comb.grid.window + shift) % comb.grid.num_bins]
                profile[user] = profile[user] + p if user in profile else p
                snapshots[user] = snapshots.get(user, 0) + comb.z[0, ..., 0].numel()
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
            bins_of[user], gamma_of[user] = grid.window[index], gamma / grid.num_bins
        return [bins_of[u] for u in users], [gamma_of[u] for u in users]

    @staticmethod
    def _refine(
        users: tuple[int, ...],
        pilots: list[CombPilots],
        active: list[ActiveBins],
        noise: Tensor,
        gamma: list[Tensor],
        empty_energy: Tensor,
        empty_count: int,
    ) -> tuple[Tensor, list[Tensor]]:
        residual, dimensions = empty_energy, torch.full_like(noise, float(empty_count))
        energy = torch.zeros_like(noise)
        ratios: dict[int, list[Tensor]] = {}
        for comb, bins in zip(pilots, active, strict=True):
            model = bins.model(torch.cat([gamma[layer] for layer in comb.layers], dim=1))
            eye = torch.eye(model.k.shape[1], device=model.k.device)
            inverse = torch.linalg.inv(model.k + noise[:, None, None] * eye)
            # posterior mean of the unit-power bins; share of each bin that the pilots determine
            g = model.x @ inverse.to(model.x.dtype)
            known = (1 - noise.unsqueeze(1) * torch.diagonal(inverse, dim1=1, dim2=2)).clamp(1e-9, 1)
            ratio = _power(g).mean(1) / known
            widths = [gamma[layer].shape[1] for layer in comb.layers]
            for layer, part in zip(comb.layers, ratio.split(widths, 1), strict=True):
                ratios.setdefault(users[layer], []).append(part)
            fitted = (g.conj() * (2 * model.x - g @ model.k.to(g.dtype))).real.sum((1, 2))
            residual = residual + (bins.energy - fitted).clamp_min(0)
            dimensions = dimensions + bins.size - model.x.shape[1] * known.sum(1)
            energy = energy + bins.energy / bins.size
        step = {user: torch.stack(parts).mean(0) for user, parts in ratios.items()}
        noise = residual / dimensions.clamp_min(1.0)
        floor = _NOISE_FLOOR * energy / len(pilots) + _TINY
        return torch.maximum(noise, floor), [g * step[users[layer]] for layer, g in enumerate(gamma)]
