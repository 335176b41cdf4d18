"""What is known of the transmitted grid: pilots, and data as far as LLRs tell."""

from __future__ import annotations

import torch
from torch import Tensor

from receivers.classical.points import soft_symbols
from receivers.interface import SlotObservation
from receivers.transform_precoding import spread


def soft_grid(observation: SlotObservation, llr: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Soft symbols on the grid beside the pilots.

    llr [batch, num_layers, num_data_re, bits_per_symbol]. Returns, all [batch, num_layers, num_ofdm_symbols,
    num_subcarriers]: the mean of what is sent, complex64; how far each RE is known, from 0 (not at all, or nothing is
    sent) to 1; and the variance of what is sent.
    """
    mean, variance = soft_symbols(llr, observation)
    if observation.transform_precoding:
        # on the subcarriers every symbol of an OFDM symbol is as well known as all of them together
        num_subcarriers = observation.data_mask.shape[1]
        mean = spread(mean, num_subcarriers)
        blocks = variance.unflatten(-1, (-1, num_subcarriers))
        variance = blocks.mean(-1, keepdim=True).expand(blocks.shape).flatten(-2)
    batch = llr.shape[0]
    x = observation.pilots.expand(batch, -1, -1, -1)
    known = (x.real**2 + x.imag**2 > 0).float()
    rest = observation.with_data(observation.layer_amplitude**2 * variance, torch.zeros_like(known))
    x = observation.with_data(observation.layer_amplitude * mean, x)
    return x, observation.with_data(1 - variance.clamp(max=1), known), rest
