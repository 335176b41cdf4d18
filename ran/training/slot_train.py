"""Training of receivers: their recipes as a kind of `ran train`."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ran.errors import InputError
from ran.link.catalogue import construct
from ran.registry.kinds import ARCHITECTURE
from ran.registry.lookup import find_class
from ran.training.kind import Kind
from ran.training.loop import Trainer
from ran.training.recipe import Recipe
from ran.training.slot_checks import check
from ran.training.slot_weights import sources_beside, write_weights
from receivers.neural.weights import load_weights


def build_model(recipe: Recipe) -> nn.Module:
    """The model that a recipe begins with; its weights depend on the recipe's seed alone, or are those of `init`."""
    options = dict(recipe.model)
    name = str(options.get("name", ""))
    cls = find_class(ARCHITECTURE, name, path="model")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model: nn.Module = construct(cls, options, "model")
    source = inspect.getsourcefile(cls)
    if name not in ARCHITECTURE.shipped and source is not None:
        sources_beside(Path(source), name)  # what cannot be put beside the weights is refused before training
    if recipe.init is not None:
        try:
            given = load_weights(recipe.init)
        except ValueError as error:
            raise InputError(f"init: {error}") from None
        if not _begins_with(recipe.model, given.card["architecture"]):
            theirs = given.card["architecture"]
            raise InputError(f"init: {recipe.init!r} belongs to {theirs}; allowed: {recipe.model}, or fewer passes")
        model.load_state_dict(model.state_dict() | given.tensors)
    return model


def _begins_with(architecture: dict[str, Any], given: dict[str, Any]) -> bool:
    """Whether weights of `given` are all weights of an architecture, or those of its first passes."""
    if architecture == given:
        return True
    own_passes, num_passes = architecture.get("num_passes"), given.get("num_passes")
    if own_passes is None or num_passes is None or num_passes > own_passes:
        return False
    first = dict(architecture, num_passes=num_passes)
    if "reestimate" in first:
        first["reestimate"] = [number for number in first["reestimate"] if number < num_passes]
        given = {"reestimate": [], **given}
    return first == given


def _measure(weights: Path, recipe: Recipe, workers: int | None) -> None:
    from ran.training.card import measure

    measure(weights, recipe, workers)


#: How `ran.training.train` trains receivers.
SLOTS = Kind(check, build_model, Trainer, write_weights, _measure, "slots")
