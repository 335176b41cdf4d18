"""A residual network from matched-filter outputs to LLRs, after DeepRx."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from receivers.interface import SlotObservation
from receivers.neural.convolutions import Separable
from receivers.neural.matched import MAX_BITS, NUM_FEATURES, Matched, data_llr, refuse_spread_symbols
from receivers.neural.shown_range import ShownRange


class _Block(nn.Module):
    """Two separable convolutions, each after normalisation and rectifier, beside a shortcut; layers share a mean."""

    def __init__(self, num_channels: int, dilation: tuple[int, int]) -> None:
        super().__init__()
        over_symbols, over_subcarriers = dilation
        self.first_norm = nn.GroupNorm(1, num_channels)
        self.first = Separable(num_channels, num_channels, over_subcarriers, over_symbols)
        self.over_layers = nn.Conv2d(num_channels, num_channels, 1)
        self.second_norm = nn.GroupNorm(1, num_channels)
        self.second = Separable(num_channels, num_channels, over_subcarriers, over_symbols)

    def forward(self, z: Tensor, num_layers: int) -> Tensor:
        inner = self.first(torch.relu(self.first_norm(z)))
        if num_layers > 1:
            shared = self.over_layers(z.unflatten(0, (-1, num_layers)).mean(1))
            inner = inner + shared.repeat_interleave(num_layers, dim=0)
        out: Tensor = z + self.second(torch.relu(self.second_norm(inner)))
        return out


class _Network(nn.Module):
    def __init__(self, num_channels: int, dilations: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.enter = Separable(NUM_FEATURES, num_channels, 1)
        self.blocks = nn.ModuleList([_Block(num_channels, d) for d in dilations])
        self.leave = nn.Conv2d(num_channels, MAX_BITS, 1)

    def forward(self, z: Tensor, num_layers: int) -> Tensor:
        z = self.enter(z)
        for block in self.blocks:
            z = block(z, num_layers)
        out: Tensor = self.leave(z)
        return out


class DeepRxReceiver(nn.Module):
    """Residual network on the grid of resource elements that learns estimation, equalisation and demapping at once.

    After M. Honkala, D. Korpi, J. Huttunen, "DeepRx: Fully Convolutional Deep Learning Receiver", IEEE Trans. Wireless
    Commun. 20(6), 2021: depthwise separable residual blocks whose dilation grows and shrinks again, LLRs of the largest
    modulation of which smaller ones use the first. Otherwise than there the antennas enter through their matched filter
    (the transformation by maximum ratio combining that the same authors propose for several layers), which leaves their
    number open; layers share one network and the mean of its channels; the normalisation is one per slot and layer.

    num_channels: width. dilations: of each block over OFDM symbols and subcarriers.
    """

    #: What the network is shown; of trained weights what training showed.
    shown_range = ShownRange()

    def __init__(
        self,
        num_channels: int = 64,
        dilations: Sequence[Sequence[int]] = ((1, 1), (1, 1), (1, 2), (1, 4), (2, 8), (2, 8), (1, 4), (1, 2), (1, 1)),
    ) -> None:
        super().__init__()
        self.network = _Network(num_channels, [(t, f) for t, f in dilations])

    def networks(self) -> list[nn.Module]:
        """What may be compiled or computed in bfloat16."""
        return [self.network]

    def check_slot(self, observation: SlotObservation) -> None:
        """`ValueError` for slots of another kind."""
        refuse_spread_symbols(observation)

    def forward(self, observation: SlotObservation) -> list[tuple[Tensor, Tensor | None]]:
        """LLRs [batch, num_layers, num_data_re, bits_per_symbol]; no channel estimate."""
        features = (
            Matched.of(observation, self.shown_range.snr_db_of(observation))
            .features.flatten(0, 1)
            .contiguous(memory_format=torch.channels_last)
        )
        out = self.network(features, observation.num_layers)
        return [(data_llr(observation, out.float()), None)]
