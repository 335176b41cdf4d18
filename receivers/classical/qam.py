"""Square QAM as two Gray-labelled PAM axes: demapping and soft symbols.

Labels and levels follow TS 38.211 §5.1, Rel-18: even bits sit on the real axis, odd bits on the imaginary axis.
"""

from __future__ import annotations

import torch
from torch import Tensor


def axis_scale(bits_per_axis: int) -> float:
    """Distance of the innermost level from zero in a unit-power QAM symbol, e.g. 1/sqrt(10) for 16QAM."""
    mean_square = (4**bits_per_axis - 1) / 3
    return float((2 * mean_square) ** -0.5)


def demap_maxlog(x_hat: Tensor, noise_var: Tensor, bits_per_symbol: int) -> Tensor:
    """Max-log LLRs, exact per axis.

    x_hat [...] complex64: unbiased estimates of unit-power symbols; noise_var [...] float32: their complex noise
    variance. Returns float32 [..., bits_per_symbol], positive means bit 0.
    With 1 bit per symbol that is pi/2-BPSK: every second symbol of the last axis is turned by 90 degrees.

    On an axis with levels +-1, +-3, ..., +-(2^m - 1) the first bit is the sign. With a = |x| and n the level nearest to
    a, the nearest level of the other sign is 1 away from zero, so the LLR is sign(x) times
    (a + 1)^2 - (a - n)^2 = (1 + n) (2 a + 1 - n). The other bits label a like an axis of m - 1 bits that is mirrored
    and centred at 2^(m-1), so they follow from 2^(m-1) - a in the same way.
    """
    if bits_per_symbol == 1:
        return (4 * 0.5**0.5 * _bpsk_axis(x_hat) / noise_var).unsqueeze(-1)
    bits_per_axis = bits_per_symbol // 2
    scale = axis_scale(bits_per_axis)
    x = torch.view_as_real(x_hat.resolve_conj()) / scale
    precision = (scale * scale / noise_var).unsqueeze(-1)
    per_bit = []
    for m in range(bits_per_axis, 0, -1):
        a = x.abs()
        nearest = (2 * torch.floor(a.detach() / 2) + 1).clamp(max=2.0**m - 1)
        size = (1 + nearest) * (2 * a + 1 - nearest)
        per_bit.append(torch.where(x < 0, -size, size) * precision)
        x = 2.0 ** (m - 1) - a
    # [..., bit of the axis, axis]: bits alternate between the axes
    return torch.stack(per_bit, dim=-2).flatten(-2)


def _bpsk_axis(x: Tensor) -> Tensor:
    """Real plus imaginary part of pi/2-BPSK symbols [..., n] turned back."""
    turned = x.clone()
    turned[..., 1::2] *= -1j
    return turned.real + turned.imag


def soft_symbols(llr: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of symbols whose bits have these LLRs.

    llr [..., bits_per_symbol]. Returns mean complex64 [...] and variance float32 [...] of a unit-power symbol.
    """
    if llr.shape[-1] == 1:
        t = torch.tanh(llr[..., 0] / 2)
        symbols = torch.complex(t, t) * 0.5**0.5
        symbols[..., 1::2] *= 1j
        return symbols, 1 - t * t
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
