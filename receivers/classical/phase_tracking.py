"""Common phase of each OFDM symbol from PT-RS: phase noise, and what is left of a frequency offset."""

from __future__ import annotations

import torch
from torch import Tensor

from receivers.classical.estimate import ChannelEstimate
from receivers.interface import SlotObservation

# A phase is never taken to be less sure than this, rad^2: beyond a turn nothing is known.
_LEAST_CERTAINTY = 1e-12


def common_phase(observation: SlotObservation, h_hat: Tensor, noise_var: Tensor) -> Tensor | None:
    """Rotation of every layer in every symbol beyond a channel estimate, complex64 [batch, num_layers, num_symbols] of
    unit magnitude; None for slots without PT-RS (pilots outside the symbols of `layout`).

    h_hat [batch, num_rx_ant, num_layers, num_ofdm_symbols, num_subcarriers] complex64; noise_var [batch] float32.

    A user's phase in a symbol with PT-RS is that of their correlation with what the estimate expects, shrunk by how
    well the noise lets it be known against how much it moves over the slot. At DM-RS symbols it is 0; between those
    symbols it is interpolated linearly, and held beyond the outermost. Users without PT-RS are left as they are.
    """
    layout = observation.layout
    sent = observation.pilots.abs().amax(2) > 0
    sent[:, list(layout.symbols)] = False
    if not bool(sent.any()):
        return None
    batch, num_symbols = h_hat.shape[0], h_hat.shape[3]
    phase = torch.zeros(batch, observation.num_layers, num_symbols, device=h_hat.device)
    users = observation.layer_to_user
    for user in sorted(set(users)):
        layers = [layer for layer, owner in enumerate(users) if owner == user]
        with_ptrs = [layer for layer in layers if bool(sent[layer].any())]
        if with_ptrs:
            angle = _angles(observation, h_hat, noise_var, with_ptrs)
            phase[:, layers] = angle.unsqueeze(1)
    return torch.polar(torch.ones_like(phase), phase)


def _angles(observation: SlotObservation, h_hat: Tensor, noise_var: Tensor, layers: list[int]) -> Tensor:
    """Phase of a user in all symbols, float32 [batch, num_symbols], from the layers with PT-RS."""
    dmrs = set(observation.layout.symbols)
    with_ptrs = observation.pilots[layers].abs().amax((0, 2)) > 0
    symbols = [s for s in with_ptrs.nonzero().flatten().cpu().tolist() if s not in dmrs]
    expected = (h_hat[:, :, layers][:, :, :, symbols] * observation.pilots[layers][:, symbols]).sum(2)
    energy = (expected.real**2 + expected.imag**2).sum((1, 3))
    angle = (observation.y[:, :, symbols] * expected.conj()).sum((1, 3)).angle()
    known = sorted([*symbols, *dmrs])
    column = {symbol: i for i, symbol in enumerate(known)}
    at_ptrs = [column[s] for s in symbols]
    raw = torch.zeros(len(angle), len(known), device=angle.device)
    raw[:, at_ptrs] = angle
    # steps of more than half a turn are turns
    step = raw.diff(dim=1)
    turns = torch.cat([torch.zeros_like(raw[:, :1]), -(step / (2 * torch.pi)).round().cumsum(1)], dim=1)
    first_dmrs = column[min(dmrs)]
    raw = raw + 2 * torch.pi * (turns - turns[:, first_dmrs : first_dmrs + 1])
    angle = raw[:, at_ptrs]
    noise = noise_var.unsqueeze(1)
    variance = noise / torch.maximum(2 * energy, _LEAST_CERTAINTY * noise)
    moves = ((angle**2).mean(1, keepdim=True) - variance.mean(1, keepdim=True)).clamp_min(0)
    phase = torch.zeros_like(raw)
    phase[:, at_ptrs] = angle * moves / (moves + variance)
    return phase @ _interpolation(known, observation.data_mask.shape[0], angle.device).T


def _interpolation(known: list[int], length: int, device: torch.device) -> Tensor:
    """Linear interpolation between `known`, constant beyond them, as a matrix [length, len(known)] float32."""
    weights = torch.zeros(length, len(known), device=device)
    for s in range(length):
        right = next((i for i, k in enumerate(known) if k >= s), len(known) - 1)
        left = right if known[right] <= s or right == 0 else right - 1
        share = 0.0 if left == right else (s - known[left]) / (known[right] - known[left])
        weights[s, left] += 1 - share
        weights[s, right] += share
    return weights


def tracked(observation: SlotObservation, estimate: ChannelEstimate) -> ChannelEstimate:
    """A channel estimate with the common phases of its symbols; the same one for slots without PT-RS."""
    if bool((observation.pilots != 0).any(2).any(0).sum() == len(observation.layout.symbols)):
        return estimate
    h, error = estimate.on_grid()
    phase = common_phase(observation, h, observation.noise_var)
    return estimate if phase is None else ChannelEstimate(h * phase[:, None, :, :, None], error_modes=error)
