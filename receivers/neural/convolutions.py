"""Convolutions over [OFDM symbol, node] that the neural receivers share; a node is a pair of subcarriers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from receivers.classical.processor import is_recorded

#: Widest padding of subcarriers that the fast depthwise convolution of torch on a processor takes; wider ones take
#: seven times as long.
_WIDEST_PADDING = 6


class Separable(nn.Module):
    """Depthwise, then pointwise convolution over [OFDM symbol, node].

    dilation: over nodes; symbol_dilation: over OFDM symbols.
    """

    def __init__(self, num_in: int, num_out: int, dilation: int, symbol_dilation: int = 1) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            num_in,
            num_in,
            (3, 5),
            padding=(symbol_dilation, 2 * dilation),
            dilation=(symbol_dilation, dilation),
            groups=num_in,
        )
        self.pointwise = nn.Conv2d(num_in, num_out, 1)

    def forward(self, z: Tensor) -> Tensor:
        return pointwise(self.pointwise, self._spread(z))

    def _spread(self, z: Tensor) -> Tensor:
        layer = self.depthwise
        over_symbols, over_nodes = (int(size) for size in layer.padding)
        if z.device.type != "cpu" or over_nodes <= _WIDEST_PADDING or torch.onnx.is_in_onnx_export():
            out: Tensor = layer(z)
            return out
        # padded beforehand, with channels last
        wide = nn.functional.pad(z.permute(0, 2, 3, 1), (0, 0, over_nodes, over_nodes)).permute(0, 3, 1, 2)
        return nn.functional.conv2d(
            wide, layer.weight, layer.bias, padding=(over_symbols, 0), dilation=layer.dilation, groups=layer.groups
        )


def pointwise(layer: nn.Conv2d, z: Tensor) -> Tensor:
    """A convolution of kernel size 1; on a processor as a matrix product, for which nothing has to be moved."""
    if z.device.type != "cpu" or torch.onnx.is_in_onnx_export():
        out: Tensor = layer(z)
        return out
    return nn.functional.linear(z.permute(0, 2, 3, 1), layer.weight.flatten(1), layer.bias).permute(0, 3, 1, 2)


def mean_of(z: Tensor, size: int) -> Tensor:
    """Mean over groups of `size` neighbours in the first dimension, channels last."""
    if is_recorded():
        return z.unflatten(0, (-1, size)).mean(1)
    last = z.permute(0, 2, 3, 1)
    return last.unflatten(0, (-1, size)).mean(1).permute(0, 3, 1, 2)


def add_to_groups(z: Tensor, size: int, common: Tensor) -> Tensor:
    """To each of `size` neighbours in the first dimension what they have in common; z is changed in place."""
    if is_recorded():
        return (z.unflatten(0, (-1, size)) + common.unsqueeze(1)).flatten(0, 1)
    z.unflatten(0, (-1, size)).add_(common.unsqueeze(1))
    return z


def zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer with zero weights: what it ends adds nothing before training."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def pairs(values: Tensor) -> Tensor:
    """Mean over pairs of neighbouring subcarriers, the nodes of the networks."""
    return mean_of_neighbours(values, 2)


def mean_of_neighbours(values: Tensor, size: int, axis: int = -1) -> Tensor:
    """Mean over runs of `size` neighbours in the last axis, or the one before."""
    if is_recorded():
        # one axis more is more than LiteRT takes a mean of
        parts = [values[..., i::size] if axis == -1 else values[..., i::size, :] for i in range(size)]
        return sum(parts[1:], parts[0]) / size
    return values.unflatten(axis, (-1, size)).mean(axis)


def unpair(values: Tensor) -> Tensor:
    """Linear interpolation from nodes [n, channel, symbol, node] back to subcarriers."""
    return nn.functional.interpolate(values, scale_factor=(1.0, 2.0), mode="bilinear", align_corners=False)
