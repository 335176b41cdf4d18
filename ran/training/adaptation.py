"""`ran train --from-recording`: the recipe that fine-tunes weights on what a base station has decoded."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ran.config.overrides import apply_overrides
from ran.config.validation import validate
from ran.datasets.container import SUFFIXES
from ran.errors import InputError, bad_value
from ran.training.catalogue import load_recipe, recipe_names
from ran.training.recipe import Recipe
from receivers.neural.weights import load_weights

#: Held-out slots of each link of the general recipe, on which new weights have to show that they lose no more than
#: `guard_tolerance`. Fewer do not tell a loss of 1 % from none.
_GUARD_SLOTS = 96
_SCHEDULE = {
    "steps": 120,
    "batch_slots": 8,
    "learning_rate": 3e-4,
    "warmup_steps": 10,
    "ema_decay": 0.97,
    "loss": "log",
    # a base station does not know the channel
    "channel_mse": 0.0,
    "validate_every": 20,
    "checkpoint_every": 20,
}


def adaptation_recipe(data: Path, init: str, overrides: Iterable[str] = ()) -> Recipe:
    """Fine-tune weights on the decoded slots of a data set, three of four draws general slots of their own recipe.

    Held out are the decoded slots of the set's validation part, to be better on, and the general recipe's validation
    links, on which a loss of more than `guard_tolerance` of bit cross-entropy has to be excluded, and no significant
    number of blocks may be lost; see `ran.training.gate`. `InputError` for what is no data set, and for weights whose
    recipe is not shipped unless `replay.recipe` is given.
    """
    if data.suffix not in SUFFIXES:
        raise bad_value("--from-recording", str(data), f"a data set, {', '.join(SUFFIXES)}, of `ran decode --data`")
    if not data.is_file() and not data.is_dir():
        raise InputError(f"--from-recording: got {str(data)!r}, which is not there; allowed: a data set")
    try:
        card = load_weights(init).card
    except ValueError as error:
        raise InputError(f"--init: {error}") from None
    values: dict[str, Any] = {
        "name": "adapted",
        "description": f"{card['name']}, fine-tuned on decoded slots of {data.name}.",
        "init": init,
        "model": card["architecture"],
        "bits_per_symbol": card["bits_per_symbol"],
        "num_layers": card["num_layers"],
        "data": str(data.resolve()),
        "labels": "decoded",
        # about 0.04 dB: bit cross-entropy falls by a quarter per dB around the waterfall
        "guard_tolerance": 0.01,
        "guard_level": 0.05,
        "schedule": dict(_SCHEDULE),
    }
    if card["name"] in recipe_names():
        values["replay"] = {"recipe": card["name"], "share": 0.75}
    changed = apply_overrides(values, overrides)
    general = str((changed.get("replay") or {}).get("recipe", ""))
    if not general:
        raise InputError(
            f"--init: got {init!r}, whose recipe {card['name']!r} is not shipped; allowed: with --set "
            f"replay.recipe=NAME, one of {', '.join(recipe_names())} or a file"
        )
    if "validation" not in changed:
        changed["validation"] = [{"data": changed["data"]}, *_guards(general)]
    return validate(Recipe, changed, "--from-recording")


def _guards(general: str) -> list[dict[str, Any]]:
    """The validation links of a recipe, as slots that guard what the weights could do before."""
    try:
        recipe = load_recipe(general)
    except InputError as error:
        raise InputError(f"replay.recipe: {error}") from None
    if not isinstance(recipe, Recipe):
        raise InputError(f"replay.recipe: got {general!r}; allowed: a recipe of receivers")
    parts = [part.model_dump(mode="json") for part in recipe.validation if part.data is None]
    return [{**part, "num_slots": _GUARD_SLOTS, "guard": True} for part in parts]
