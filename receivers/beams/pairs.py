"""A model for pairs of transmit and receive beams: one network for every receive beam, which hears of the others."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from receivers.beams.interface import BeamObservation
from receivers.beams.plain import PlainBeams
from receivers.errors import bad_value


class _Shared(nn.Module):
    """A layer over all receive beams alike: of each its own values, and the largest and the mean of all of them."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.own = nn.Linear(num_in, num_out)
        self.largest = nn.Linear(num_in, num_out, bias=False)
        self.mean = nn.Linear(num_in, num_out, bias=False)

    def forward(self, z: Tensor) -> Tensor:
        """z [batch, num_rx_beams, num_in]."""
        all_of_them = self.largest(z.amax(1, keepdim=True)) + self.mean(z.mean(1, keepdim=True))
        found: Tensor = self.own(z) + all_of_them
        return found


class PairBeams(PlainBeams):
    """Maps over the transmit beams, one per receive beam, through shared layers; looks at the newest measurements.

    A user is turned at random, so that what holds for one of its beams holds for all: exchanging receive beams
    exchanges the predictions, for any number of them. num_tx_beams: of Set A. num_hidden, num_layers: sizes.
    """

    def __init__(self, num_tx_beams: int = 64, num_hidden: int = 192, num_layers: int = 3) -> None:
        super().__init__()
        self.num_tx_beams = num_tx_beams
        sizes = [2 * num_tx_beams, *[num_hidden] * num_layers]
        self.layers = nn.ModuleList(_Shared(a, b) for a, b in pairwise(sizes))
        self.leave = nn.Linear(num_hidden, 2 * num_tx_beams)

    def check(self, observation: BeamObservation) -> None:
        if observation.num_rx_beams < 2:
            raise bad_value("num_rx_beams", observation.num_rx_beams, "2 or more, pairs of beams")
        if observation.num_tx_beams != self.num_tx_beams:
            raise bad_value(
                "num_tx_beams", observation.num_tx_beams, f"{self.num_tx_beams}, what the model was made for"
            )

    def network_of(self, maps: Tensor, grid: tuple[int, int], times_s: Tensor, horizon_s: Tensor) -> Tensor:
        # [batch, 2, num_rx_beams * num_tx_beams] -> [batch, num_rx_beams, 2 * num_tx_beams]
        z = maps[:, -1].unflatten(-1, (-1, self.num_tx_beams)).transpose(1, 2).flatten(-2)
        for number, layer in enumerate(self.layers):
            found = torch.relu(layer(z))
            z = found if number == 0 else z + found
        # [batch, num_rx_beams, 2, num_tx_beams] -> [batch, 1, 2, num_rx_beams * num_tx_beams]
        leaves = self.leave(z).unflatten(-1, (2, -1)).transpose(1, 2).flatten(-2)[:, None]
        return leaves.expand(-1, horizon_s.shape[0], -1, -1)
