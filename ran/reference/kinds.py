"""The kinds of files that commands read, and the registries that their blocks {name: ..., options} come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    command: that reads it. model: finds the model of the file; imported only then. also: keys of the file that its
    loader takes before the model sees it, and what they mean. named_by_file: whether the file's name is the default of
    `name`.
    """

    name: str
    title: str
    command: str
    model: Callable[[], type[BaseModel]]
    also: Mapping[str, str] = field(default_factory=dict)
    named_by_file: bool = True


def _experiment() -> type[BaseModel]:
    from ran.sim.experiment import Experiment

    return Experiment


def _sweep() -> type[BaseModel]:
    from ran.studies.sweep.request import Sweep

    return Sweep


def _adaptation() -> type[BaseModel]:
    from ran.studies.adaptation.experiment import AdaptationExperiment

    return AdaptationExperiment


def _beams() -> type[BaseModel]:
    from ran.studies.beams.experiment import BeamExperiment

    return BeamExperiment


def _csi() -> type[BaseModel]:
    from ran.studies.csi.experiment import CsiExperiment

    return CsiExperiment


def _decode() -> type[BaseModel]:
    from ran.recordings.config import DecodeConfig

    return DecodeConfig


def _recipe() -> type[BaseModel]:
    from ran.training.recipe import Recipe

    return Recipe


def _beam_recipe() -> type[BaseModel]:
    from ran.training.beam_recipe import BeamRecipe

    return BeamRecipe


def _csi_recipe() -> type[BaseModel]:
    from ran.training.csi_recipe import CsiRecipe

    return CsiRecipe


def _delay_angle_recipe() -> type[BaseModel]:
    from ran.training.delay_angle_recipe import DelayAngleRecipe

    return DelayAngleRecipe


def _prediction_recipe() -> type[BaseModel]:
    from ran.training.prediction_recipe import PredictionRecipe

    return PredictionRecipe


def _conditions() -> type[BaseModel]:
    from ran.studies.robustness.conditions import Conditions

    return Conditions


_SWEEP = {"sweep": "Values of keys of the experiment, every combination of which is simulated; see its page."}
_BASE = {"base": "A built-in recipe over which the keys of the file are laid."}

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("experiment", "Experiments", "ran sim", _experiment, _SWEEP),
        Kind("sweep", "The block sweep of an experiment", "ran sim", _sweep, named_by_file=False),
        Kind("adaptation", "Link adaptation experiments", "ran adapt", _adaptation, _SWEEP),
        Kind("beams", "Beam experiments", "ran beams", _beams, _SWEEP),
        Kind("csi", "CSI feedback experiments", "ran csi", _csi, _SWEEP),
        Kind("decode", "Configuration of a recording", "ran decode RECORDING --config", _decode, named_by_file=False),
        Kind("recipe", "Training recipes of receivers", "ran train", _recipe, _BASE),
        Kind("beam-recipe", "Training recipes of beam predictors", "ran train", _beam_recipe, _BASE),
        Kind("csi-recipe", "Training recipes of CSI models", "ran train", _csi_recipe, _BASE),
        Kind("delay-angle-recipe", "Training recipes of delay-angle models", "ran train", _delay_angle_recipe, _BASE),
        Kind("prediction-recipe", "Training recipes of channel predictors", "ran train", _prediction_recipe, _BASE),
        Kind(
            "conditions",
            "Conditions of a robustness study",
            "ran robustness --conditions",
            _conditions,
            named_by_file=False,
        ),
    )
}


def registries() -> dict[str, Mapping[str, type]]:
    """Classes by name, of every registry that experiment files name blocks of."""
    from channels import CHANNELS
    from channels.impairments import IMPAIRMENTS
    from ran.studies.csi.feedback_catalogue import FEEDBACK
    from receivers import RECEIVERS
    from receivers.beams import BEAM_PREDICTORS

    return {
        "channels": CHANNELS,
        "impairments": IMPAIRMENTS,
        "receivers": RECEIVERS,
        "beam-predictors": BEAM_PREDICTORS,
        "csi-feedback": FEEDBACK,
    }


def given_by_study(cls: type) -> tuple[str, ...]:
    """Arguments of a constructor that are no options, as the study calls it with them."""
    from ran.studies.csi.feedback import Feedback

    return ("experiment",) if issubclass(cls, Feedback) else ()


def options_of_study(cls: type) -> dict[str, dict[str, Any]]:
    """Options of a block that the study takes before the class sees it: JSON schema with default and description."""
    from ran.studies.csi.feedback import Feedback
    from ran.studies.csi.point import PREDICTORS, REPORTED, WEIGHTS

    if not issubclass(cls, Feedback):
        return {}
    text = (
        "What predicts the channel at the time asked for, before the report: nothing, a filter over precoders that is "
        "fitted to the cell, or over channels a filter that knows the user's speed, an autoregressive or a learned one."
    )
    weights = {"type": "string", "default": WEIGHTS, "description": "Weights of predictor: learned."}
    instants = "Of several instants (timing.num_ahead): a report on each, or one on the first that holds for all."
    return {
        "predictor": {"enum": list(PREDICTORS), "default": "hold", "description": text},
        "predictor_weights": weights,
        "reported": {"enum": list(REPORTED), "default": REPORTED[0], "description": instants},
    }


def varied_option(cls: type) -> str | None:
    """The option that may also be a list of values, one for each point of a curve."""
    from ran.studies.csi.feedback import Feedback

    return cls.varied if issubclass(cls, Feedback) else None


def sub_blocks() -> dict[str, type]:
    """Blocks inside the options of channels, by the name of the option."""
    from channels.dual_mobility import DualMobility
    from channels.near_field import NearField, Visibility
    from channels.raytraced.trace_options import TraceOptions

    return {
        "dual_mobility": DualMobility,
        "near_field": NearField,
        "near_field.visibility": Visibility,
        "trace (the file of ran data rays)": TraceOptions,
    }


def explained_by(cls: type) -> type | None:
    """The class whose docstring explains the options that the own one leaves to it."""
    from channels import Umi
    from channels.scenarios.scenario_channel import ScenarioChannel
    from receivers.classical.detecting_receiver import DetectingReceiver

    if issubclass(cls, ScenarioChannel):
        return Umi
    return DetectingReceiver if issubclass(cls, DetectingReceiver) else None
