"""A table of a site: which beams were good where reports looked alike."""

from __future__ import annotations

import torch
from torch import Tensor

from receivers.beams.interface import BeamObservation, BeamPrediction, BeamPredictor, BeamTruth
from receivers.beams.interpolation import interpolated
from receivers.beams.position_table import from_neighbours
from receivers.errors import bad_value


class Fingerprint(BeamPredictor):
    """Fingerprint table: best beams of the training drops whose reports are most alike (nearest neighbours).

    Reports are compared as they are, less their mean, where Set B is the same in all drops; otherwise their
    interpolated maps are. num_neighbours: how many.
    """

    name = "fingerprint"
    needs_fit = True

    def __init__(self, num_neighbours: int = 16) -> None:
        if num_neighbours < 1:
            raise bad_value("num_neighbours", num_neighbours, "1 or more")
        self.num_neighbours = num_neighbours
        self._features = torch.empty(0, 0)
        self._level = torch.empty(0)
        self._rsrp = torch.empty(0)

    def fit(self, observation: BeamObservation, truth: BeamTruth) -> None:
        self._features, self._level = _features(observation)
        self._rsrp = truth.rsrp_dbm

    def __call__(self, observation: BeamObservation, truth: BeamTruth | None = None) -> BeamPrediction:
        if not len(self._rsrp):
            raise bad_value("training drops", 0, "at least one")
        wanted, level = _features(observation)
        number = min(self.num_neighbours, len(self._rsrp))
        near = torch.cdist(wanted, self._features).topk(number, largest=False).indices
        shift = level[:, None] - self._level[near]
        return from_neighbours(self._rsrp[near] + shift[..., None, None])


def _features(observation: BeamObservation) -> tuple[Tensor, Tensor]:
    """Of every drop, [batch, n], without the mean, which is the second, [batch]."""
    same = bool((observation.measured == observation.measured[:1]).all()) if observation.batch else True
    values = observation.rsrp_dbm if same else interpolated(observation)
    flat = values.flatten(1)
    level = flat.mean(1)
    return flat - level[:, None], level
