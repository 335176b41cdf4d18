"""The strongest of the beams that were measured: what a base station does without prediction."""

from __future__ import annotations

import torch
from torch import Tensor

from receivers.beams.interface import BeamObservation, BeamPrediction, BeamPredictor, BeamTruth

#: How far below the weakest measurement a beam is put that nobody measured.
UNSEEN_DB = 30.0


class BestMeasured(BeamPredictor):
    """Best of Set B: the strongest beam among the latest measurements."""

    name = "best-of-set-b"

    def __call__(self, observation: BeamObservation, truth: BeamTruth | None = None) -> BeamPrediction:
        latest = observation.latest()
        rsrp = on_set_a(latest)
        return BeamPrediction.of_rsrp(rsrp[:, None].repeat(1, observation.num_horizon, 1))


def on_set_a(latest: BeamObservation) -> Tensor:
    """Measurements at one time as a map over Set A, [batch, num_set_a]; beams not measured far below.

    A wide beam stands for the narrow beam in Set A that is nearest to where it points.
    """
    rsrp, measured = latest.rsrp_dbm[:, 0], latest.measured[:, 0]
    if latest.wide_cosines is not None:
        nearest = torch.cdist(latest.wide_cosines, latest.set_a_cosines).argmin(1)
        measured = nearest[measured]
    floor = rsrp.min(1, keepdim=True).values - UNSEEN_DB
    full = floor.repeat(1, latest.num_set_a)
    return full.scatter_reduce(1, measured, rsrp, "amax")
