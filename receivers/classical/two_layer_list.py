"""Maximum-likelihood detection of two layers."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from receivers.classical.pam import pam_axis
from receivers.classical.qam import axis_scale

#: Least gain of a layer over the noise (-120 dB): below it counts as not there. Everything here is in unit noise.
LEAST_GAIN = 1e-12
_BLOCK = 2048


def _points(bits_per_symbol: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Constellation complex64 [2**bits] and its labels bool [2**bits, bits]."""
    levels, labels = pam_axis(bits_per_symbol // 2, device)
    size = len(levels)
    real, imag = (
        torch.arange(size, device=device).repeat_interleave(size),
        torch.arange(size, device=device).repeat(size),
    )
    both = torch.stack([labels[real], labels[imag]], dim=-1).flatten(1)
    return torch.complex(levels[real], levels[imag]), both


def _round(x: Tensor, bits_per_symbol: int) -> Tensor:
    """Nearest constellation points."""
    scale = axis_scale(bits_per_symbol // 2)
    largest = 2 ** (bits_per_symbol // 2) - 1
    axes = torch.view_as_real(x) / scale
    nearest = (2 * torch.floor(axes / 2) + 1).clamp(-largest, largest)
    return torch.view_as_complex(nearest * scale)


class TwoLayerList:
    """Exact max-log detection of two layers.

    For each point of one layer the best point of the other is found by rounding, so the list of a layer has one path
    per point and every bit both hypotheses in it; then the layers change places (M. Siti and M. P. Fitz, A novel
    soft-output layered orthogonal lattice detector, ICC 2006).

    rule: "maxlog", or "exact", which sums over the points of both layers, the other layer's axis by axis.
    """

    max_layers = 2

    def __init__(self, rule: Literal["maxlog", "exact"] = "maxlog") -> None:
        self.rule: Literal["maxlog", "exact"] = rule

    def __call__(
        self, y: Tensor, h: Tensor, noise_var: Tensor, bits_per_symbol: int, prior_llr: Tensor | None = None
    ) -> Tensor:
        """LLRs float32 [batch, num_layers, n, bits_per_symbol], positive means bit 0; see `ExpectationPropagation`."""
        if prior_llr is not None:
            raise ValueError("prior_llr: got LLRs; allowed: None, rounding knows no prior")
        num_layers = h.shape[2]
        if num_layers > self.max_layers:
            raise ValueError(f"num_layers: got {num_layers}; allowed: 1 or 2")
        points, labels = _points(bits_per_symbol, y.device)
        # [rx, batch * n]: blocks of resource elements that stay in the cache
        y, h = y.transpose(0, 1).flatten(1), h.permute(1, 2, 0, 3).flatten(2)
        scale = noise_var.expand(-1, y.shape[1] // len(noise_var)).flatten().rsqrt()
        size = y.shape[1] if y.is_cuda else _BLOCK
        parts = [
            self._block(yb * sb, hb * sb, points, labels, bits_per_symbol)
            for yb, hb, sb in zip(y.split(size, -1), h.split(size, -1), scale.split(size), strict=True)
        ]
        # [layer, batch * n, bit] -> [batch, layer, n, bit]
        return torch.cat(parts, dim=1).unflatten(1, (len(noise_var), -1)).transpose(0, 1)

    def _block(self, y: Tensor, h: Tensor, points: Tensor, labels: Tensor, bits_per_symbol: int) -> Tensor:
        """LLRs [layer, n, bit] from y [rx, n] and h [rx, layer, n] in unit noise."""
        out = []
        for layer in range(h.shape[1]):
            other = h[:, 1 - layer] if h.shape[1] == 2 else None
            distance = _paths(y, h[:, layer], other, points, bits_per_symbol, self.rule == "exact")
            if self.rule == "exact":
                bits = [(-distance[~one]).logsumexp(0) - (-distance[one]).logsumexp(0) for one in labels.T]
            else:
                bits = [distance[one].amin(0) - distance[~one].amin(0) for one in labels.T]
            out.append(torch.stack(bits, dim=-1))
        return torch.stack(out)


def _paths(
    y: Tensor, h: Tensor, other: Tensor | None, points: Tensor, bits_per_symbol: int, exact: bool = False
) -> Tensor:
    """Squared distances [points, n] for every point of a layer, up to a constant; y, h, other [rx, n].

    exact: minus the logarithm of the sum over all points of the other layer, instead of the distance with the best.
    """
    points = points.unsqueeze(1)
    if other is None:
        error = (h.conj() * y).sum(0) - points * _energy(h).sum(0)
        return _energy(error) / _energy(h).sum(0).clamp_min(LEAST_GAIN)
    # the other layer's direction, and what of this layer is orthogonal to it
    norm = _energy(other).sum(0).clamp_min(LEAST_GAIN)
    along_y, along_h = (other.conj() * y).sum(0) / norm, (other.conj() * h).sum(0) / norm
    h_rest, y_rest = h - along_h * other, y - along_y * other
    gain = _energy(h_rest).sum(0).clamp_min(LEAST_GAIN)
    orthogonal = _energy((h_rest.conj() * y_rest).sum(0) / gain - points) * gain
    centre = along_y - along_h * points
    if exact:
        levels = pam_axis(bits_per_symbol // 2, y.device)[0]
        # [points, n, axis, levels]
        axes = (torch.view_as_real(centre).unsqueeze(-1) - levels) ** 2 * norm[:, None, None]
        return orthogonal - (-axes).logsumexp(-1).sum(-1)
    return orthogonal + _energy(centre - _round(centre, bits_per_symbol)) * norm


def _energy(x: Tensor) -> Tensor:
    return x.real**2 + x.imag**2
