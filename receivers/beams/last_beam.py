"""Hold what was measured: the last report of every beam counts until there is another."""

from __future__ import annotations

import torch
from torch import Tensor

from receivers.beams.best_measured import UNSEEN_DB
from receivers.beams.interface import BeamObservation, BeamPrediction, BeamPredictor, BeamTruth
from receivers.errors import bad_value


class LastBeam(BeamPredictor):
    """Last-beam hold: the beam whose last report is the strongest stays the best for the whole horizon."""

    name = "last-beam"

    def check(self, observation: BeamObservation) -> None:
        refuse_wide(self.name, observation)

    def __call__(self, observation: BeamObservation, truth: BeamTruth | None = None) -> BeamPrediction:
        held, known = last_reports(observation)
        floor = held.masked_fill(~known, torch.inf).amin(1, keepdim=True) - UNSEEN_DB
        rsrp = torch.where(known, held, floor)
        return BeamPrediction.of_rsrp(rsrp[:, None].repeat(1, observation.num_horizon, 1))


def last_reports(observation: BeamObservation) -> tuple[Tensor, Tensor]:
    """Of every entry of Set A its last report, [batch, num_set_a], and whether there is one."""
    held = torch.zeros(observation.batch, observation.num_set_a, device=observation.rsrp_dbm.device)
    known = torch.zeros_like(held, dtype=torch.bool)
    for time in range(len(observation.times_s)):
        places = observation.measured[:, time]
        held = held.scatter(1, places, observation.rsrp_dbm[:, time])
        known = known.scatter(1, places, True)
    return held, known


def refuse_wide(name: str, observation: BeamObservation) -> None:
    """`ValueError` for measurements of wide or learned beams, which say nothing about one entry of Set A."""
    if observation.is_wide:
        raise bad_value(name, "a Set B outside Set A (wide, learned)", "a Set B inside Set A: fixed, random, all")
