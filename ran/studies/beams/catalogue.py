"""Beam predictors by name, built from the blocks of an experiment file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ran.errors import InputError
from ran.link.catalogue import construct, user_fingerprint
from ran.registry.kinds import BEAM_PREDICTOR
from ran.registry.lookup import descriptions, find_class
from receivers.beams import BEAM_PREDICTOR_PATHS

if TYPE_CHECKING:
    from receivers.beams import BeamObservation, BeamPredictor


def predictor_catalogue() -> dict[str, str]:
    """Name and one-line description of every predictor."""
    return descriptions(BEAM_PREDICTOR)


def build_predictor(block: Mapping[str, Any], path: str = "predictors") -> BeamPredictor:
    """Predictor from a block {"name": ..., **options}; `InputError` names the key, the value and what is allowed."""
    name = str(block.get("name"))
    built: BeamPredictor = construct(find_class(BEAM_PREDICTOR, name, path=path), block, path)
    return built


def predictor_fingerprint(block: Mapping[str, Any], predictor: BeamPredictor) -> str:
    """What identifies a predictor beyond its options: its weights, and of a user's class its source with the modules
    beside it that it imports, and the content of files that its options name."""
    own = predictor.fingerprint()
    if str(block["name"]) in BEAM_PREDICTOR_PATHS:
        return own
    return user_fingerprint(type(predictor), block, Path.cwd()) + own


def refusal(predictor: BeamPredictor, observation: BeamObservation) -> str | None:
    """Why a predictor cannot work on such observations, in one line; None when it can."""
    try:
        predictor.check(observation)
    except InputError:
        raise
    except ValueError as error:
        return str(error)
    return None
