"""Modulation mapping of TS 38.211 §5.1: pi/2-BPSK, and QPSK to 1024QAM."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from ran.errors import bad_value


def _amplitude(bits: np.ndarray) -> np.ndarray:
    """Unnormalised amplitude of one axis from its bits [..., m], first bit the sign: 1-2b, (1-2b)(2-(1-2b')), ..."""
    sign = 1.0 - 2.0 * bits
    level = np.ones(bits.shape[:-1])
    for j in range(bits.shape[-1] - 1, 0, -1):
        level = 2.0 ** (bits.shape[-1] - j) - sign[..., j] * level
    return sign[..., 0] * level


@cache
def constellation(bits_per_symbol: int) -> np.ndarray:
    """Constellation points, complex64 [2**bits_per_symbol], unit mean power, indexed by the bits, first bit highest.

    Source: TS 38.211 §5.1.1 (even symbols) and §5.1.3 to §5.1.7, Rel-18.
    """
    if bits_per_symbol == 1:
        return np.array([1 + 1j, -1 - 1j], np.complex64) / np.float32(np.sqrt(2))
    if bits_per_symbol not in (2, 4, 6, 8, 10):
        allowed = "1, 2, 4, 6, 8, 10 (pi/2-BPSK, QPSK, 16QAM, 64QAM, 256QAM, 1024QAM)"
        raise bad_value("bits_per_symbol", bits_per_symbol, allowed)
    index = np.arange(2**bits_per_symbol)
    bits = (index[:, None] >> np.arange(bits_per_symbol - 1, -1, -1)) & 1
    points = _amplitude(bits[:, 0::2]) + 1j * _amplitude(bits[:, 1::2])
    return (points / np.sqrt(np.mean(np.abs(points) ** 2))).astype(np.complex64)


def modulate(bits: Tensor, bits_per_symbol: int, points: Tensor | None = None) -> Tensor:
    """Map bits to symbols.

    bits [..., n * bits_per_symbol] uint8; with 1 bit per symbol they are mapped to pi/2-BPSK, every second symbol
    turned by 90 degrees. points: another constellation, complex64 [2**bits_per_symbol]. Returns complex64 [..., n].
    """
    if points is None:
        points = torch.from_numpy(constellation(bits_per_symbol)).to(bits.device)
    groups = bits.reshape(*bits.shape[:-1], -1, bits_per_symbol)
    index = groups[..., 0].to(torch.int32)
    for j in range(1, bits_per_symbol):
        index = index * 2 + groups[..., j]
    symbols = points[index.to(torch.int64)]
    if bits_per_symbol == 1:
        symbols[..., 1::2] *= 1j
    return symbols
