"""Hierarchical search: wide beams first, then ever narrower ones inside the best."""

from __future__ import annotations

import torch

from receivers.beams.best_measured import UNSEEN_DB
from receivers.beams.interface import BeamObservation, BeamPrediction, BeamPredictor, BeamTruth, sounded
from receivers.errors import bad_value


class Hierarchical(BeamPredictor):
    """Hierarchical search: the level with num_wide wide beams, then the narrower beams inside the num_kept best.

    Ends at Set A: log2(num_set_a / num_wide) steps of 2 num_kept measurements follow the first.
    """

    name = "hierarchical"
    sounds = True

    def __init__(self, num_wide: int = 4, num_kept: int = 1) -> None:
        if num_kept < 1:
            raise bad_value("num_kept", num_kept, "1 or more")
        self.num_wide, self.num_kept = num_wide, num_kept

    def check(self, observation: BeamObservation) -> None:
        if observation.num_rx_beams > 1:
            raise bad_value("hierarchical", f"{observation.num_rx_beams} receive beams", "task 'tx'")
        sizes = [stop - first for first, stop in self._levels(observation)]
        if self.num_wide not in sizes[1:]:
            raise bad_value("num_wide", self.num_wide, f"{', '.join(map(str, sizes[1:]))}, the levels of wide beams")

    def __call__(self, observation: BeamObservation, truth: BeamTruth | None = None) -> BeamPrediction:
        levels = self._levels(observation)
        at = [stop - first for first, stop in levels].index(self.num_wide)
        beams = torch.arange(self.num_wide).repeat(observation.batch, 1)
        rsrp = sounded(observation, beams + levels[at][0])
        while at > 0:
            kept = beams.gather(1, rsrp.topk(min(self.num_kept, rsrp.shape[1]), 1).indices)
            at -= 1
            beams = torch.cat([_children(observation.tree_parents[at])[row] for row in kept.unbind(1)], 1)
            rsrp = sounded(observation, beams + levels[at][0])
        full = (rsrp.min(1, keepdim=True).values - UNSEEN_DB).repeat(1, observation.num_set_a)
        full = full.scatter(1, beams, rsrp)
        return BeamPrediction.of_rsrp(full[:, None].repeat(1, observation.num_horizon, 1))

    def _levels(self, observation: BeamObservation) -> list[tuple[int, int]]:
        """Where the levels are in the pool."""
        end = 0 if observation.pool_weights is None else observation.pool_weights.shape[1]
        return list(zip(observation.tree_first, (*observation.tree_first[1:], end), strict=True))


def _children(parents: torch.Tensor) -> torch.Tensor:
    """Narrower beams of every wide beam, int64 [num_wide, 2]: every wide beam holds two."""
    return parents.argsort(stable=True).view(-1, 2)
