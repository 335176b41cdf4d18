"""LS channel estimation with linear interpolation."""

from __future__ import annotations

import torch
from torch import Tensor

from receivers.classical.equalizer import detect
from receivers.classical.pilots import pilot_estimates
from receivers.interface import Receiver, SlotObservation, Truth


def _line(positions: list[int], length: int, device: torch.device) -> Tensor:
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


def interpolate_linear(observation: SlotObservation) -> tuple[Tensor, Tensor]:
    """Least-squares estimates, linearly interpolated first over subcarriers, then over OFDM symbols.

    Both pilots of a pair carry the pair's mean. Beyond the outermost pilots the line goes on.
    Returns h_hat [batch, num_rx_ant, num_layers, num_ofdm_symbols, num_subcarriers] complex64 and the variance of the
    noise in it, err_var [batch, num_layers, num_ofdm_symbols, num_subcarriers] float32.
    """
    layout, device = observation.layout, observation.y.device
    num_symbols, num_subcarriers = observation.data_mask.shape
    pairs, pair_var = pilot_estimates(observation)
    over_time = _line(list(layout.symbols), num_symbols, device)
    h_layers, err_layers = [], []
    for layer, first in enumerate(layout.first_subcarrier):
        # subcarrier k lies between pilots i and i + 1, which belong to the pairs i // 2 and (i + 1) // 2
        k = torch.arange(num_subcarriers, device=device)
        i = ((k - first) // layout.spacing).clamp(0, 2 * pairs.shape[-1] - 2)
        share = (k - first - layout.spacing * i) / layout.spacing
        left, right = i // 2, (i + 1) // 2
        rows = pairs[:, :, layer]
        h_layers.append(torch.lerp(rows[..., left], rows[..., right], share.to(rows.dtype)))
        same = left == right
        noise = torch.where(same, torch.ones_like(share), (1 - share) ** 2 + share**2)
        err_layers.append(pair_var[layer] * noise)
    # [batch, rx, layer, pilot symbol, subcarrier]
    h_pilot_symbols = torch.stack(h_layers, dim=2)
    h_hat = torch.einsum("sp,brlpk->brlsk", over_time.to(h_pilot_symbols.dtype), h_pilot_symbols)
    over_time_noise = (over_time**2).sum(1)
    err_var = torch.stack(err_layers)[:, None, :] * over_time_noise[:, None]
    return h_hat, observation.noise_var[:, None, None, None] * err_var


class LsLinear(Receiver):
    """LS channel estimation, linear interpolation, LMMSE equalisation, max-log demapping."""

    name = "ls-linear"

    def __call__(self, observation: SlotObservation, truth: Truth | None = None) -> Tensor:
        h_hat, err_var = interpolate_linear(observation)
        return detect(observation, h_hat, err_var)
