"""Few directions that explain the measured powers: matching pursuit without phases."""

from __future__ import annotations

import torch
from torch import Tensor

from receivers.beams.interface import BeamObservation, BeamPrediction, BeamPredictor, BeamTruth
from receivers.errors import bad_value


class MatchingPursuit(BeamPredictor):
    """Compressed sensing on the angular domain: orthogonal matching pursuit on powers of beam patterns, now.

    A report holds no phase, so powers of a few directions, which are never negative, add up: measured power of a beam =
    sum over directions of its pattern's gain times the direction's power. num_directions: at most. oversampling: of the
    grid of directions against Set A's beams, in either dimension.
    """

    name = "matching-pursuit"

    def __init__(self, num_directions: int = 3, oversampling: int = 4) -> None:
        if num_directions < 1:
            raise bad_value("num_directions", num_directions, "1 or more")
        if oversampling not in range(1, 17):
            raise bad_value("oversampling", oversampling, "1 to 16")
        self.num_directions, self.oversampling = num_directions, oversampling

    def check(self, observation: BeamObservation) -> None:
        if observation.num_rx_beams > 1:
            raise bad_value("matching-pursuit", f"{observation.num_rx_beams} receive beams", "task 'tx'")

    def __call__(self, observation: BeamObservation, truth: BeamTruth | None = None) -> BeamPrediction:
        latest = observation.latest()
        directions = self._directions(latest)
        waves = torch.polar(
            torch.ones(len(directions), len(latest.positions)),
            2 * torch.pi * (directions @ latest.positions[:, 1:].T),
        )
        of_set_a = (waves @ latest.set_a_weights).abs().square().T  # [num_tx_beams, num_directions]
        # [batch, num_measured, num_directions]
        if latest.wide_weights is None:
            seen = of_set_a[latest.measured[:, 0]]
        else:
            seen = (waves @ latest.wide_weights).abs().square().T[latest.measured[:, 0]]
        power = 10 ** ((latest.rsrp_dbm[:, 0] - latest.rsrp_dbm[:, 0].amax(1, keepdim=True)) / 10)
        found = _pursuit(seen, power, self.num_directions)
        predicted = latest.rsrp_dbm[:, 0].amax(1, keepdim=True) + 10 * torch.log10((found @ of_set_a.T).clamp(min=1e-6))
        return BeamPrediction.of_rsrp(predicted[:, None].repeat(1, observation.num_horizon, 1))

    def _directions(self, observation: BeamObservation) -> Tensor:
        """A grid over the field that Set A covers, half a cell beyond its outermost beams, [n, 2]."""
        cosines, axes = observation.set_a_cosines, []
        for axis, number in ((0, observation.grid[1]), (1, observation.grid[0])):
            low, high = float(cosines[:, axis].min()), float(cosines[:, axis].max())
            half = (high - low) / max(number - 1, 1) / 2
            axes.append(torch.linspace(low - half, high + half, number * self.oversampling + 1))
        return torch.cartesian_prod(*axes).to(cosines.device)


def _pursuit(patterns: Tensor, power: Tensor, num_directions: int) -> Tensor:
    """Powers of directions, never negative, at most so many of them, [batch, num_all_directions].

    patterns [batch, num_measured, num_all_directions], power [batch, num_measured].
    """
    norms = torch.linalg.vector_norm(patterns, dim=1).clamp(min=1e-9)
    rest, chosen = power, []
    result = torch.zeros(patterns.shape[0], patterns.shape[2], device=patterns.device)
    weights = torch.zeros(len(power), 0, device=power.device)
    for _ in range(min(num_directions, power.shape[1])):
        fit = (rest[:, None] @ patterns)[:, 0] / norms
        chosen.append(fit.argmax(1))
        support = torch.stack(chosen, 1)
        columns = patterns.gather(2, support[:, None].expand(-1, patterns.shape[1], -1))
        weights = _non_negative(columns, power, torch.cat([weights, torch.zeros(len(power), 1)], 1))
        rest = power - (columns @ weights[..., None])[..., 0]
    for place, direction in enumerate(chosen):
        result.scatter_add_(1, direction[:, None], weights[:, place : place + 1])
    return result


def _non_negative(columns: Tensor, power: Tensor, start: Tensor) -> Tensor:
    """Least squares with weights from 0, by coordinates in turn; few columns need few rounds."""
    gram = columns.transpose(1, 2) @ columns
    right = (power[:, None] @ columns)[:, 0]
    weights = start.clone()
    for _ in range(50):
        for k in range(weights.shape[1]):
            gradient = right[:, k] - (gram[:, k] * weights).sum(1)
            weights[:, k] = (weights[:, k] + gradient / gram[:, k, k].clamp(min=1e-12)).clamp(min=0)
    return weights
