"""A network whose layers exchange messages: a convolutional graph neural network, after neural_rx."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from receivers.interface import SlotObservation
from receivers.neural.convolutions import Separable
from receivers.neural.matched import MAX_BITS, NUM_FEATURES, Matched, data_llr, refuse_spread_symbols
from receivers.neural.shown_range import ShownRange

# Distances to the nearest pilot, and whether there is one: the last features.
_NUM_POSITIONS = 3


class _Start(nn.Module):
    """First state of every layer from its features."""

    def __init__(self, num_states: int, width: int) -> None:
        super().__init__()
        self.first = Separable(NUM_FEATURES, width, 1)
        self.second = Separable(width, width, 1)
        self.third = Separable(width, num_states, 1)

    def forward(self, z: Tensor) -> Tensor:
        out: Tensor = self.third(torch.relu(self.second(torch.relu(self.first(z)))))
        return out


class _Iteration(nn.Module):
    """Messages between all pairs of layers, then a convolution of every layer's state with what it was told."""

    def __init__(self, num_states: int, width: int, dilation: int) -> None:
        super().__init__()
        self.message = nn.Sequential(
            nn.Conv2d(num_states + 2, num_states, 1), nn.ReLU(), nn.Conv2d(num_states, num_states, 1)
        )
        self.norm = nn.GroupNorm(1, 2 * num_states + _NUM_POSITIONS)
        self.first = Separable(2 * num_states + _NUM_POSITIONS, width, dilation)
        self.second = Separable(width, width, dilation)
        self.third = Separable(width, num_states, 1)

    def forward(self, state: Tensor, coupling: Tensor, positions: Tensor, num_layers: int) -> Tensor:
        # state [batch * layer, state, symbol, subcarrier]; coupling [batch, layer, layer, 2, symbol, subcarrier]
        told = self._told(state, coupling, num_layers) if num_layers > 1 else torch.zeros_like(state)
        z = self.norm(torch.cat([state, told, positions], dim=1))
        out: Tensor = state + self.third(torch.relu(self.second(torch.relu(self.first(z)))))
        return out

    def _told(self, state: Tensor, coupling: Tensor, num_layers: int) -> Tensor:
        """Mean of the other layers' messages, which know how their channels meet."""
        by_layer = state.unflatten(0, (-1, num_layers))
        told = []
        for layer in range(num_layers):
            others = [other for other in range(num_layers) if other != layer]
            sent = torch.cat([by_layer[:, others], coupling[:, layer, others]], dim=2)
            told.append(self.message(sent.flatten(0, 1)).unflatten(0, (-1, len(others))).mean(1))
        return torch.stack(told, dim=1).flatten(0, 1)


class _Network(nn.Module):
    def __init__(self, num_states: int, width: int, num_iterations: int) -> None:
        super().__init__()
        self.start = _Start(num_states, width)
        self.iterations = nn.ModuleList([_Iteration(num_states, width, 1 + i % 2) for i in range(num_iterations)])
        self.leave = nn.Sequential(nn.Conv2d(num_states, width, 1), nn.ReLU(), nn.Conv2d(width, MAX_BITS, 1))

    def forward(self, features: Tensor, coupling: Tensor, num_layers: int) -> list[Tensor]:
        state = self.start(features)
        outputs = []
        for iteration in self.iterations:
            state = iteration(state, coupling, features[:, -_NUM_POSITIONS:], num_layers)
            outputs.append(self.leave(state))
        return outputs


class MessagePassingReceiver(nn.Module):
    """Convolutional graph neural network: a state per layer and resource element, refined by iterations of messages.

    After S. Cammerer et al., "A Neural Receiver for 5G NR Multi-user MIMO", IEEE Globecom Workshops 2023: layers are
    nodes that send messages to all others, states are refined by convolutions over the grid, every iteration has its
    own weights and is read out alike, and the distance to the nearest pilot is an input. Otherwise than there the
    antennas enter through their matched filters and the correlation of two layers' channels enters their messages,
    which leaves the number of antennas open.

    num_states: numbers in a state. width: of the convolutions. num_iterations: rounds of messages.
    """

    #: What the network is shown; of trained weights what training showed.
    shown_range = ShownRange()

    def __init__(self, num_states: int = 56, width: int = 128, num_iterations: int = 2) -> None:
        super().__init__()
        self.network = _Network(num_states, width, num_iterations)

    def networks(self) -> list[nn.Module]:
        """What may be compiled or computed in bfloat16."""
        return [self.network]

    def check_slot(self, observation: SlotObservation) -> None:
        """`ValueError` for slots of another kind."""
        refuse_spread_symbols(observation)

    def forward(self, observation: SlotObservation) -> list[tuple[Tensor, Tensor | None]]:
        """LLRs [batch, num_layers, num_data_re, bits_per_symbol] of every iteration, last one best; no channel."""
        matched = Matched.of(observation, self.shown_range.snr_db_of(observation))
        features = matched.features.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        coupling = torch.view_as_real(matched.coupling).movedim(-1, 3)
        outputs = self.network(features, coupling, observation.num_layers)
        return [(data_llr(observation, out.float()), None) for out in outputs]
