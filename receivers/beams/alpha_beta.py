"""Tracking where the strongest beam points: an alpha-beta filter of its direction."""

from __future__ import annotations

import torch

from receivers.beams.interface import BeamObservation, BeamPrediction, BeamPredictor, BeamTruth
from receivers.beams.interpolation import interpolated
from receivers.errors import bad_value


class AlphaBeta(BeamPredictor):
    """Alpha-beta tracking of the strongest direction, whose map moves along.

    At every time the maximum of the interpolated map is a measurement of a direction; position and rate follow it with
    gains alpha and beta. At the horizon the latest map is shifted to the predicted direction.
    """

    name = "alpha-beta"

    def __init__(self, alpha: float = 0.5, beta: float = 0.2) -> None:
        for what, given in (("alpha", alpha), ("beta", beta)):
            if not 0 <= given <= 1:
                raise bad_value(what, given, "0 to 1")
        self.alpha, self.beta = alpha, beta

    def check(self, observation: BeamObservation) -> None:
        if observation.num_rx_beams > 1:
            raise bad_value("alpha-beta", f"{observation.num_rx_beams} receive beams", "task 'tx'")

    def __call__(self, observation: BeamObservation, truth: BeamTruth | None = None) -> BeamPrediction:
        maps, cosines, times = interpolated(observation), observation.set_a_cosines, observation.times_s
        seen = cosines[maps.argmax(-1)]  # [batch, num_times, 2]
        place, rate = seen[:, 0], torch.zeros_like(seen[:, 0])
        for time in range(1, len(times)):
            step = float(times[time] - times[time - 1])
            ahead = place + step * rate
            off = seen[:, time] - ahead
            place, rate = ahead + self.alpha * off, rate + self.beta / step * off
        predicted = []
        for horizon in observation.horizon_s:
            shift = place + float(horizon - times[-1]) * rate - seen[:, -1]
            # what a beam will see is seen by the beam that is nearest to where it comes from
            source = (cosines[None] - shift[:, None]).contiguous()
            nearest = torch.cdist(source, cosines.expand(len(source), -1, -1)).argmin(-1)
            predicted.append(maps[:, -1].gather(1, nearest))
        return BeamPrediction.of_rsrp(torch.stack(predicted, 1))
