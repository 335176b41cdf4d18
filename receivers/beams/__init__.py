"""Beam prediction: from measurements of a few beams to the best of many. Usable with any simulator."""

from receivers.beams.best_measured import BestMeasured
from receivers.beams.genie import Genie
from receivers.beams.interface import BeamObservation, BeamPrediction, BeamPredictor, BeamTruth, Sounder

#: Predictors by the name that an experiment file uses.
BEAM_PREDICTORS: dict[str, type[BeamPredictor]] = {cls.name: cls for cls in (Genie, BestMeasured)}

__all__ = ["BEAM_PREDICTORS", "BeamObservation", "BeamPrediction", "BeamPredictor", "BeamTruth", "Sounder"]
