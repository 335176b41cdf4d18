"""Square QAM as two Gray-labelled PAM axes: demapping and soft symbols.

Labels and levels follow TS 38.211 §5.1, Rel-18: even bits sit on the real axis, odd bits on the imaginary axis.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


@cache
def _axis(bits_per_axis: int) -> tuple[Tensor, Tensor]:
    """Levels float32 [2**m], scaled for a unit-power QAM symbol, and labels bool [2**m, m]."""
    index = torch.arange(2**bits_per_axis)
    labels = (index[:, None] >> torch.arange(bits_per_axis - 1, -1, -1)) & 1
    sign = 1.0 - 2.0 * labels
    level = torch.ones(2**bits_per_axis)
    for j in range(bits_per_axis - 1, 0, -1):
        level = 2.0 ** (bits_per_axis - j) - sign[:, j] * level
    return sign[:, 0] * level * axis_scale(bits_per_axis), labels.bool()


def axis_scale(bits_per_axis: int) -> float:
    """Distance of the innermost level from zero in a unit-power QAM symbol, e.g. 1/sqrt(10) for 16QAM."""
    mean_square = (4**bits_per_axis - 1) / 3
    return float((2 * mean_square) ** -0.5)


def demap_maxlog(x_hat: Tensor, noise_var: Tensor, bits_per_symbol: int) -> Tensor:
    """Max-log LLRs, exact per axis.

    x_hat [...] complex64: unbiased estimates of unit-power symbols; noise_var [...] float32: their complex noise
    variance. Returns float32 [..., bits_per_symbol], positive means bit 0.
    """
    levels, labels = _axis(bits_per_symbol // 2)
    levels, labels = levels.to(x_hat.device), labels.to(x_hat.device)
    # [..., axis, level]
    distance = (torch.view_as_real(x_hat).unsqueeze(-1) - levels) ** 2
    per_axis = [
        distance[..., labels[:, j]].amin(-1) - distance[..., ~labels[:, j]].amin(-1) for j in range(labels.shape[1])
    ]
    # [..., axis, bit of the axis] -> [..., bit of the axis, axis]: bits alternate between the axes
    llr = torch.stack(per_axis, dim=-1).transpose(-1, -2)
    return llr.flatten(-2) / noise_var.unsqueeze(-1)


def soft_symbols(llr: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of symbols whose bits have these LLRs.

    llr [..., bits_per_symbol]. Returns mean complex64 [...] and variance float32 [...] of a unit-power symbol.
    """
    bits_per_axis = llr.shape[-1] // 2
    # [..., bit of the axis, axis]; the mean of 1 - 2 b
    t = torch.tanh(llr.unflatten(-1, (bits_per_axis, 2)) / 2)
    level = torch.ones_like(t[..., 0, :])
    square = torch.ones_like(level)
    for j in range(bits_per_axis - 1, 0, -1):
        step = 2.0 ** (bits_per_axis - j)
        square = step * step - 2 * step * t[..., j, :] * level + square
        level = step - t[..., j, :] * level
    mean = t[..., 0, :] * level
    scale = axis_scale(bits_per_axis)
    variance = ((square - mean * mean).sum(-1) * scale * scale).clamp_min(0)
    return torch.view_as_complex((mean * scale).contiguous()), variance
