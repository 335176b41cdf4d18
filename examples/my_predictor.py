"""A beam predictor of one's own: a Gaussian process over the directions in which beams point."""

import torch
from torch import Tensor

from receivers.beams import BeamObservation, BeamPrediction, BeamPredictor, BeamTruth


class NearestBeams(BeamPredictor):
    """Regression of the measured beams in dB, with a Gaussian kernel of the distance in direction cosines."""

    name = "nearest-beams"

    def __init__(self, width: float = 0.4) -> None:
        if not 0 < width <= 2:
            raise ValueError(f"width: got {width}; allowed: above 0 to 2")
        self.width = width

    def check(self, observation: BeamObservation) -> None:
        if observation.num_rx_beams != 1:
            raise ValueError(f"task: got pairs with {self.name!r}; allowed: transmit beams")

    def __call__(self, observation: BeamObservation, truth: BeamTruth | None = None) -> BeamPrediction:
        latest = observation.latest()
        towards = latest.measured_cosines[:, 0]  # [batch, num_measured, 2]
        measured = latest.rsrp_dbm[:, 0, :, None]
        level = measured.mean(1, keepdim=True)
        among = self._alike(towards, towards) + 0.05 * torch.eye(towards.shape[1])
        seen_from = self._alike(latest.set_a_cosines.expand(len(towards), -1, -1), towards)
        rsrp_dbm = (level + seen_from @ torch.linalg.solve(among, measured - level)).squeeze(-1)
        return BeamPrediction.of_rsrp(rsrp_dbm[:, None].repeat(1, observation.num_horizon, 1))

    def _alike(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.exp(-(torch.cdist(a, b) / self.width).square())
