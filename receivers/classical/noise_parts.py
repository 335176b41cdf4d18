"""Noise of a receiver, and noise that comes with the signal, told apart."""

from __future__ import annotations

import torch
from torch import Tensor

# Changes of the weights, and steps with each.
_NUM_WEIGHTS, _NUM_STEPS = 3, 100
# Power over the noise that is none (-120 dB).
_NOTHING = 1e-12


def noise_parts(power: Tensor, h: Tensor, noise_var: Tensor) -> tuple[Tensor, Tensor]:
    """Noise variance [batch], alike everywhere, and power that every layer brings with it relative to its channel
    [batch, num_layers]: what amplifiers, mixers and oscillators add at the transmitter.

    power [batch, num_rx_ant, num_ofdm_symbols, num_subcarriers]: squared magnitude of what is left of the received grid
    once everything known is taken off, in expectation. h [batch, num_rx_ant, num_layers, num_ofdm_symbols,
    num_subcarriers]. noise_var [batch]: where the search begins.

    Weighted least squares of the power, anew with the weights that the result asks for; non-negative, by multiplicative
    steps (D. Lee, H. Seung, NIPS 2000).
    """
    strength = torch.cat([torch.ones_like(h.real[:, :, :1]), h.real**2 + h.imag**2], dim=2)
    mean = torch.maximum(strength.mean((1, 3, 4)), _NOTHING * noise_var.unsqueeze(1))
    # of every part alike to begin with; of unit weight in the mean
    parts = noise_var.unsqueeze(1) / (h.shape[2] + 1) / mean
    for _ in range(_NUM_WEIGHTS):
        expected = (strength * parts[:, None, :, None, None]).sum(2)
        expected = torch.maximum(expected, _NOTHING * noise_var[:, None, None, None])
        weight = 1 / expected**2
        matched = torch.einsum("brlsk,brsk->bl", strength, power * weight)
        normal = torch.einsum("brlsk,brmsk,brsk->blm", strength, strength, weight)
        for _ in range(_NUM_STEPS):
            explained = (normal @ parts.unsqueeze(-1)).squeeze(-1)
            # a part that explains nothing stays as it is
            parts = torch.where(explained > 0, parts * matched / explained, parts)
    return parts[:, 0], parts[:, 1:]
