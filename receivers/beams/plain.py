"""Plain models: a multilayer perceptron, a convolutional network and a recurrent one over the grid of Set A."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from receivers.beams.interface import BeamObservation, BeamPrediction
from receivers.errors import bad_value

_DB = 10.0
#: What a beam that was not measured is taken for, relative to the strongest measurement.
_UNSEEN_DB = -30.0

#: Places of measured entries in Set A, its grid of transmit beams, and its number of entries.
PlainTables = tuple[Tensor, tuple[int, int], int]


def places_in_set_a(observation: BeamObservation) -> Tensor:
    """Entry of Set A that a measured beam or pair is written to, int64 [num_codebook]: its own, or of a wide beam the
    nearest to where it points."""
    if observation.wide_cosines is None:
        return torch.arange(observation.num_set_a, device=observation.measured.device)
    return torch.cdist(observation.wide_cosines, observation.set_a_cosines).argmin(1)


def maps_over_set_a(rsrp_dbm: Tensor, measured: Tensor, places: Tensor, num_set_a: int) -> tuple[Tensor, Tensor]:
    """Powers relative to the strongest, in tens of dB, and where they were measured: float32
    [batch, num_times, 2, num_set_a]. Also the strongest in dBm, [batch, 1, 1]."""
    level = rsrp_dbm.amax((1, 2), keepdim=True)
    where = places[measured]
    empty = torch.zeros(*where.shape[:2], num_set_a, dtype=rsrp_dbm.dtype, device=rsrp_dbm.device)
    values = (rsrp_dbm - level - _UNSEEN_DB).clamp(min=0.0) / _DB
    return torch.stack([empty.scatter(2, where, values), empty.scatter(2, where, torch.ones_like(values))], 2), level


def check_size(observation: BeamObservation, num_set_a: int) -> None:
    """`ValueError` for another Set A than one of so many beams."""
    if observation.num_set_a != num_set_a:
        raise bad_value("num_set_a", observation.num_set_a, f"{num_set_a}, what the model was made for")


class PlainBeams(nn.Module):
    """What the plain models share: maps over Set A in, powers and scores over Set A out; two numbers per entry.

    num_rx_beams: 1, or of the pairs that the model is for.
    """

    def __init__(self, num_rx_beams: int = 1) -> None:
        super().__init__()
        self.num_rx_beams = num_rx_beams
        self.temperature = nn.Parameter(torch.ones(()), requires_grad=False)

    def check(self, observation: BeamObservation) -> None:
        """`ValueError` for what the model does not serve."""
        if observation.num_rx_beams != self.num_rx_beams:
            alone = "1, beams of the base station alone"
            allowed = alone if self.num_rx_beams == 1 else f"{self.num_rx_beams}, what the model was made for"
            raise bad_value("num_rx_beams", observation.num_rx_beams, allowed)

    def tables(self, observation: BeamObservation) -> PlainTables:
        """What of the codebooks goes into `predict`."""
        return places_in_set_a(observation), observation.grid, observation.num_set_a

    def forward(self, observation: BeamObservation) -> BeamPrediction:
        o = observation
        noise = torch.tensor(o.noise_dbm)
        return self.predict(o.rsrp_dbm, o.measured, o.times_s, o.horizon_s, noise, self.tables(o))

    def predict(
        self,
        rsrp_dbm: Tensor,
        measured: Tensor,
        times_s: Tensor,
        horizon_s: Tensor,
        noise_dbm: Tensor,
        tables: PlainTables,
    ) -> BeamPrediction:
        """Inputs as in `BeamObservation`; the noise is not looked at."""
        places, grid, num_set_a = tables
        maps, level = maps_over_set_a(rsrp_dbm, measured, places, num_set_a)
        found = self.network_of(maps, grid, times_s.to(torch.float32), horizon_s.to(torch.float32))
        rsrp = level + _UNSEEN_DB + _DB * found[:, :, 0]
        return BeamPrediction(rsrp, torch.log_softmax(found[:, :, 1] / self.temperature, -1))

    def network_of(self, maps: Tensor, grid: tuple[int, int], times_s: Tensor, horizon_s: Tensor) -> Tensor:
        """Two numbers per entry, [batch, num_horizon, 2, num_set_a]."""
        raise TypeError(f"{type(self).__name__} has no network of its own")


class MlpBeams(PlainBeams):
    """A multilayer perceptron for one Set A; looks at the newest measurements.

    num_set_a, num_hidden: sizes. num_rx_beams: 1, or of pairs, which are then the entries of Set A.
    """

    def __init__(self, num_set_a: int = 64, num_hidden: int = 256, num_rx_beams: int = 1) -> None:
        super().__init__(num_rx_beams)
        self.num_set_a = num_set_a
        self.network = nn.Sequential(
            nn.Linear(2 * num_set_a, num_hidden),
            nn.ReLU(),
            nn.Linear(num_hidden, num_hidden),
            nn.ReLU(),
            nn.Linear(num_hidden, 2 * num_set_a),
        )

    def check(self, observation: BeamObservation) -> None:
        super().check(observation)
        check_size(observation, self.num_set_a)

    def network_of(self, maps: Tensor, grid: tuple[int, int], times_s: Tensor, horizon_s: Tensor) -> Tensor:
        found: Tensor = self.network(maps[:, -1].flatten(1)).unflatten(1, (1, 2, -1))
        return found.expand(-1, horizon_s.shape[0], -1, -1)


class CnnBeams(PlainBeams):
    """A convolutional network over the grid of Set A, of any size; looks at the newest measurements."""

    def __init__(self, num_channels: int = 48, num_layers: int = 5) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for number in range(num_layers):
            layers += [nn.Conv2d(4 if number == 0 else num_channels, num_channels, (3, 5), padding=(1, 2)), nn.ReLU()]
        self.network = nn.Sequential(*layers, nn.Conv2d(num_channels, 2, 1))

    def network_of(self, maps: Tensor, grid: tuple[int, int], times_s: Tensor, horizon_s: Tensor) -> Tensor:
        rows, columns = grid
        image = maps[:, -1].reshape(-1, 2, rows, columns)
        up = torch.linspace(-1, 1, rows, device=maps.device)[:, None].expand(rows, columns)
        across = torch.linspace(-1, 1, columns, device=maps.device).expand(rows, columns)
        places = torch.stack([up, across]).expand(image.shape[0], -1, -1, -1)
        found: Tensor = self.network(torch.cat([image, places], 1)).flatten(-2)[:, None]
        return found.expand(-1, horizon_s.shape[0], -1, -1)


class RecurrentBeams(PlainBeams):
    """A recurrent network over the times of the measurements, for one Set A. num_set_a, num_hidden: sizes."""

    def __init__(self, num_set_a: int = 64, num_hidden: int = 160) -> None:
        super().__init__()
        self.num_set_a = num_set_a
        self.enter = nn.Linear(2 * num_set_a + 1, num_hidden)
        self.recurrent = nn.GRU(num_hidden, num_hidden, batch_first=True)
        self.ahead = nn.Linear(num_hidden + 1, num_hidden)
        self.leave = nn.Linear(num_hidden, 2 * num_set_a)

    def check(self, observation: BeamObservation) -> None:
        super().check(observation)
        check_size(observation, self.num_set_a)

    def network_of(self, maps: Tensor, grid: tuple[int, int], times_s: Tensor, horizon_s: Tensor) -> Tensor:
        batch, count = maps.shape[:2]
        ages = (-4 * times_s)[None, :, None].expand(batch, count, 1)
        _, state = self.recurrent(torch.relu(self.enter(torch.cat([maps.flatten(2), ages], -1))))
        later = (4 * horizon_s)[None, :, None].expand(batch, -1, 1)
        states = state[0][:, None].expand(-1, horizon_s.shape[0], -1)
        found: Tensor = self.leave(torch.relu(self.ahead(torch.cat([states, later], -1))))
        return found.unflatten(-1, (2, self.num_set_a))
