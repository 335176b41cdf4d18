"""How a band is cut into subbands of equal width for channel estimation, and put together again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# Subcarriers of a subband. More of them sharpen delays further than any noise asks for, and cost grows with the square.
_MAX_WIDTH = 768
# Subcarriers at which the error variance of a subband is evaluated; it is interpolated between them.
_MAX_NODES = 64


@dataclass(frozen=True)
class Subbands:
    """Equal subbands, overlapping where a wide band is cut, side by side where the channel jumps between them.

    width: subcarriers of a subband. starts [num_subbands] int64: first subcarrier of each.
    owner [num_subcarriers] int64: flat index (subband, subcarrier in it) of the best estimate of each subcarrier.
    nodes: subcarriers of a subband where errors are evaluated; node_left, node_share: linear interpolation from them.
    """

    width: int
    starts: Tensor
    owner: Tensor
    nodes: Tensor
    node_left: Tensor
    node_share: Tensor

    def __len__(self) -> int:
        return len(self.starts)

    def join(self, h: Tensor) -> Tensor:
        """Subbands [..., num_subbands, width] to one band [..., num_subcarriers]."""
        if len(self) == 1:
            return h.squeeze(-2)
        return h.flatten(-2)[..., self.owner]

    def join_nodes(self, values: Tensor) -> Tensor:
        """Values at the nodes of any subband, [..., num_nodes], to all subcarriers of the band."""
        left = values[..., self.node_left]
        band = left + self.node_share * (values[..., self.node_left + 1] - left)
        return band[..., self.owner % band.shape[-1]] if len(self) > 1 else band


def cut_band(num_subcarriers: int, unit: int, bundle: int | None, device: torch.device) -> Subbands:
    """Subbands of whole `unit`s, the distance from one pair of pilots to the next.

    bundle: width at which the channel jumps, a divisor of num_subcarriers; None where it is continuous.
    """
    total, count, width = num_subcarriers // unit, 1, num_subcarriers // unit
    starts = np.zeros(1, np.int64)
    if bundle is not None:
        width, count = bundle // unit, num_subcarriers // bundle
        starts = width * np.arange(count)
    elif num_subcarriers > _MAX_WIDTH:
        # neighbours overlap by about a sixth, so that every subcarrier lies away from an edge of some subband
        count = int(np.ceil((num_subcarriers - _MAX_WIDTH / 6) / (_MAX_WIDTH * 5 / 6)))
        width = int(np.ceil(total / (count * 5 / 6 + 1 / 6)))
        starts = np.round(np.linspace(0, total - width, count)).astype(np.int64)
    width, starts = width * unit, starts * unit
    nodes = np.unique(np.round((1 - np.cos(np.linspace(0, np.pi, min(_MAX_NODES, width)))) / 2 * (width - 1)))
    left = np.clip(np.searchsorted(nodes, np.arange(width), side="right") - 1, 0, len(nodes) - 2)
    subcarrier = np.arange(num_subcarriers)
    best = np.abs(subcarrier[:, None] - (starts + (width - 1) / 2)).argmin(1)
    share = (np.arange(width) - nodes[left]) / (nodes[left + 1] - nodes[left])

    def tensor(array: np.ndarray, dtype: torch.dtype) -> Tensor:
        return torch.from_numpy(array).to(device=device, dtype=dtype)

    return Subbands(
        width=width,
        starts=tensor(starts, torch.int64),
        owner=tensor(best * width + subcarrier - starts[best], torch.int64),
        nodes=tensor(nodes, torch.int64),
        node_left=tensor(left, torch.int64),
        node_share=tensor(share, torch.float32),
    )
