"""The weights of receivers as files, with what their card says of the training."""

from __future__ import annotations

import hashlib
import inspect
import json
from pathlib import Path
from typing import Any

from torch import nn

from ran.errors import bad_value
from ran.link.user_source import source_files
from ran.registry.kinds import ARCHITECTURE
from ran.training.flops import convolution_flops
from ran.training.kind import VERSIONS, write_weight_files
from ran.training.loop import Trainer
from ran.training.recipe import Recipe, Schedule
from ran.training.slots import data_provenance
from ran.training.trained_range import trained_range
from receivers.neural.weights import load_weights

#: Of a learning curve without validation.
_CURVE_POINTS = 10


def write_weights(recipe: Recipe, model: nn.Module, trainer: Trainer, step: int, out: Path) -> None:
    """Write NAME.safetensors and its card NAME.json; step: that the weights are from."""
    s = recipe.schedule
    card: dict[str, Any] = {
        "name": recipe.name,
        "description": recipe.description,
        "licence": "Apache-2.0",
        "convolution_flops": convolution_flops(model, recipe.num_layers),
        **architecture_of(recipe, model, out),
        "bits_per_symbol": list(recipe.bits_per_symbol),
        "num_layers": list(recipe.num_layers),
        **trained_range(recipe),
        "training": {
            "slots": recipe.slots,
            "cases": list(recipe.cases),
            **data_provenance(recipe),
            "seed": recipe.seed,
            "steps": step,
            "slots_seen": step * s.slots_per_step,
            "steps_planned": s.steps,
            "steps_taken": trainer.step,
            **_beside(recipe),
            **_held_out(recipe, trainer, step),
            "learning_curve": _learning_curve(recipe, trainer),
            "seconds": round(trainer.seconds),
            **json.loads((out / VERSIONS).read_text()),
        },
        **({"limits": recipe.limits} if recipe.limits else {}),
        "measured": [],
    }
    write_weight_files(out, model, card)


def architecture_of(recipe: Recipe, model: nn.Module, out: Path) -> dict[str, Any]:
    """What a card says of the architecture. A user's class is put beside the weights, with the modules that it imports
    from its folder, so that they can be loaded wherever the folder is."""
    source = inspect.getsourcefile(type(model))
    if recipe.model["name"] in ARCHITECTURE.shipped or source is None:
        return {"architecture": recipe.model}
    files = {}
    for file in sources_beside(Path(source), recipe.model["name"]):
        content, name = file.read_bytes(), file.relative_to(Path(source).parent).as_posix()
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
        files[name] = hashlib.sha256(content).hexdigest()
    named = f"{Path(source).name}:{type(model).__name__}"
    return {"architecture": {**recipe.model, "name": named}, "architecture_files": files}


def sources_beside(source: Path, name: str) -> list[Path]:
    """The source of a user's architecture and the modules that it imports, all in its folder or below."""
    files = source_files(source)
    outside = next((file for file in files if not file.is_relative_to(source.parent)), None)
    if outside is not None:
        raise bad_value("model.name", name, f"a module that imports none from above its folder, such as {outside.name}")
    return files


def _held_out(recipe: Recipe, trainer: Trainer, step: int) -> dict[str, Any]:
    """Bit cross-entropy on the held-out slots, of the first look and of that at `step`."""
    if not recipe.schedule.validate_every:
        return {}
    rows = trainer.validation_log.rows()
    validations = {(int(row["step"]), int(row["part"])): float(row["bit_cross_entropy"]) for row in rows}
    return {
        "held_out": [
            {
                "part": number,
                "guard": part.guard,
                "before": round(validations[0, number], 5),
                "after": round(validations[step, number], 5),
            }
            for number, part in enumerate(recipe.validation)
        ]
    }


def _learning_curve(recipe: Recipe, trainer: Trainer) -> list[dict[str, Any]]:
    """Bit cross-entropy over slots seen: the mean of the held-out parts to be better on at every validation; without
    validation that of the training slots, averaged over tenths of the training."""
    per_step = recipe.schedule.slots_per_step
    if recipe.schedule.validate_every:
        by_step: dict[int, list[float]] = {}
        for row in trainer.validation_log.rows():
            if not recipe.validation[int(row["part"])].guard:
                by_step.setdefault(int(row["step"]), []).append(float(row["bit_cross_entropy"]))
        return [
            {"slots": step * per_step, "held_out": round(sum(values) / len(values), 5)}
            for step, values in sorted(by_step.items())
        ]
    rows = trainer.log.rows()
    size = -(-len(rows) // _CURVE_POINTS) or 1
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    return [
        {
            "slots": int(float(part[-1]["slots"])),
            "training": round(sum(float(row["bit_cross_entropy"]) for row in part) / len(part), 5),
        }
        for part in parts
    ]


def _beside(recipe: Recipe) -> dict[str, Any]:
    """What the card says of slots and schedule beyond the distributions, where it is not the default."""
    written = recipe.model_dump(mode="json")
    found = {"offsets": written["offsets"]} if "offsets" in written else {}
    found |= {key: written[key] for key in ("replay", "guard_tolerance", "guard_level") if key in written}
    if recipe.init is not None:
        given = load_weights(recipe.init)
        found["init"] = {"name": given.name, "sha256": given.sha256}
    younger = {key: written["schedule"][key] for key in Schedule.younger_fields if key in written["schedule"]}
    return found | ({"schedule": younger} if younger else {})
