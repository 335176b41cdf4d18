"""Beam prediction: from measurements of a few beams to the best of many. Usable with any simulator."""

from receivers.beams.alpha_beta import AlphaBeta
from receivers.beams.best_measured import BestMeasured
from receivers.beams.fingerprint import Fingerprint
from receivers.beams.genie import Genie
from receivers.beams.hierarchical import Hierarchical
from receivers.beams.interface import BeamObservation, BeamPrediction, BeamPredictor, BeamTruth, Sounder
from receivers.beams.interpolation import Interpolation
from receivers.beams.kalman import Kalman
from receivers.beams.last_beam import LastBeam
from receivers.beams.matching_pursuit import MatchingPursuit
from receivers.beams.neural import BEAM_ARCHITECTURES, NeuralBeams
from receivers.beams.position_table import PositionTable
from receivers.beams.spectrum import Spectrum
from receivers.beams.sweep import Sweep

_PREDICTORS: tuple[type[BeamPredictor], ...] = (
    Genie, Sweep, BestMeasured, Hierarchical, Interpolation, MatchingPursuit, LastBeam, Kalman, AlphaBeta,
    PositionTable, Fingerprint, Spectrum, NeuralBeams,
)  # fmt: skip
#: Predictors by the name that an experiment file uses.
BEAM_PREDICTORS: dict[str, type[BeamPredictor]] = {cls.name: cls for cls in _PREDICTORS}

__all__ = [
    "BEAM_ARCHITECTURES",
    "BEAM_PREDICTORS",
    "BeamObservation",
    "BeamPrediction",
    "BeamPredictor",
    "BeamTruth",
    "NeuralBeams",
    "Sounder",
]
