"""What is particular to a kind of model in a training: receivers, beam predictors."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import nn

from ran.sim.files import write_text

#: What the training began with; goes into the card also when it is resumed later.
VERSIONS = "versions.json"


@dataclass(frozen=True)
class Kind:
    """The steps of a training.

    check: refuses a bad recipe at once. build_model: by a recipe. trainer: takes a recipe, a model, a folder, a device,
    processes and a log. write_weights: takes a recipe, the model with the weights to keep, the trainer, the step that
    they are from and the folder. measure: takes the weights' path, a recipe and a number of workers. counted: what the
    log counts beside steps.
    """

    check: Callable[[Any], None]
    build_model: Callable[[Any], nn.Module]
    trainer: Callable[..., Any]
    write_weights: Callable[[Any, nn.Module, Any, int, Path], None]
    measure: Callable[[Path, Any, int | None], None]
    counted: str


def write_weight_files(out: Path, model: nn.Module, card: dict[str, Any]) -> None:
    """Write NAME.safetensors and its card NAME.json. card: without the hash, which comes in after the licence."""
    data = save({k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()})
    complete: dict[str, Any] = {}
    for key, value in card.items():
        complete[key] = value
        if key == "licence":
            complete["sha256"] = hashlib.sha256(data).hexdigest()
            complete["parameters"] = sum(p.numel() for p in model.parameters())
    path = out / f"{card['name']}.safetensors"
    temporary = path.with_name(path.name + ".new")
    temporary.write_bytes(data)
    os.replace(temporary, path)
    write_text(path.with_suffix(".json"), json.dumps(complete, indent=1) + "\n")
