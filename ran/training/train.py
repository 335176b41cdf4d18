"""`ran train`: from a recipe to weights with a model card."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import nn

from ran.config.provenance import versions
from ran.config.yaml_file import dump
from ran.errors import InputError, bad_value
from ran.link import Link
from ran.link.catalogue import build_channel, construct
from ran.link.user_source import source_files
from ran.phy.numerology import NUM_SYMBOLS_PER_SLOT
from ran.registry.kinds import ARCHITECTURE
from ran.registry.lookup import find_class
from ran.sim.device import checked_device
from ran.sim.experiment import load as load_experiment
from ran.sim.files import write_text
from ran.training.beam_recipe import BeamRecipe
from ran.training.catalogue import load_recipe, replayed_recipe
from ran.training.csi_recipe import CsiRecipe
from ran.training.delay_angle_recipe import DelayAngleRecipe
from ran.training.flops import convolution_flops
from ran.training.kind import VERSIONS, Kind, write_weight_files
from ran.training.loop import Trainer
from ran.training.prediction_recipe import PredictionRecipe
from ran.training.processes import Processes
from ran.training.recipe import Recipe, Schedule
from ran.training.slots import data_provenance, slot_source
from ran.training.tensorboard_log import TensorBoardLog
from ran.training.trained_range import trained_range
from ran.training.validation import Validation
from receivers.neural.weights import load_weights

#: Received grids and channels of a draw at most; what a network makes of them comes on top.
_MOST_BYTES = 16 * 2**30
#: Of a learning curve without validation.
_CURVE_POINTS = 10


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
        _sources_beside(Path(source), name)  # what cannot be put beside the weights is refused before training
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
        why = getattr(trainer, "refusal", None)
        raise InputError(
            f"{recipe.name}: no look at the held-out slots was better without losing on those that guard"
            f"{f' ({why})' if why else ''}; no weights are written; allowed: a larger replay.share, a lower "
            "schedule.learning_rate, more steps, more slots of the guards"
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


def _check(recipe: Recipe) -> None:
    """All that can be found out before anything is written or computed."""
    _check_evaluation(recipe)
    Validation(recipe.validation, recipe.seed, recipe.name, torch.device("cpu"))
    _check_slots(recipe, recipe)
    replayed = replayed_recipe(recipe)
    if replayed is not None:
        _check_slots(replayed, recipe)


def _measure(weights: Path, recipe: Recipe, workers: int | None) -> None:
    from ran.training.card import measure

    measure(weights, recipe, workers)


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
    return Kind(_check, build_model, Trainer, write_weights, _measure, "slots")


class _Smoothed:
    """Mean that forgets, for the progress line."""

    def __init__(self) -> None:
        self.value: float | None = None

    def __call__(self, x: float) -> float:
        self.value = x if self.value is None else 0.98 * self.value + 0.02 * x
        return self.value


def _check_slots(recipe: Recipe, trained: Recipe) -> None:
    """Draw some configurations and build their links, so that a bad recipe fails at once and not in the night.

    trained: the recipe whose weights are to serve on these slots.
    """
    if recipe.data is not None:
        observation, _ = slot_source(recipe, torch.device("cpu"))(0)
        _check_bits(trained, observation.bits_per_layer or (observation.bits_per_symbol,))
        return
    with _of_slots():
        for config in recipe.extreme_configs():
            for block in (config.channel,) if isinstance(config.channel, Mapping) else config.channel:
                build_channel(block)
    for step in range(32):
        with _of_slots():
            config, _ = recipe.slot_config(step)
            config.users.check_one_allocation("to train")
            link = Link(config)
            _check_memory(link, recipe.schedule.batch_slots)
        if config.link_budget is not None:
            raise InputError("slots.link_budget: got a block; allowed: none, slots are drawn at esn0_db")
        _check_bits(trained, link.grid.bits_per_layer)


@contextmanager
def _of_slots() -> Iterator[None]:
    """Errors of a configuration that was drawn as those of the recipe's `slots`."""
    try:
        yield
    except KeyError as error:
        raise InputError(f"slots.{error.args[0]}: missing; allowed: a number or a distribution") from None
    except ValueError as error:
        raise InputError(f"slots: {' '.join(str(error).split())}") from None


def _check_evaluation(recipe: Recipe) -> None:
    """The experiments of the model card, which otherwise would be read when all is trained."""
    for number, asked in enumerate(recipe.evaluate):
        try:
            name, *settings = asked.split() or [""]
            load_experiment(name, settings)
        except InputError as error:
            raise InputError(f"evaluate.{number}: {error}") from None


def _check_memory(link: Link, batch_slots: int) -> None:
    """`InputError` for a draw whose received grids and channels alone, complex64, are more than a machine has."""
    layers, config = link.grid.num_layers, link.config
    needed = 8 * batch_slots * config.num_rx_ant * (1 + layers) * NUM_SYMBOLS_PER_SLOT * 12 * config.carrier.num_prb
    if needed > _MOST_BYTES:
        most = int(batch_slots * _MOST_BYTES / needed)
        raise InputError(
            f"schedule.batch_slots: got {batch_slots}, whose grids and channels need {needed / 2**30:.0f} GiB; "
            f"allowed: up to {most} slots of this size, {_MOST_BYTES / 2**30:.0f} GiB"
        )


def _check_bits(recipe: Recipe, bits_per_layer: Sequence[int]) -> None:
    each = sorted(set(bits_per_layer))
    if len(each) > 1:
        given = ", ".join(map(str, each))
        raise InputError(
            f"bits per symbol of the layers: got {given} in one slot; allowed: one modulation for all layers of a slot "
            "to train on"
        )
    bits_per_symbol = each[0]
    if bits_per_symbol not in recipe.bits_per_symbol:
        raise InputError(
            f"bits_per_symbol: got {list(recipe.bits_per_symbol)}, but the slots hold {bits_per_symbol} "
            "bits per symbol; allowed: a list with every modulation of the slots"
        )


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


def write_weights(recipe: Recipe, model: nn.Module, trainer: Trainer, step: int, out: Path) -> None:
    """Write NAME.safetensors and its card NAME.json; step: that the weights are from."""
    s = recipe.schedule
    card: dict[str, Any] = {
        "name": recipe.name,
        "description": recipe.description,
        "licence": "Apache-2.0",
        "convolution_flops": convolution_flops(model, recipe.num_layers),
        **_architecture(recipe, model, out),
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


def _architecture(recipe: Recipe, model: nn.Module, out: Path) -> dict[str, Any]:
    """What a card says of the architecture. A user's class is put beside the weights, with the modules that it imports
    from its folder, so that they can be loaded wherever the folder is."""
    source = inspect.getsourcefile(type(model))
    if recipe.model["name"] in ARCHITECTURE.shipped or source is None:
        return {"architecture": recipe.model}
    files = {}
    for file in _sources_beside(Path(source), recipe.model["name"]):
        content, name = file.read_bytes(), file.relative_to(Path(source).parent).as_posix()
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
        files[name] = hashlib.sha256(content).hexdigest()
    named = f"{Path(source).name}:{type(model).__name__}"
    return {"architecture": {**recipe.model, "name": named}, "architecture_files": files}


def _sources_beside(source: Path, name: str) -> list[Path]:
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
