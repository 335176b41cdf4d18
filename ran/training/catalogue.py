"""Recipes by name, or from files."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from ran.config.overrides import apply_overrides
from ran.config.validation import validate
from ran.config.yaml_file import read_mapping
from ran.errors import InputError, unknown_name
from ran.sim.loading import absolute_files
from ran.training.beam_recipe import BeamRecipe
from ran.training.csi_recipe import CsiRecipe
from ran.training.delay_angle_recipe import DelayAngleRecipe
from ran.training.distribution import merge
from ran.training.prediction_recipe import PredictionRecipe
from ran.training.recipe import Recipe

_BUILT_IN = resources.files("ran.training.recipes")


def recipe_names() -> list[str]:
    """Names of the recipes that the package ships."""
    return sorted(p.name.removesuffix(".yaml") for p in _BUILT_IN.iterdir() if p.name.endswith(".yaml"))


def load_recipe(
    name_or_path: str, overrides: Iterable[str] = ()
) -> Recipe | BeamRecipe | CsiRecipe | DelayAngleRecipe | PredictionRecipe:
    """A recipe from a file or by its built-in name, with `a.b=c` overrides applied.

    With `worlds` it is one of beam predictors, with `csi_drops` one of two-sided CSI models: of
    a delay-angle model where its model is that, and else of one over a codebook. With
    `prediction_drops` it is one of channel predictors.

    A file may name a built-in recipe as its `base`, over which its own keys are laid.
    """
    if name_or_path in recipe_names():
        path = _built_in(name_or_path)
    else:
        path = Path(name_or_path)
        if not path.suffix and not path.exists():
            raise unknown_name("recipe", name_or_path, [*recipe_names(), "a .yaml file"])
    mapping = read_mapping(path)
    base = mapping.pop("base", None)
    if base is not None:
        if base not in recipe_names():
            raise unknown_name("base", str(base), recipe_names())
        mapping = merge(read_mapping(_built_in(base)), mapping)
    changed = apply_overrides(mapping, overrides)
    if isinstance(changed.get("model"), dict):
        # a user's class is beside the recipe
        folder = Path.cwd() if name_or_path in recipe_names() else path.resolve().parent
        changed["model"] = absolute_files(changed["model"], folder)
    if "csi_drops" in mapping:
        model = changed.get("model")
        is_coder = isinstance(model, dict) and model.get("name") == "delay-angle"
        if is_coder:
            return validate(DelayAngleRecipe, changed, str(path))
        return validate(CsiRecipe, changed, str(path))
    if "prediction_drops" in mapping:
        return validate(PredictionRecipe, changed, str(path))
    return validate(BeamRecipe, changed, str(path)) if "worlds" in mapping else validate(Recipe, changed, str(path))


def replayed_recipe(recipe: Recipe) -> Recipe | None:
    """The recipe whose slots `replay` mixes in, with the seed and the schedule of the one that does; None without."""
    if recipe.replay is None:
        return None
    try:
        other = load_recipe(recipe.replay.recipe)
    except InputError as error:
        raise InputError(f"replay.recipe: {error}") from None
    if not isinstance(other, Recipe) or not other.slots:
        raise InputError(f"replay.recipe: got {recipe.replay.recipe!r}, which trains on data; allowed: one with slots")
    return other.model_copy(update={"seed": recipe.seed, "schedule": recipe.schedule})


def _built_in(name: str) -> Path:
    return Path(str(_BUILT_IN / f"{name}.yaml"))
