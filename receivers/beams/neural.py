"""`neural`: a trained model as a beam predictor."""

from __future__ import annotations

import torch
from torch import nn

from receivers.beams.geometric import GeometricBeams
from receivers.beams.interface import BeamObservation, BeamPrediction, BeamPredictor, BeamTruth
from receivers.beams.pairs import PairBeams
from receivers.beams.plain import CnnBeams, MlpBeams, RecurrentBeams
from receivers.neural.weights import load_weights

#: Architectures by the name that model cards and recipes use.
BEAM_ARCHITECTURES: dict[str, type[nn.Module]] = {
    "geometric": GeometricBeams,
    "mlp": MlpBeams,
    "cnn": CnnBeams,
    "recurrent": RecurrentBeams,
    "pairs": PairBeams,
}
#: Drops that go through a model together.
_DROPS_AT_ONCE = 128


class NeuralBeams(BeamPredictor):
    """A trained model: a name that the package ships, or a path to a .safetensors file with its card beside it."""

    name = "neural"

    def __init__(self, weights: str = "beams-geometric") -> None:
        self.weights = weights
        loaded = load_weights(weights, "beams")
        self.card = loaded.card
        self.sha256 = loaded.sha256
        self._fingerprint = loaded.fingerprint
        self.model = loaded.model(weights, BEAM_ARCHITECTURES)

    def check(self, observation: BeamObservation) -> None:
        self.model.check(observation)  # type: ignore[operator]

    def fingerprint(self) -> str:
        return self._fingerprint

    def to(self, device: torch.device | str) -> BeamPredictor:
        self.model.to(device)
        return self

    def __call__(self, observation: BeamObservation, truth: BeamTruth | None = None) -> BeamPrediction:
        self.check(observation)
        with torch.no_grad():
            parts = [
                self.model(observation.part(start, min(start + _DROPS_AT_ONCE, observation.batch)))
                for start in range(0, max(observation.batch, 1), _DROPS_AT_ONCE)
            ]
        rsrp, log_probability = (torch.cat([getattr(part, name) for part in parts]) for name in _OUTPUTS)
        return BeamPrediction(rsrp, log_probability)


_OUTPUTS = ("rsrp_dbm", "log_probability")
