"""`spectrum`: power over directions that explains the measurements, and from it the power of every beam.

Paths with different delays do not interfere in an RSRP, which is a mean over a band: what a beam receives is the sum
over directions of its gain times the power from there. It begins with a single path: every direction is as likely as
the pattern of gains that the measured beams have there fits the measurements in dB, side lobes included. More paths
come in by expectation-maximisation of a non-negative spectrum, for powers whose errors are relative, as those of fading
are (the Itakura-Saito divergence).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from receivers.beams.interface import BeamObservation, BeamPrediction, BeamPredictor, BeamTruth
from receivers.errors import bad_value

#: Directions in cosines: across from -1 to 1, up between limits within which a cell's users and their echoes are.
GRID = (16, 64)
_ACROSS, _UP = (-1.0, 1.0), (-0.7, 0.6)
#: Longest panels, in wavelengths across and up, whose power patterns such a grid resolves: two points per lobe.
MOST_WAVELENGTHS = (16.0, 6.5)
#: Powers further below the strongest measurement than this count as this.
_FLOOR_DB = -45.0
#: Gain that the weakest side lobe counts as, and by how much a path's powers spread around its beam patterns, dB.
_LOBE_DB, _FIT_DB = -30.0, 5.0


def directions() -> Tensor:
    """The grid, float32 [rows * columns, 2]: cosines across and up, row by row from below."""
    rows, columns = GRID
    y = _ACROSS[0] + (torch.arange(columns) + 0.5) * (_ACROSS[1] - _ACROSS[0]) / columns
    z = _UP[0] + (torch.arange(rows) + 0.5) * (_UP[1] - _UP[0]) / rows
    up, across = torch.meshgrid(z, y, indexing="ij")
    return torch.stack([across.flatten(), up.flatten()], -1)


def patterns(weights: Tensor, positions: Tensor) -> Tensor:
    """Power gain of beams towards the grid relative to the panel's, float32 [num_beams, num_directions].

    weights complex64 [num_places, num_beams] and positions float32 [num_places, 3] as in `BeamObservation`.
    """
    cycles = directions().to(positions) @ positions[:, 1:].T
    waves = torch.polar(torch.ones_like(cycles), 2 * torch.pi * cycles)
    return (waves @ weights.to(waves.dtype)).abs().square().T / len(positions)


@dataclass(frozen=True)
class Tables:
    """What codebooks look like on the grid. measurable [num_codebook, num_directions]: beams that are measured;
    set_a [num_tx_beams, num_directions]."""

    measurable: Tensor
    set_a: Tensor

    @classmethod
    def of(cls, observation: BeamObservation) -> Tables:
        set_a = patterns(observation.set_a_weights, observation.positions)
        wide = observation.wide_weights
        return cls(set_a if wide is None else patterns(wide, observation.positions), set_a)


def check_panel(observation: BeamObservation) -> None:
    """`ValueError` for what the grid does not serve."""
    if observation.num_rx_beams != 1:
        raise bad_value("num_rx_beams", observation.num_rx_beams, "1, beams of the base station alone")
    for what, axis, most in (("across", 1, MOST_WAVELENGTHS[0]), ("up", 2, MOST_WAVELENGTHS[1])):
        places = observation.positions[:, axis]
        length = float(places.max() - places.min()) if len(places) else 0.0
        if length > most:
            raise bad_value(f"panel, wavelengths {what}", round(length, 2), f"up to {most:g}, what directions resolve")


@dataclass(frozen=True)
class Powers:
    """Measurements of all times as one list.

    level_dbm [batch, 1]: the strongest. power [batch, n]: linear, relative to it. noise [batch, 1]: as much of it.
    gains [batch, n, num_directions]: patterns of the beams that were measured.
    """

    level_dbm: Tensor
    power: Tensor
    noise: Tensor
    gains: Tensor

    @classmethod
    def of(cls, rsrp_dbm: Tensor, measured: Tensor, noise_dbm: Tensor | float, tables: Tables) -> Powers:
        flat = rsrp_dbm.flatten(1)
        level = flat.amax(1, keepdim=True)
        power = 10 ** ((flat - level).clamp(min=_FLOOR_DB) / 10)
        noise = 10 ** ((noise_dbm - level).clamp(_FLOOR_DB, 0.0) / 10)
        return cls(level, power, noise, tables.measurable[measured.flatten(1)])


def one_path(powers: Powers, weights: Tensor) -> tuple[Tensor, Tensor]:
    """How well a single path in each direction explains the measurements: log likelihood and power in dB relative to
    the strongest measurement, both float32 [batch, num_directions].

    weights [n]: how much each measurement counts.
    """
    gains_db = 10 * torch.log10(powers.gains + powers.noise[..., None] + 10 ** (_LOBE_DB / 10))
    apart = 10 * torch.log10(powers.power)[..., None] - gains_db
    by = weights[:, None]
    level = (by * apart).sum(1) / by.sum()
    misfit = (by * (apart - level[:, None]).square()).sum(1)
    return -misfit / (2 * _FIT_DB**2), level


def spectrum(powers: Powers, weights: Tensor, num_iterations: int) -> Tensor:
    """Power over directions relative to the strongest measurement, float32 [batch, num_directions].

    weights [n]: how much each measurement counts. num_iterations: that bring in more paths.
    """
    fit, level = one_path(powers, weights)
    found = torch.softmax(fit, -1) * 10 ** (level / 10) + 1e-7
    for _ in range(num_iterations):
        expected = (powers.gains @ found[..., None])[..., 0] + powers.noise
        more = ((weights * powers.power / expected.square())[:, None] @ powers.gains)[:, 0]
        less = ((weights / expected)[:, None] @ powers.gains)[:, 0]
        found = found * ((more + 1e-9) / (less + 1e-9)).sqrt()
    return found


def ages_s(times_s: Tensor, num_measured: int) -> Tensor:
    """Age of every measurement in the list of all times, float32 [num_times * num_measured]."""
    return (-times_s).to(torch.float32)[:, None].expand(-1, num_measured).reshape(-1)


class Spectrum(BeamPredictor):
    """Non-negative power over directions by expectation-maximisation; what it says of beams follows from patterns.

    num_iterations: of the maximisation. memory_ms: after which a measurement counts 1/e. spread_db: power that makes
    the difference of 1/e in the stated probability.
    """

    name = "spectrum"

    def __init__(self, num_iterations: int = 10, memory_ms: float = 200.0, spread_db: float = 3.0) -> None:
        if num_iterations < 0:
            raise bad_value("num_iterations", num_iterations, "an integer from 0")
        for what, value in (("memory_ms", memory_ms), ("spread_db", spread_db)):
            if not value > 0:
                raise bad_value(what, value, "a number above 0")
        self.num_iterations, self.memory_ms, self.spread_db = num_iterations, memory_ms, spread_db

    def check(self, observation: BeamObservation) -> None:
        check_panel(observation)

    def __call__(self, observation: BeamObservation, truth: BeamTruth | None = None) -> BeamPrediction:
        tables = Tables.of(observation)
        powers = Powers.of(observation.rsrp_dbm, observation.measured, observation.noise_dbm, tables)
        weights = torch.exp(-1e3 * ages_s(observation.times_s, observation.rsrp_dbm.shape[2]) / self.memory_ms)
        found = spectrum(powers, weights, self.num_iterations)
        rsrp = powers.level_dbm + 10 * torch.log10(found @ tables.set_a.T + 1e-9)
        return BeamPrediction.of_rsrp(rsrp[:, None].repeat(1, observation.num_horizon, 1), self.spread_db)
