"""`ran train`: from a recipe to weights with a model card."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from rich.console import Console
from torch import nn

from ran.config.provenance import versions
from ran.config.yaml_file import dump
from ran.errors import InputError
from ran.sim.device import checked_device
from ran.sim.files import write_text
from ran.training.beam_recipe import BeamRecipe
from ran.training.catalogue import load_recipe
from ran.training.csi_recipe import CsiRecipe
from ran.training.delay_angle_recipe import DelayAngleRecipe
from ran.training.kind import VERSIONS, Kind
from ran.training.prediction_recipe import PredictionRecipe
from ran.training.processes import Processes
from ran.training.recipe import Recipe
from ran.training.slot_train import SLOTS
from ran.training.tensorboard_log import TensorBoardLog


def run(
    recipe_name: str,
    out: Path,
    overrides: Iterable[str] = (),
    device: str = "cpu",
    workers: int | None = None,
    finish: bool = False,
    tensorboard: bool = False,
) -> Path:
    """Train, or go on training, in the folder `out`; returns the path of the weights.

    The folder holds recipe.yaml, versions.json, train.csv and checkpoint.pt, and at the end the weights
    NAME.safetensors with their card, NAME.json and NAME.md.

    The same recipe in the same folder resumes; another recipe's folder is refused.
    On one machine with one thread count the weights depend on the recipe alone, interruptions included.

    finish: do not train on; write the weights of the last checkpoint. tensorboard: write its logs besides.
    Under torchrun every process takes its share of each step's slots, and the first one writes.
    """
    return run_recipe(load_recipe(recipe_name, overrides), out, device, workers, finish, tensorboard)


def run_recipe(
    recipe: Recipe | BeamRecipe | CsiRecipe | DelayAngleRecipe | PredictionRecipe,
    out: Path,
    device: str = "cpu",
    workers: int | None = None,
    finish: bool = False,
    tensorboard: bool = False,
) -> Path:
    """`run` of a recipe that is there."""
    checked_device(device)
    kind = _kind_of(recipe)
    kind.check(recipe)
    model = kind.build_model(recipe)
    processes = Processes.started(device)
    with processes.together():
        if processes.is_first:
            _claim(out, recipe)
        processes.wait()
        return _train(recipe, kind, model, processes, out, device, workers, finish, tensorboard)


def _train(
    recipe: Recipe | BeamRecipe | CsiRecipe | DelayAngleRecipe | PredictionRecipe,
    kind: Kind,
    model: nn.Module,
    processes: Processes,
    out: Path,
    device: str,
    workers: int | None,
    finish: bool,
    tensorboard: bool,
) -> Path:
    """What every process does in a folder that is this recipe's."""
    console = Console(stderr=True, quiet=not processes.is_first)
    tensorboard_log = TensorBoardLog(out) if tensorboard and processes.is_first else None
    trainer = kind.trainer(recipe, model, out, device, processes, tensorboard_log)
    if finish and not trainer.checkpoint.is_file():
        raise InputError(f"--finish: {out} holds no checkpoint yet; allowed: a folder with {trainer.checkpoint.name}")
    if trainer.checkpoint.is_file():
        trainer.resume()
        console.print(f"resuming at step {trainer.step} of {recipe.schedule.steps}")
    smoothed = _Smoothed()

    def progress(row: dict[str, float]) -> None:
        loss = smoothed(row["loss"])
        steps = recipe.schedule.steps
        line = (
            f"step {int(row['step'])}/{steps}  loss {loss:.4f}  {row[kind.counted]:.0f} {kind.counted}  "
            f"{row['seconds']:.0f} s, about {row['seconds'] / row['step'] * (steps - row['step']):.0f} s to go"
        )
        if console.is_terminal:
            console.print(line, end="\r", highlight=False)
        elif row["step"] % 200 == 0 or row["step"] == steps:
            console.print(line, highlight=False)

    if not finish:
        trainer.run(progress)
    if console.is_terminal:
        console.print()
    tensors, step = trainer.result()
    if trainer.guards and step == 0 and trainer.step:
        why = f" ({trainer.refusal})" if trainer.refusal else ""
        raise InputError(
            f"{recipe.name}: no look at the held-out slots was better without losing on those that guard{why}; no "
            "weights are written; allowed: a larger replay.share, a lower schedule.learning_rate, more steps, more "
            "slots of the guards"
        )
    model.load_state_dict(tensors)
    weights = out / f"{recipe.name}.safetensors"
    if not processes.is_first:
        return weights
    kind.write_weights(recipe, model, trainer, step, out)
    if recipe.evaluate:
        kind.measure(weights, recipe, workers)
    console.print(f"weights: {weights}")
    return weights


def _kind_of(recipe: Recipe | BeamRecipe | CsiRecipe | DelayAngleRecipe | PredictionRecipe) -> Kind:
    if isinstance(recipe, BeamRecipe):
        from ran.training.beam_train import BEAMS  # not for those who train receivers

        return BEAMS
    if isinstance(recipe, CsiRecipe):
        from ran.training.csi_train import CSI

        return CSI
    if isinstance(recipe, DelayAngleRecipe):
        from ran.training.delay_angle_train import DELAY_ANGLE

        return DELAY_ANGLE
    if isinstance(recipe, PredictionRecipe):
        from ran.training.prediction_train import PREDICTION

        return PREDICTION
    return SLOTS


class _Smoothed:
    """Mean that forgets, for the progress line."""

    def __init__(self) -> None:
        self.value: float | None = None

    def __call__(self, x: float) -> float:
        self.value = x if self.value is None else 0.98 * self.value + 0.02 * x
        return self.value


def _claim(out: Path, recipe: Recipe | BeamRecipe | CsiRecipe | DelayAngleRecipe | PredictionRecipe) -> None:
    """Make the folder this recipe's, or refuse it."""
    text = dump(recipe.model_dump(mode="json"))
    path = out / "recipe.yaml"
    try:
        out.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            if path.read_text() != text:
                raise InputError(f"--out: {out} holds another training; allowed: a new folder, or the same recipe")
            return
        if any(out.iterdir()):
            raise InputError(f"--out: {out} holds other files and no recipe.yaml; allowed: a new or empty folder")
        write_text(out / VERSIONS, json.dumps({**versions(), "threads": torch.get_num_threads()}, indent=1) + "\n")
        path.write_text(text)
    except OSError as error:
        raise InputError(f"--out: {out}: {error.strerror}; allowed: a folder that can be written") from None
