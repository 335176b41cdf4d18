"""A constellation whose points are trained together with the receiver."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from receivers.classical.pam import pam_axis
from receivers.neural.weights import Weights

#: Where the points are among the tensors of a model that has a constellation of its own.
TENSOR = "constellation.raw"


class LearnedConstellation(nn.Module):
    """Points of unit mean power, at first QAM (TS 38.211 §5.1, Rel-18) around a mean of the power `mean_power`.

    A mean that is not zero is a pilot on every RE; with `mean_power` 0 the points are QAM itself. The label of a point
    is its index, the first bit highest.
    """

    def __init__(self, bits_per_symbol: int, mean_power: float = 0.0) -> None:
        super().__init__()
        if bits_per_symbol not in (2, 4, 6, 8):
            raise ValueError(f"constellation_bits: got {bits_per_symbol}; allowed: 2, 4, 6, 8, or 0 for none")
        if not 0 <= mean_power < 1:
            raise ValueError(f"mean_power: got {mean_power}; allowed: 0 or more, below 1")
        levels, _ = pam_axis(bits_per_symbol // 2, torch.device("cpu"))
        index = torch.arange(2**bits_per_symbol)
        # bits alternate between the axes
        axes = [torch.zeros_like(index), torch.zeros_like(index)]
        for j in range(bits_per_symbol):
            axes[j % 2] = 2 * axes[j % 2] + ((index >> (bits_per_symbol - 1 - j)) & 1)
        points = torch.stack([levels[axes[0]], levels[axes[1]]], dim=1) * (1 - mean_power) ** 0.5
        points[:, 0] += mean_power**0.5
        self.raw = nn.Parameter(points)

    def points(self) -> Tensor:
        """Points complex64 [2**bits_per_symbol] of unit mean power; gradients go to what is trained."""
        return points_of(self.raw)


def points_of(raw: Tensor) -> Tensor:
    """Points complex64 [n] of unit mean power from real and imaginary parts [n, 2]."""
    return torch.view_as_complex((raw / (raw**2).sum(1).mean().sqrt()).contiguous())


def trained_points(weights: Weights) -> list[list[float]]:
    """Real and imaginary part of every point that came with weights; `ValueError` where there are none."""
    raw = weights.tensors.get(TENSOR)
    if raw is None:
        raise ValueError(f"got {weights.name!r}, which has none; allowed: weights trained with a constellation")
    return [[float(p.real), float(p.imag)] for p in points_of(raw)]
