"""LS channel estimation with linear interpolation."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from receivers.classical.detecting_receiver import DetectingReceiver
from receivers.classical.estimate import ChannelEstimate, estimate_bundles
from receivers.classical.phase_tracking import tracked
from receivers.classical.pilots import pilot_estimates
from receivers.classical.processor import floats, runs_compiled
from receivers.interface import PilotLayout, SlotObservation, Truth
from receivers.levels import at_unit_level


def line_over_time(positions: tuple[float, ...], length: int, device: torch.device) -> Tensor:
    """Linear inter- and extrapolation as a matrix [length, len(positions)] float32."""
    weights = torch.zeros(length, len(positions), device=device)
    if len(positions) == 1:
        weights[:, 0] = 1
        return weights
    x = torch.arange(length, device=device, dtype=torch.float32)
    known = torch.tensor(positions, device=device, dtype=torch.float32)
    left = (torch.bucketize(x, known, right=True) - 1).clamp(0, len(positions) - 2)
    share = (x - known[left]) / (known[left + 1] - known[left])
    weights.scatter_(1, left.unsqueeze(1), (1 - share).unsqueeze(1))
    weights.scatter_(1, left.unsqueeze(1) + 1, share.unsqueeze(1))
    return weights


class _Tables:
    """Interpolation from pairs of pilots to the grid, for one pilot layout.

    left, right [num_layers, num_subcarriers] int64 and share, the same in float32: a subcarrier's estimate is
    (1 - share) of pair `left` and share of pair `right`. over_time [num_ofdm_symbols, num_symbol_groups] float32.
    noise [num_layers, num_subcarriers] and noise_over_time [num_ofdm_symbols, 1] float32: what that makes of the noise.
    """

    def __init__(self, layout: PilotLayout, num_symbols: int, num_subcarriers: int, device: torch.device) -> None:
        layers = range(len(layout.first_subcarrier))
        # [layer, pilot] and [layer, subcarrier]
        pilots = torch.tensor([layout.subcarriers(layer, num_subcarriers) for layer in layers], device=device)
        k = torch.arange(num_subcarriers, device=device).expand(len(layers), -1).contiguous()
        # subcarrier k lies between pilots i and i + 1, which belong to the pairs i // 2 and (i + 1) // 2
        i = (torch.searchsorted(pilots, k, right=True) - 1).clamp(0, pilots.shape[1] - 2)
        left, right = pilots.gather(1, i), pilots.gather(1, i + 1)
        share = (k - left) / (right - left)
        self.left, self.right = i // 2, (i + 1) // 2
        same = self.left == self.right
        self.share = torch.where(same, torch.zeros_like(share), share)
        self.noise = torch.where(same, torch.ones_like(share), (1 - share) ** 2 + share**2)
        # the estimate of a double symbol belongs to its middle
        middles = tuple(sum(group) / len(group) for group in layout.symbol_groups)
        self.over_time = line_over_time(middles, num_symbols, device)
        self.noise_over_time = (self.over_time**2).sum(1, keepdim=True)


@lru_cache(maxsize=32)
def _tables(layout: PilotLayout, num_symbols: int, num_subcarriers: int, device: torch.device) -> _Tables:
    with torch.inference_mode(False):  # what is kept must also serve callers that train
        return _Tables(layout, num_symbols, num_subcarriers, device)


def estimate_linear(observation: SlotObservation) -> ChannelEstimate:
    """Least-squares estimates, linearly interpolated first over subcarriers, then over OFDM symbols.

    Both pilots of a pair carry the pair's mean. Beyond the outermost pilots the line goes on. The error variance is
    that of the noise in the estimate.
    """
    return estimate_bundles(_estimate, observation)


def _estimate(observation: SlotObservation) -> ChannelEstimate:
    tables = _tables(observation.layout, *observation.data_mask.shape, observation.y.device)
    pairs, pair_var = pilot_estimates(observation)
    # [batch, layer, 1, subcarrier]
    error = observation.noise_var[:, None, None, None] * (pair_var.unsqueeze(1) * tables.noise).unsqueeze(1)
    return ChannelEstimate(_over_frequency(pairs, tables), tables.over_time, error, tables.noise_over_time)


def _over_frequency(pairs: Tensor, tables: _Tables) -> Tensor:
    """Pairs to subcarriers, complex64 [batch, num_rx_ant, num_layers, num_symbol_groups, num_subcarriers]."""
    if runs_compiled(pairs):
        from receivers.classical.kernels import interpolate  # numba takes a while to import

        out = torch.empty(*pairs.shape[:-1], tables.share.shape[1], dtype=torch.complex64)
        interpolate(floats(pairs), tables.left.numpy(), tables.right.numpy(), tables.share.numpy(), floats(out))
        return out
    # [layer, 1, subcarrier] against [batch, rx, layer, pilot symbol, pair]
    shape = (*pairs.shape[:-1], tables.share.shape[1])
    left = pairs.gather(-1, tables.left.unsqueeze(1).expand(shape))
    right = pairs.gather(-1, tables.right.unsqueeze(1).expand(shape))
    return left + tables.share.unsqueeze(1) * (right - left)


def interpolate_linear(observation: SlotObservation) -> tuple[Tensor, Tensor]:
    """`estimate_linear` on the whole grid.

    Returns h_hat [batch, num_rx_ant, num_layers, num_ofdm_symbols, num_subcarriers] complex64 and the variance of the
    noise in it, err_var [batch, num_layers, num_ofdm_symbols, num_subcarriers] float32.
    """
    return estimate_linear(observation).on_grid()


class LsLinear(DetectingReceiver):
    """LS channel estimation, linear interpolation, LMMSE equalisation, max-log demapping.

    detector, demapper, num_paths, num_turbo, reject_bursts: see `Detection`. PT-RS are used where there are any.
    """

    name = "ls-linear"

    def __call__(self, observation: SlotObservation, truth: Truth | None = None) -> Tensor:
        observation = at_unit_level(observation)
        return self._detection.of_estimate(observation, tracked(observation, estimate_linear(observation)))
