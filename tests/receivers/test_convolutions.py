"""The shared convolutions against plain torch layers, which compute the same in another order of memory."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from receivers.neural.convolutions import Separable, mean_of


@pytest.mark.parametrize("dilation", [1, 3, 4, 8])
@pytest.mark.parametrize("channels_last", [False, True])
def test_separable_is_two_convolutions(dilation: int, channels_last: bool) -> None:
    torch.manual_seed(dilation)
    layer = Separable(6, 10, dilation)
    plain = nn.Sequential(layer.depthwise, layer.pointwise)
    z = torch.randn(3, 6, 7, 40)
    if channels_last:
        z = z.contiguous(memory_format=torch.channels_last)
    ours, theirs = z.clone().requires_grad_(), z.clone().requires_grad_()
    found, expected = layer(ours), plain(theirs)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    slope = torch.randn_like(expected)
    found.backward(slope)
    gradients = [parameter.grad.clone() for parameter in layer.parameters() if parameter.grad is not None]
    layer.zero_grad()
    expected.backward(slope)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-5)
    for gradient, parameter in zip(gradients, layer.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-4, atol=1e-4)


def test_mean_of_groups() -> None:
    z = torch.randn(6, 4, 5, 8, generator=torch.Generator().manual_seed(1))
    found = mean_of(z, 3)
    torch.testing.assert_close(found, torch.stack([z[:3].mean(0), z[3:].mean(0)]))
    assert mean_of(z.contiguous(memory_format=torch.channels_last), 3).is_contiguous(memory_format=torch.channels_last)
