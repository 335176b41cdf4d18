"""Tracking every beam's power over time: a Kalman filter of level and slope."""

from __future__ import annotations

import torch
from torch import Tensor

from receivers.beams.interface import BeamObservation, BeamPrediction, BeamPredictor, BeamTruth
from receivers.beams.interpolation import interpolated
from receivers.beams.last_beam import refuse_wide
from receivers.errors import bad_value

#: How far, in dB, an interpolated value may be off; and the slope at first, dB per second.
_GUESS_DB, _SLOPE_DB_PER_S = 8.0, 20.0


class Kalman(BeamPredictor):
    """Kalman tracking: level and slope of every beam's L1-RSRP, measured or not, extrapolated to the horizon.

    drift_db_per_s15: how fast slopes wander, dB per s^1.5. noise_db: of a report. Beams that were not measured start
    from the interpolated map.
    """

    name = "kalman"

    def __init__(self, drift_db_per_s15: float = 30.0, noise_db: float = 1.0) -> None:
        if not drift_db_per_s15 >= 0:
            raise bad_value("drift_db_per_s15", drift_db_per_s15, "0 or more")
        if not noise_db > 0:
            raise bad_value("noise_db", noise_db, "above 0")
        self.drift_db_per_s15, self.noise_db = drift_db_per_s15, noise_db

    def check(self, observation: BeamObservation) -> None:
        refuse_wide(self.name, observation)

    def __call__(self, observation: BeamObservation, truth: BeamTruth | None = None) -> BeamPrediction:
        maps = interpolated(observation).double()
        mean = torch.stack([maps[:, 0], torch.zeros_like(maps[:, 0])], -1)
        start = torch.diag(torch.tensor([_GUESS_DB**2, _SLOPE_DB_PER_S**2], dtype=torch.float64, device=maps.device))
        cov = start.expand(*mean.shape, 2).clone()
        times = observation.times_s
        for time in range(len(times)):
            if time:
                mean, cov = self._ahead(mean, cov, float(times[time] - times[time - 1]))
            # a map says little about beams beside the measured ones, but keeps them from drifting off
            noise = torch.full_like(maps[:, time], 4 * _GUESS_DB**2)
            value = maps[:, time].scatter(1, observation.measured[:, time], observation.rsrp_dbm[:, time].double())
            noise = noise.scatter(1, observation.measured[:, time], self.noise_db**2)
            gain = cov[..., 0] / (cov[..., 0, 0] + noise)[..., None]
            mean = mean + gain * (value - mean[..., 0])[..., None]
            cov = cov - gain[..., None] * cov[..., :1, :]
        ahead = [self._ahead(mean, cov, float(h - times[-1])) for h in observation.horizon_s]
        rsrp = torch.stack([state[..., 0] for state, _ in ahead], 1)
        return BeamPrediction.of_rsrp(rsrp.to(torch.float32))

    def _ahead(self, mean: Tensor, cov: Tensor, step_s: float) -> tuple[Tensor, Tensor]:
        """So many seconds later: the slope is a random walk."""
        move = torch.tensor([[1.0, step_s], [0.0, 1.0]], dtype=torch.float64, device=mean.device)
        wander = torch.tensor([[step_s**3 / 3, step_s**2 / 2], [step_s**2 / 2, step_s]], dtype=torch.float64)
        noise = self.drift_db_per_s15**2 * wander.to(mean.device)
        return (move @ mean[..., None])[..., 0], move @ cov @ move.T + noise
