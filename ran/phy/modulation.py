"""Modulation mapping of TS 38.211 §5.1: QPSK to 256QAM."""

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

    Source: TS 38.211 §5.1.3 to §5.1.6, Rel-18.
    """
    if bits_per_symbol not in (2, 4, 6, 8):
        raise bad_value("bits_per_symbol", bits_per_symbol, "2, 4, 6, 8 (QPSK, 16QAM, 64QAM, 256QAM)")
    index = np.arange(2**bits_per_symbol)
    bits = (index[:, None] >> np.arange(bits_per_symbol - 1, -1, -1)) & 1
    points = _amplitude(bits[:, 0::2]) + 1j * _amplitude(bits[:, 1::2])
    return (points / np.sqrt(np.mean(np.abs(points) ** 2))).astype(np.complex64)


def modulate(bits: Tensor, bits_per_symbol: int) -> Tensor:
    """Map bits to symbols.

    bits [..., n * bits_per_symbol] uint8. Returns complex64 [..., n].
    """
    points = torch.from_numpy(constellation(bits_per_symbol)).to(bits.device)
    groups = bits.reshape(*bits.shape[:-1], -1, bits_per_symbol)
    index = groups[..., 0].to(torch.int32)
    for j in range(1, bits_per_symbol):
        index = index * 2 + groups[..., j]
    return points[index.to(torch.int64)]
