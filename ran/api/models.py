"""`ran.train` and `ran.export_model`: from a recipe to weights, and from weights to files for other stacks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ran.export.interface import Exported


def train(
    recipe: str | Path,
    out: str | Path,
    set: Mapping[str, Any] | None = None,
    *,
    device: str = "cpu",
    workers: int = 1,
) -> Path:
    """Train a recipe in the folder `out`, or go on there; returns the weights, for the receiver `neural`.

    recipe: name of a built-in one (`ran list recipes`) or a YAML file. set: changes by path, such as
    {"schedule.steps": 100}. workers: processes that simulate the experiments of the model card.
    `InputError`, one line, for input that does not fit.
    """
    from ran.training.train import run

    return run(str(recipe), Path(out), _overrides(set or {}), device, workers)


def export_model(
    weights: str | Path,
    target: str,
    out: str | Path,
    set: Mapping[str, Any] | None = None,
    *,
    experiment: str = "",
    dtype: str = "f32",
    **options: Any,
) -> Exported:
    """Export a trained model for another stack into a new folder, run the files, and compare.

    target: see `ran list export-targets`, or FILE.py:Class. experiment: whose slots, beams or drops the file is for, by
    default the target's. set: changes to it, by path. options: further fields of `ran.export.request.Request`, such as
    num_slots=64.
    The outcome's `problems` say why a file was rejected. `InputError`, one line, for input that does not fit.
    """
    from ran.export.catalogue import target_of
    from ran.export.request import Request

    changes = tuple(_overrides(set or {}))
    chosen = target_of(target)
    request = Request(str(weights), chosen, Path(out), dtype=dtype, experiment=experiment, changes=changes, **options)
    return chosen.export(request, lambda text: None)


def _overrides(changes: Mapping[str, Any]) -> list[str]:
    """KEY.PATH=VALUE, the value as JSON, which is YAML."""
    return [f"{key}={json.dumps(value)}" for key, value in changes.items()]
