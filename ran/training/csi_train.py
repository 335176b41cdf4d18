"""The steps of `ran train` for two-sided CSI models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ran.errors import InputError, bad_value, unknown_name
from ran.link.catalogue import construct
from ran.training.csi_card import measure
from ran.training.csi_checks import check_evaluations, check_fits
from ran.training.csi_drops import CsiData
from ran.training.csi_loop import CsiTrainer
from ran.training.csi_recipe import CsiRecipe
from ran.training.kind import VERSIONS, Kind, write_weight_files
from receivers.csi import CSI_ARCHITECTURES, Refinement, pair_of
from receivers.neural.weights import Weights, load_weights


def check(recipe: CsiRecipe) -> None:
    """Build the world and the model, and see whether one serves the other."""
    model: Any = build_model(recipe)
    data = CsiData(recipe)
    e = data.world.experiment
    check_fits(
        [
            ("model.num_units", model.num_units, len(e.band.units)),
            ("model.n1, model.n2", model.shape, (e.panel.n1, e.panel.n2)),
        ],
        "csi_drops",
    )
    if data.exchange is not None and data.exchange.bits_per_value != model.bits_per_value:
        raise bad_value(
            "model.bits_per_value", model.bits_per_value, f"{data.exchange.bits_per_value}, of the exchange"
        )
    for values in (*recipe.num_values, recipe.held_out_values):
        if values > model.num_latents:
            raise bad_value("num_values", values, f"0 to {model.num_latents}, the latents of the model")
        if values % model.vector_size:
            raise bad_value("num_values", values, f"multiples of {model.vector_size}, the latents of a codeword")
    if model.vector_size > 1 and (recipe.exchange is not None or recipe.frozen is not None):
        key = "exchange" if recipe.frozen is None else f"frozen_{recipe.frozen[0]}"
        raise bad_value(f"{key} with model.vector_size", model.vector_size, "1: codewords belong to both sides")
    check_evaluations(recipe.evaluate)


def build_model(recipe: CsiRecipe) -> nn.Module:
    """The model that a recipe begins with: by the recipe's seed, or the weights of `init`."""
    options = dict(recipe.model)
    name = str(options.get("name", ""))
    if name not in CSI_ARCHITECTURES:
        raise unknown_name("model.name", name, CSI_ARCHITECTURES)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model: nn.Module = construct(CSI_ARCHITECTURES[name], options, "model")
    if recipe.init is not None:
        given_weights = _given(recipe, "init", recipe.init)
        model.load_state_dict(model.state_dict() | given_weights.tensors)
        if isinstance(model, Refinement):
            model.start_levels(given_weights.card["architecture"].get("bits_per_value", 2))
    if recipe.frozen is not None:
        side, weights = recipe.frozen
        given = _given(recipe, f"frozen_{side}", weights).tensors
        model.load_state_dict(model.state_dict() | {k: v for k, v in given.items() if k.startswith(f"{side}.")})
        for parameter in model.get_submodule(side).parameters():
            parameter.requires_grad_(False)
    return model


def _given(recipe: CsiRecipe, key: str, weights: str) -> Weights:
    """Weights of the recipe's architecture and codebook; `InputError` names the key."""
    try:
        given = load_weights(weights, "csi")
    except ValueError as error:
        raise InputError(f"{key}: {error}") from None
    side = "encoder" if key == "init" else key.removeprefix("frozen_")
    if side not in given.card.get("trained_sides", (side,)):
        raise bad_value(key, weights, f"weights whose {side} was trained")
    architecture = dict(given.card["architecture"])
    if key == "init" and "vector_size" not in architecture:
        # codewords are fitted to what the encoder makes
        architecture |= {k: v for k, v in recipe.model.items() if k == "vector_size"}
    if key == "init" and architecture.get("name") == "refinement" and "vector_size" not in given.card["architecture"]:
        # networks of the same sizes, whose latents are quantised otherwise from now on
        architecture |= {k: v for k, v in recipe.model.items() if k == "bits_per_value"}
    if architecture != recipe.model:
        raise bad_value(key, weights, f"weights of {recipe.model}")
    if given.card["base"]["combination"] != recipe.combination:
        raise bad_value(f"{key}: combination", given.card["base"]["combination"], f"{recipe.combination}, the recipe's")
    return given


def write_weights(recipe: CsiRecipe, model: nn.Module, trainer: CsiTrainer, step: int, out: Path) -> None:
    """Write NAME.safetensors and its card NAME.json."""
    s = recipe.schedule
    written = recipe.model_dump(mode="json")
    e = trainer.data.world.experiment
    held_out = [row for row in trainer.validation_log.rows() if int(row["step"]) in (0, step)]
    card: dict[str, Any] = {
        "name": recipe.name,
        "task": "csi",
        "description": recipe.description,
        "licence": "Apache-2.0",
        "architecture": recipe.model,
        "base": {
            "codebook": None if recipe.combination is None else "enhanced-type-two",
            "combination": recipe.combination,
            "n1": e.panel.n1,
            "n2": e.panel.n2,
            "num_units": len(e.band.units),
            "per_subband": e.band.per_subband,
        },
        **_alone(recipe, trainer),
        "training": {
            **{key: written[key] for key in ("csi_drops", "num_values", "held_out_values", "mirror")},
            "scenario": trainer.data.world.scenario_id,
            "init": recipe.init,
            "frozen": None if recipe.frozen is None else list(recipe.frozen),
            **({} if recipe.exchange is None else {"exchange": Path(recipe.exchange).name}),
            "samples": trainer.data.num_train,
            "seconds_for_drops": round(trainer.seconds_for_drops),
            "seed": recipe.seed,
            "steps": step,
            "steps_taken": trainer.step,
            "steps_planned": s.steps,
            "samples_seen": step * s.batch_drops * s.draws_per_step,
            "held_out_sgcs": {str(int(row["step"])): round(float(row["sgcs"]), 5) for row in held_out},
            "seconds": round(trainer.seconds),
            **json.loads((out / VERSIONS).read_text()),
        },
        "limits": list(recipe.limits),
        "measured": [],
    }
    write_weight_files(out, model, card)


def _alone(recipe: CsiRecipe, trainer: CsiTrainer) -> dict[str, Any]:
    """Of a side that was trained alone: what the other side has to belong to."""
    if trainer.data.exchange is not None:
        return {"pair": trainer.data.exchange.pair, "trained_sides": list(recipe.trained_sides)}
    if recipe.frozen is not None:
        side, weights = recipe.frozen
        return {"pair": pair_of(_given(recipe, f"frozen_{side}", weights).card)}
    return {}


#: How `ran.training.train` trains two-sided CSI models.
CSI = Kind(check, build_model, CsiTrainer, write_weights, measure, "drops")
