"""Constellations given by their points: demapping and soft symbols.

A point's label is its index, the first bit highest. Square QAM is handled per axis elsewhere (`qam`, `pam`), which is
much faster; here every point counts.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from receivers.classical import qam
from receivers.interface import SlotObservation


def labels(bits_per_symbol: int, device: torch.device) -> Tensor:
    """Bits of every label, bool [2**bits_per_symbol, bits_per_symbol]."""
    index = torch.arange(2**bits_per_symbol, device=device)
    return ((index[:, None] >> torch.arange(bits_per_symbol - 1, -1, -1, device=device)) & 1).bool()


def demap_points(
    x: Tensor, noise_var: Tensor, points: Tensor, prior_llr: Tensor | None, rule: Literal["maxlog", "exact"]
) -> Tensor:
    """Extrinsic LLRs float32 [..., bits_per_symbol], positive means bit 0, by the best or by all points.

    x [...] complex64: unbiased estimates of symbols; noise_var [...] float32: their complex noise variance.
    points complex64 [2**bits_per_symbol]; prior_llr: of the result's shape, or None.
    """
    distance = torch.view_as_real(x.resolve_conj().unsqueeze(-1) - points)
    log = -(distance**2).sum(-1) / noise_var.unsqueeze(-1)
    bits = labels(points.shape[0].bit_length() - 1, x.device)
    if prior_llr is not None:
        log = log + _log_prior(prior_llr, bits)
    per_bit = []
    for j in range(bits.shape[1]):
        zero, one = log[..., ~bits[:, j]], log[..., bits[:, j]]
        if rule == "maxlog":
            per_bit.append(zero.amax(-1) - one.amax(-1))
        else:
            per_bit.append(torch.logsumexp(zero, dim=-1) - torch.logsumexp(one, dim=-1))
    llr = torch.stack(per_bit, dim=-1)
    return llr if prior_llr is None else llr - prior_llr


def soft_symbols(llr: Tensor, observation: SlotObservation) -> tuple[Tensor, Tensor]:
    """Mean complex64 and variance float32 [batch, num_layers, n] of symbols whose bits have the LLRs
    [batch, num_layers, n, bits_per_symbol]; of layers of fewer bits per symbol only so many count."""
    points = observation.constellation
    if points is None and len(observation.modulations) > 1:
        of_layers = torch.zeros(llr.shape[:-1], dtype=torch.complex64, device=llr.device)
        variance = torch.ones(llr.shape[:-1], device=llr.device)
        for bits, layers in observation.modulations:
            own = list(layers)
            of_layers[:, own], variance[:, own] = qam.soft_symbols(llr[:, own, :, :bits])
        return of_layers, variance
    if points is None:
        return qam.soft_symbols(llr)
    probability = torch.softmax(_log_prior(llr, labels(llr.shape[-1], llr.device)), dim=-1)
    mean = torch.complex(probability @ points.real, probability @ points.imag)
    square = probability @ (points.real**2 + points.imag**2)
    return mean, (square - mean.real**2 - mean.imag**2).clamp_min(0)


def _log_prior(llr: Tensor, bits: Tensor) -> Tensor:
    """Log probabilities of the labels, less what all have in common, from the bits' LLRs."""
    return 0.5 * llr @ (1 - 2 * bits.to(llr.dtype)).mT
