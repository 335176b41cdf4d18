"""The contract of `receivers.beams.BeamPredictor`."""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache

import torch
from torch import Tensor

from ran.config.validation import validate
from ran.studies.beams.experiment import BeamExperiment
from ran.studies.beams.measurement import Decision, decide
from ran.studies.beams.world import BeamWorld, Split
from receivers.beams import BeamObservation, BeamPrediction, BeamPredictor, BeamTruth

_NUM_DROPS = 4
#: Largest difference of powers in dB and of logarithms of probabilities that rounding may make.
_ROUNDING = 1e-2


@lru_cache(maxsize=1)
def _world() -> BeamWorld:
    """32 beams of a panel of 4 x 8 elements in free space, 8 of them measured."""
    return BeamWorld(
        validate(
            BeamExperiment,
            {
                "name": "contract",
                "channel": {"name": "free-space", "zenith_deg": [80, 120]},
                "set_a": {"beams": [4, 8]},
                "evaluation": {"top_k": [1]},
                "predictors": ["genie"],
                "num_drops": _NUM_DROPS,
                "num_fit_drops": 64,
                "position_error_m": 0.0,
            },
        )
    )


def _decision(split: Split = "test", num_drops: int = _NUM_DROPS) -> Decision:
    world = _world()
    return decide(world, world.drops(split, 0, num_drops))


def _predict(predictor: BeamPredictor, slots: slice = slice(None)) -> tuple[BeamPrediction, BeamObservation]:
    predictor.check(_decision().observation)
    if predictor.needs_fit:
        known = _decision("train", 64)
        predictor.fit(known.observation, known.truth)
    decision = _decision()
    observation, truth = decision.observation, decision.truth
    if slots != slice(None):
        observation = observation.part(slots.start, slots.stop)
        truth = BeamTruth(truth.rsrp_dbm[slots])
    with torch.inference_mode():
        return predictor(observation, truth if predictor.needs_truth else None), observation


def _shape(predictor: BeamPredictor) -> str:
    found, observation = _predict(predictor)
    expected = (observation.batch, observation.num_horizon, observation.num_set_a)
    for name in ("rsrp_dbm", "log_probability"):
        value: Tensor = getattr(found, name)
        if tuple(value.shape) != expected:
            return f"{name}: got {tuple(value.shape)}; allowed: {expected}, [batch, num_horizon, num_set_a]"
        if value.dtype != torch.float32:
            return f"{name}: got {value.dtype}; allowed: torch.float32"
        if bool(torch.isnan(value).any()):
            return f"{name}: got NaN; allowed: numbers"
    return ""


def _probabilities(predictor: BeamPredictor) -> str:
    total = _predict(predictor)[0].log_probability.double().exp().sum(-1)
    off = float((total - 1).abs().max())
    return "" if off < 1e-3 else f"probabilities of Set A add up to 1 within {off:.2g}; allowed: within 0.001"


def _alone(predictor: BeamPredictor) -> str:
    if predictor.sounds:
        return ""  # a sounder is of the whole batch
    whole, alone = _predict(predictor)[0], _predict(predictor, slice(1, 2))[0]
    close = torch.allclose(alone.rsrp_dbm, whole.rsrp_dbm[1:2], rtol=0, atol=_ROUNDING)
    return "" if close else "powers of a drop differ with the batch that it is in"


def _repeats(predictor: BeamPredictor) -> str:
    with torch.random.fork_rng(devices=[]):
        first = _predict(predictor)[0].log_probability
        torch.manual_seed(99)
        again = _predict(predictor)[0].log_probability
    return "" if torch.equal(first, again) else "the same measurements give another prediction"


def _untouched(predictor: BeamPredictor) -> str:
    _, observation = _predict(predictor)
    before = _decision().observation
    for field in fields(observation):
        a, b = getattr(observation, field.name), getattr(before, field.name)
        if isinstance(a, Tensor) and not torch.equal(a, b):
            return f"{field.name} of the observation is another afterwards"
    return ""


BEAM_PREDICTOR_TESTS = {
    "shape and type": _shape,
    "probabilities add up to 1": _probabilities,
    "a drop does not depend on its batch": _alone,
    "repeats": _repeats,
    "the observation is not changed": _untouched,
}
