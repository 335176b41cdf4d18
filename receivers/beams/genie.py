"""The truth: no method can choose a better beam."""

from __future__ import annotations

from receivers.beams.interface import BeamObservation, BeamPrediction, BeamPredictor, BeamTruth


class Genie(BeamPredictor):
    """Knows every beam's true L1-RSRP: the bound for all methods."""

    name = "genie"
    needs_truth = True

    def __call__(self, observation: BeamObservation, truth: BeamTruth | None = None) -> BeamPrediction:
        if truth is None:
            raise ValueError("truth: got None; allowed: the true L1-RSRP, genie knows nothing else")
        return BeamPrediction.of_rsrp(truth.rsrp_dbm, spread_db=0.1)
