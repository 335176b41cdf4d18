"""Convolutions over [OFDM symbol, node] that the neural receivers share; a node is a pair of subcarriers."""

from __future__ import annotations

from torch import Tensor, nn


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
        out: Tensor = self.pointwise(self.depthwise(z))
        return out


def zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer with zero weights: what it ends adds nothing before training."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def pairs(values: Tensor) -> Tensor:
    """Mean over pairs of neighbouring subcarriers, the nodes of the networks."""
    return values.unflatten(-1, (-1, 2)).mean(-1)


def unpair(values: Tensor) -> Tensor:
    """Linear interpolation from nodes [n, channel, symbol, node] back to subcarriers."""
    size = (values.shape[-2], 2 * values.shape[-1])
    return nn.functional.interpolate(values, size=size, mode="bilinear", align_corners=False)
