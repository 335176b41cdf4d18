"""The steps of `ran train` for beam predictors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ran.errors import InputError, unknown_name
from ran.link.catalogue import construct
from ran.studies.beams.experiment import load
from ran.training.beam_card import measure
from ran.training.beam_drops import BeamData
from ran.training.beam_loop import BeamTrainer
from ran.training.beam_recipe import BeamRecipe
from ran.training.kind import VERSIONS, Kind, write_weight_files
from receivers.beams import BEAM_ARCHITECTURES


def check(recipe: BeamRecipe) -> None:
    """Build the worlds and the model, and see whether one serves the other."""
    model: Any = build_model(recipe)
    for i, kept in enumerate(BeamData(recipe).kept):
        try:
            model.check(kept.known)
        except ValueError as error:
            raise InputError(f"worlds.{i}: {error}") from None
    for i, part in enumerate(recipe.evaluate):
        try:
            load(part.experiment, part.changes)
        except InputError as error:
            raise InputError(f"evaluate.{i}: {error}") from None


def build_model(recipe: BeamRecipe) -> nn.Module:
    """The model that a recipe begins with; its weights depend on the recipe's seed alone."""
    options = dict(recipe.model)
    name = str(options.get("name", ""))
    if name not in BEAM_ARCHITECTURES:
        raise unknown_name("model.name", name, BEAM_ARCHITECTURES)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model: nn.Module = construct(BEAM_ARCHITECTURES[name], options, "model")
        return model


def write_weights(recipe: BeamRecipe, model: nn.Module, trainer: BeamTrainer, step: int, out: Path) -> None:
    """Fit the temperature on the held-out drops, then write NAME.safetensors and its card NAME.json."""
    trainer.model.load_state_dict(model.state_dict())
    temperature = trainer.fit_temperature()
    model.load_state_dict(trainer.model.state_dict())
    s = recipe.schedule
    written = recipe.model_dump(mode="json")
    card: dict[str, Any] = {
        "name": recipe.name,
        "task": "beams",
        "description": recipe.description,
        "licence": "Apache-2.0",
        "architecture": recipe.model,
        "temperature": round(temperature, 4),
        "training": {
            **{key: written[key] for key in ("worlds", "set_b", "every", "mirror")},
            "drops": sum(kept.settings.num_drops for kept in trainer.data.kept),
            "held_out_drops": sum(kept.settings.num_held_out for kept in trainer.data.kept),
            "drops_computed_once": True,
            "seconds_for_drops": round(trainer.seconds_for_drops),
            "seed": recipe.seed,
            "steps": step,
            "steps_taken": trainer.step,
            "steps_planned": s.steps,
            "drops_seen": step * s.batch_drops * s.draws_per_step,
            "seconds": round(trainer.seconds),
            **json.loads((out / VERSIONS).read_text()),
        },
        "limits": list(recipe.limits),
        "measured": [],
    }
    write_weight_files(out, model, card)


#: How `ran.training.train` trains beam predictors.
BEAMS = Kind(check, build_model, BeamTrainer, write_weights, measure, "drops")
