"""Beam prediction: from measurements of a few beams to the best of many. Usable with any simulator."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

    #: Predictors by the name that an experiment file uses.
    BEAM_PREDICTORS: dict[str, type[BeamPredictor]]

#: Where each of them is, MODULE:Class by the same name.
BEAM_PREDICTOR_PATHS = {
    "genie": "receivers.beams.genie:Genie",
    "sweep": "receivers.beams.sweep:Sweep",
    "best-of-set-b": "receivers.beams.best_measured:BestMeasured",
    "hierarchical": "receivers.beams.hierarchical:Hierarchical",
    "interpolation": "receivers.beams.interpolation:Interpolation",
    "matching-pursuit": "receivers.beams.matching_pursuit:MatchingPursuit",
    "last-beam": "receivers.beams.last_beam:LastBeam",
    "kalman": "receivers.beams.kalman:Kalman",
    "alpha-beta": "receivers.beams.alpha_beta:AlphaBeta",
    "position-table": "receivers.beams.position_table:PositionTable",
    "fingerprint": "receivers.beams.fingerprint:Fingerprint",
    "spectrum": "receivers.beams.spectrum:Spectrum",
    "neural": "receivers.beams.neural:NeuralBeams",
}
_HOMES = {path.partition(":")[2]: path.partition(":")[0] for path in BEAM_PREDICTOR_PATHS.values()} | {
    "BEAM_ARCHITECTURES": "receivers.beams.neural",
    "BeamObservation": "receivers.beams.interface",
    "BeamPrediction": "receivers.beams.interface",
    "BeamPredictor": "receivers.beams.interface",
    "BeamTruth": "receivers.beams.interface",
    "Sounder": "receivers.beams.interface",
}


def __getattr__(name: str) -> Any:
    if name == "BEAM_PREDICTORS":
        found: Any = {key: __getattr__(path.partition(":")[2]) for key, path in BEAM_PREDICTOR_PATHS.items()}
    elif name in _HOMES:
        found = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, found)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "BEAM_ARCHITECTURES",
    "BEAM_PREDICTORS",
    "BEAM_PREDICTOR_PATHS",
    "AlphaBeta",
    "BeamObservation",
    "BeamPrediction",
    "BeamPredictor",
    "BeamTruth",
    "BestMeasured",
    "Fingerprint",
    "Genie",
    "Hierarchical",
    "Interpolation",
    "Kalman",
    "LastBeam",
    "MatchingPursuit",
    "NeuralBeams",
    "PositionTable",
    "Sounder",
    "Spectrum",
    "Sweep",
]
