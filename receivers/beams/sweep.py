"""Exhaustive sweep: every beam of Set A is measured."""

from __future__ import annotations

import torch

from receivers.beams.interface import BeamObservation, BeamPrediction, BeamPredictor, BeamTruth, sounded


class Sweep(BeamPredictor):
    """Exhaustive sweep: measures all of Set A now, noise and reports included."""

    name = "sweep"
    sounds = True

    def __call__(self, observation: BeamObservation, truth: BeamTruth | None = None) -> BeamPrediction:
        every = torch.arange(observation.num_set_a).repeat(observation.batch, 1)
        rsrp = sounded(observation, every)
        return BeamPrediction.of_rsrp(rsrp[:, None].repeat(1, observation.num_horizon, 1))
