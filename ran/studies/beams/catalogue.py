"""Beam predictors by name, built from the blocks of an experiment file."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ran.errors import InputError, unknown_name
from ran.link.catalogue import construct
from receivers.beams import BEAM_PREDICTORS, BeamObservation, BeamPredictor


def predictor_catalogue() -> dict[str, str]:
    """Name and one-line description of every predictor."""
    return {name: (inspect.getdoc(cls) or "").split("\n")[0] for name, cls in BEAM_PREDICTORS.items()}


def build_predictor(block: Mapping[str, Any], path: str = "predictors") -> BeamPredictor:
    """Predictor from a block {"name": ..., **options}; `InputError` names the key, the value and what is allowed."""
    name = str(block.get("name"))
    if name not in BEAM_PREDICTORS:
        raise unknown_name(f"{path}.name", name, BEAM_PREDICTORS)
    built: BeamPredictor = construct(BEAM_PREDICTORS[name], block, path)
    return built


def refusal(predictor: BeamPredictor, observation: BeamObservation) -> str | None:
    """Why a predictor cannot work on such observations, in one line; None when it can."""
    try:
        predictor.check(observation)
    except InputError:
        raise
    except ValueError as error:
        return str(error)
    return None
