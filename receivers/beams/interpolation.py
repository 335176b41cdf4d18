"""Interpolation of measured powers over the beams' directions (ordinary kriging in dB)."""

from __future__ import annotations

import torch
from torch import Tensor

from receivers.beams.interface import BeamObservation, BeamPrediction, BeamPredictor, BeamTruth
from receivers.errors import bad_value

#: Distance in direction cosines that a change of the receive beam counts as.
_OTHER_RX = 0.5


class Interpolation(BeamPredictor):
    """Interpolates the measured L1-RSRP over directions, now: kriging with correlation exp(-distance / reach).

    reach: in direction cosines; left out, the longer side of Set A's field. noise_db: of a measurement.
    """

    name = "interpolation"

    def __init__(self, reach: float | None = None, noise_db: float = 0.5) -> None:
        if reach is not None and not reach > 0:
            raise bad_value("reach", reach, "above 0")
        if not noise_db >= 0:
            raise bad_value("noise_db", noise_db, "0 or more")
        self.reach, self.noise_db = reach, noise_db

    def __call__(self, observation: BeamObservation, truth: BeamTruth | None = None) -> BeamPrediction:
        rsrp = interpolated(observation.latest(), self.reach, self.noise_db)
        return BeamPrediction.of_rsrp(rsrp.repeat(1, observation.num_horizon, 1))


def interpolated(observation: BeamObservation, reach: float | None = None, noise_db: float = 0.5) -> Tensor:
    """Maps over Set A at every time of the observation, float32 [batch, num_times, num_set_a].

    Ordinary kriging: the unknown mean is that of the measurements, weighted as their correlations ask.
    """
    wanted = observation.set_a_cosines.double()
    length = float(torch.linalg.vector_norm(wanted.amax(0) - wanted.amin(0), float("inf"))) if reach is None else reach
    length = max(length, 1e-6)
    rx = torch.arange(observation.num_rx_beams, device=wanted.device).repeat_interleave(observation.num_tx_beams)
    everywhere = wanted.repeat(observation.num_rx_beams, 1)
    seen, seen_rx = observation.measured_cosines.double(), observation.measured_rx
    between = torch.cdist(seen, seen) + _OTHER_RX * (seen_rx[..., :, None] != seen_rx[..., None, :])
    to_all = torch.cdist(seen, everywhere.expand(*seen.shape[:2], -1, -1))
    to_all = to_all + _OTHER_RX * (seen_rx[..., :, None] != rx)
    values = observation.rsrp_dbm.double()
    spread = values.var(-1, correction=0).clamp(min=1.0)
    nugget = (noise_db**2 / spread + 1e-6)[..., None, None] * torch.eye(values.shape[-1], device=values.device)
    matrix = torch.exp(-between / length) + nugget
    solved = torch.linalg.solve(matrix, torch.stack([values, torch.ones_like(values)], -1))
    mean = solved[..., 0].sum(-1) / solved[..., 1].sum(-1)
    weights = solved[..., 0] - mean[..., None] * solved[..., 1]
    return (mean[..., None] + (weights[..., None, :] @ torch.exp(-to_all / length))[..., 0, :]).to(torch.float32)
