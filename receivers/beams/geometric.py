"""Our own model: a spectrum over directions, refined by what a network has seen of cells and panels.

It begins with the classical spectrum (`receivers.beams.spectrum`) and two maps that a network on the grid of directions
adds to: a factor on every direction's power, and evidence for the best beam to point there. What they say of beams
follows from the beams' patterns alone, so Set A, Set B and the panel may be others than those of training. Before
training the network adds nothing: the model is then the classical predictor.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from receivers.beams.interface import BeamObservation, BeamPrediction
from receivers.beams.spectrum import GRID, Powers, Tables, ages_s, check_panel, directions, one_path, spectrum

#: Maps that the network sees.
_NUM_MAPS = 14
#: Decay of measurements with age: of the spectrum, in 1/s, and of the maps that hold the newest.
_RECENT_PER_S = 1 / 0.03
_DB = 10.0


class _Block(nn.Module):
    """Two convolutions, with the input added."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(num_in, num_out, 3, padding=1)
        self.second = nn.Conv2d(num_out, num_out, 3, padding=1)
        self.across = nn.Conv2d(num_in, num_out, 1)

    def forward(self, z: Tensor) -> Tensor:
        found: Tensor = self.across(z) + self.second(torch.relu(self.first(torch.relu(z))))
        return found


class MapNetwork(nn.Module):
    """Maps on the grid to two maps, over three scales: the coarsest sees all directions at once."""

    def __init__(self, num_in: int, num_channels: int) -> None:
        super().__init__()
        c = num_channels
        self.enter = nn.Conv2d(num_in, c, (3, 4), stride=(1, 2), padding=1)
        self.fine = _Block(c, c)
        self.down = nn.Conv2d(c, 2 * c, 2, stride=2)
        self.middle = _Block(2 * c, 2 * c)
        self.down_again = nn.Conv2d(2 * c, 3 * c, 2, stride=2)
        self.coarse = nn.Sequential(_Block(3 * c, 3 * c), _Block(3 * c, 3 * c))
        self.up = nn.Conv2d(3 * c, 8 * c, 1)
        self.middle_again = _Block(2 * c, 2 * c)
        self.up_again = nn.Conv2d(2 * c, 4 * c, 1)
        self.fine_again = _Block(c, c)
        self.leave = nn.Conv2d(c, 4, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, maps: Tensor) -> Tensor:
        fine = self.fine(self.enter(maps))
        middle = self.middle(self.down(fine))
        coarse = self.coarse(self.down_again(middle))
        middle = self.middle_again(middle + nn.functional.pixel_shuffle(self.up(coarse), 2))
        fine = self.fine_again(fine + nn.functional.pixel_shuffle(self.up_again(middle), 2))
        pairs = self.leave(torch.relu(fine))
        # [batch, 2, rows, columns / 2, 2] side by side -> [batch, 2, rows, columns]
        found: Tensor = pairs.unflatten(1, (2, 2)).permute(0, 1, 3, 4, 2).flatten(-2)
        return found


class GeometricBeams(nn.Module):
    """num_channels: of the network's finest scale. num_iterations: of the classical start. memory_ms: of the start."""

    coordinates: Tensor

    def __init__(self, num_channels: int = 16, num_iterations: int = 10, memory_ms: float = 200.0) -> None:
        super().__init__()
        self.num_iterations, self.memory_ms = num_iterations, memory_ms
        self.network = MapNetwork(_NUM_MAPS, num_channels)
        #: Power that makes a difference of 1/e in the probability, dB.
        self.log_spread = nn.Parameter(torch.tensor(3.0).log())
        self.temperature = nn.Parameter(torch.ones(()), requires_grad=False)
        cosines = directions()
        y, z = cosines.T
        self.register_buffer("coordinates", torch.stack([y, y.abs(), z]), persistent=False)

    def check(self, observation: BeamObservation) -> None:
        check_panel(observation)

    def tables(self, observation: BeamObservation) -> Tables:
        """What of the codebooks goes into `predict`."""
        return Tables.of(observation)

    def forward(self, observation: BeamObservation) -> BeamPrediction:
        o = observation
        return self.predict(o.rsrp_dbm, o.measured, o.times_s, o.horizon_s, torch.tensor(o.noise_dbm), self.tables(o))

    def predict(
        self, rsrp_dbm: Tensor, measured: Tensor, times_s: Tensor, horizon_s: Tensor, noise_dbm: Tensor, tables: Tables
    ) -> BeamPrediction:
        """Inputs as in `BeamObservation`."""
        powers = Powers.of(rsrp_dbm, measured, noise_dbm, tables)
        ages = ages_s(times_s, rsrp_dbm.shape[2])
        weights = torch.exp(-1e3 * ages / self.memory_ms)
        start = spectrum(powers, weights, self.num_iterations)
        maps = self._maps(powers, start, weights, torch.exp(-_RECENT_PER_S * ages), tables)
        horizon = horizon_s.to(torch.float32)
        count, batch = horizon.shape[0], maps.shape[0]
        # [batch, num_horizon, maps, directions]
        later = (4 * horizon)[None, :, None, None].expand(batch, count, 1, maps.shape[-1])
        every = torch.cat([maps[:, None].expand(-1, count, -1, -1), later], 2)
        # channels last: a fifth faster on a processor
        grids = every.reshape(batch * count, -1, *GRID).contiguous(memory_format=torch.channels_last)
        found = self.network(grids).reshape(batch, count, 2, -1)
        refined = start[:, None] * torch.exp(found[:, :, 0].clamp(-12, 12))
        rsrp = powers.level_dbm[:, None] + 10 * torch.log10(refined @ tables.set_a.T + 1e-9)
        sharp = tables.set_a.square()
        sharp = sharp / (sharp.sum(1, keepdim=True) + 1e-9)
        scores = rsrp / self.log_spread.exp() + found[:, :, 1] @ sharp.T
        return BeamPrediction(rsrp, torch.log_softmax(scores / self.temperature, -1))

    def _maps(self, powers: Powers, start: Tensor, weights: Tensor, recent: Tensor, tables: Tables) -> Tensor:
        """[batch, _NUM_MAPS - 1, num_directions]; all of order 1."""
        gains, db = powers.gains, 10 * torch.log10(powers.power) / _DB
        expected = (gains @ start[..., None])[..., 0] + powers.noise + 1e-9
        error = torch.log10(powers.power / expected)
        shape = start.shape

        def mean(values: Tensor, by: Tensor) -> tuple[Tensor, Tensor]:
            cover = (by.expand_as(db)[:, None] @ gains)[:, 0]
            return ((by * values)[:, None] @ gains)[:, 0] / (cover + 1e-3), cover

        level, cover = mean(db, weights)
        level_now, cover_now = mean(db, recent)
        image = ((recent * powers.power)[:, None] @ gains)[:, 0]
        fit, fit_level = one_path(powers, weights)
        of_set_a = tables.set_a.amax(0).expand(shape)
        maps = [
            torch.log10(start + 1e-6) + 2,
            mean(error, weights)[0],
            torch.log10(cover + 1e-3),
            level,
            level_now,
            torch.log10(cover_now + 1e-3),
            torch.log10(image + 1e-4),
            torch.log_softmax(fit, -1) / _DB + 1,
            fit_level / _DB,
            of_set_a,
        ]
        coordinates = self.coordinates.expand(shape[0], -1, -1)
        return torch.cat([torch.stack(maps, 1), coordinates], 1)
