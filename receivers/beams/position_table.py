"""A table of a site: which beams were good where."""

from __future__ import annotations

import torch
from torch import Tensor

from receivers.beams.interface import BeamObservation, BeamPrediction, BeamPredictor, BeamTruth
from receivers.errors import bad_value


class PositionTable(BeamPredictor):
    """Position lookup table: mean L1-RSRP and best beams of training drops near a reported position.

    num_neighbours: so many training drops that are nearest. Where drops share no site (the scenarios of TR 38.901 draw
    every user's surroundings anew) a table learns the geometry of the cell alone.
    """

    name = "position-table"
    needs_fit = True

    def __init__(self, num_neighbours: int = 8) -> None:
        if num_neighbours < 1:
            raise bad_value("num_neighbours", num_neighbours, "1 or more")
        self.num_neighbours = num_neighbours
        self._places = torch.empty(0, 3)
        self._rsrp = torch.empty(0)

    def check(self, observation: BeamObservation) -> None:
        if observation.users_m is None:
            raise bad_value("position_error_m", None, "metres: position-table needs the positions that users report")

    def fit(self, observation: BeamObservation, truth: BeamTruth) -> None:
        if observation.users_m is None:
            raise bad_value("users_m", None, "reported positions")
        self._places, self._rsrp = observation.users_m[:, -1], truth.rsrp_dbm

    def __call__(self, observation: BeamObservation, truth: BeamTruth | None = None) -> BeamPrediction:
        if not len(self._rsrp) or observation.users_m is None:
            raise bad_value("training drops", len(self._rsrp), "at least one, and reported positions")
        near = _nearest(observation.users_m[:, -1], self._places, self.num_neighbours)
        return from_neighbours(self._rsrp[near])


def _nearest(wanted: Tensor, known: Tensor, number: int) -> Tensor:
    return torch.cdist(wanted.double(), known.double()).topk(min(number, len(known)), largest=False).indices


def from_neighbours(rsrp_dbm: Tensor) -> BeamPrediction:
    """From the powers of alike drops, [batch, num_neighbours, num_horizon, num_set_a].

    A beam's probability is the mean over drops of a sharp softmax of their powers and, with a tenth of the weight, of a
    wide one, which keeps it above 0.
    """
    shares = torch.softmax(rsrp_dbm / 1.0, -1).mean(1)
    wide = torch.softmax(rsrp_dbm / 6.0, -1).mean(1)
    return BeamPrediction(rsrp_dbm.mean(1), torch.log(0.9 * shares + 0.1 * wide))
