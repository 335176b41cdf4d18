"""The steps of `ran train` for channel predictors: squared error of the next channel, over its power."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from ran.errors import unknown_name
from ran.link.catalogue import construct
from ran.link.streams import stream
from ran.sim.files import write_text
from ran.stats import paired_difference
from ran.studies.csi.experiment import CsiExperiment, FeedbackBlock, load
from ran.studies.csi.outcome import PointOutcome
from ran.studies.csi.run import run_experiment
from ran.studies.csi.world import BLOCK, CsiWorld
from ran.training.card_parts import card_head
from ran.training.csi_checks import check_evaluations, check_fits
from ran.training.kind import VERSIONS, Kind, write_weight_files
from ran.training.prediction_recipe import PredictionRecipe
from ran.training.processes import ALONE, Processes
from ran.training.tensorboard_log import TensorBoardLog
from ran.training.trainer import Training
from receivers.csi import CSI_ARCHITECTURES, ChannelPrediction

_NAME = "channel-prediction"
_HOLD = "hold"


def build_model(recipe: PredictionRecipe) -> nn.Module:
    """The model that a recipe begins with, by the recipe's seed."""
    options = dict(recipe.model)
    name = str(options.get("name", ""))
    if name != _NAME:
        raise unknown_name("model.name", name, (_NAME,))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model: nn.Module = construct(CSI_ARCHITECTURES[name], options, "model")
    return model


def _world(recipe: PredictionRecipe, speed_kmh: float) -> CsiWorld:
    block = recipe.prediction_drops
    return CsiWorld(load(block.experiment, (*block.changes, f"speed_kmh={speed_kmh:g}")))


def check(recipe: PredictionRecipe) -> None:
    """Build the world and the model, and see whether one serves the other."""
    model: Any = build_model(recipe)
    e = _world(recipe, recipe.prediction_drops.speeds_kmh[0]).experiment
    check_fits(
        [
            ("model.num_times", model.num_times, e.timing.num_observed),
            ("model.n1, model.n2", model.shape, (e.panel.n1, e.panel.n2)),
            ("prediction_drops: timing.ahead_ms", e.timing.ahead_ms, e.timing.period_ms),
        ],
        "prediction_drops",
    )
    check_evaluations(recipe.evaluate)


class PredictionTrainer(Training):
    """Training of a channel predictor; all drops are held in memory."""

    log_fields = ("step", "loss", "learning_rate", "drops", "seconds")
    validation_fields = ("step", "part", "speed_kmh", "nmse", "nmse_hold")
    score = "nmse"

    def __init__(
        self,
        recipe: PredictionRecipe,
        model: ChannelPrediction,
        out: Path,
        device: str = "cpu",
        processes: Processes = ALONE,
        tensorboard_log: TensorBoardLog | None = None,
    ) -> None:
        self.recipe, self.predictor = recipe, model
        console = Console(stderr=True, quiet=not processes.is_first)
        began = time.perf_counter()
        self.train: list[Tensor] = []
        self.held_out: list[Tensor] = []
        block = recipe.prediction_drops
        for speed in block.speeds_kmh:
            console.print(f"drops at {speed:g} km/h", highlight=False)
            h = self._channels(_world(recipe, speed), block.num_drops + block.num_held_out)
            self.train.append(h[: block.num_drops])
            self.held_out.append(h[block.num_drops :])
        self.seconds_for_drops = time.perf_counter() - began
        super().__init__(recipe.schedule, model, out, device, processes, tensorboard_log)

    def _channels(self, world: CsiWorld, count: int) -> Tensor:
        """Drops of the training split over beams and delays, of unit mean power, complex64 [count, num_times + 1,
        num_rx_ant * 2, n1, n2, num_prb]."""
        every = self.recipe.prediction_drops.every_prb
        parts = [world.channels("train", block)[..., ::every] for block in range(-(-count // BLOCK))]
        return self.predictor.to_places(torch.from_numpy(np.concatenate(parts)[:count]))

    def losses(self, draw: int) -> dict[str, Tensor]:
        """Squared error over power, mean over the samples of a draw."""
        recipe, size = self.recipe, self.recipe.schedule.batch_drops
        generator = stream(recipe.seed, f"train/{recipe.name}", draw, "draw")
        speeds = generator.integers(len(self.train), size=size)
        rows = generator.integers(len(self.train[0]), size=size)
        x = torch.stack([self.train[speed][row] for speed, row in zip(speeds, rows, strict=True)])
        noisy = generator.random(size) < 0.5
        esn0_db = generator.uniform(*recipe.esn0_db, size)
        noise = generator.standard_normal((2, *x[:, :-1].shape), dtype=np.float32)
        scale = torch.from_numpy(np.where(noisy, np.sqrt(0.5 * 10 ** (-esn0_db / 10)), 0.0).astype(np.float32))
        seen = x[:, :-1] + scale.reshape(-1, *(1,) * (x.ndim - 1)) * torch.complex(*torch.from_numpy(noise))
        part = self.processes.share(range(size))
        own = slice(part.start, part.stop)
        return {"loss": _nmse(self.predictor.predicted(seen[own].to(self.device)), x[own, -1].to(self.device)).mean()}

    def logged(self, means: Mapping[str, float]) -> dict[str, float]:
        s = self.recipe.schedule
        return {**means, "drops": self.step * s.batch_drops * s.draws_per_step}

    def validations(self) -> list[dict[str, float]]:
        """Of the held-out drops at every speed, without noise: squared error over power, and that of holding."""
        found = []
        for speed, x in zip(self.recipe.prediction_drops.speeds_kmh, self.held_out, strict=True):
            with torch.no_grad():
                x = x.to(self.device)
                nmse = float(
                    torch.cat([_nmse(self.predictor.predicted(p[:, :-1]), p[:, -1]) for p in x.split(8)]).mean()
                )
                hold = float(_nmse(x[:, -2], x[:, -1]).mean())
            found.append({"speed_kmh": speed, "nmse": nmse, "nmse_hold": hold})
        return found


def _nmse(found: Tensor, wanted: Tensor) -> Tensor:
    error = (found - wanted).abs().square().flatten(1).sum(1)
    return error / wanted.abs().square().flatten(1).sum(1)


def write_weights(recipe: PredictionRecipe, model: nn.Module, trainer: PredictionTrainer, step: int, out: Path) -> None:
    """Write NAME.safetensors and its card NAME.json."""
    s = recipe.schedule
    written = recipe.model_dump(mode="json")
    rows = [row for row in trainer.validation_log.rows() if int(row["step"]) == step]
    e = _world(recipe, recipe.prediction_drops.speeds_kmh[0]).experiment
    card: dict[str, Any] = {
        "name": recipe.name,
        "task": "csi",
        "description": recipe.description,
        "licence": "Apache-2.0",
        "architecture": recipe.model,
        "timing": {"period_ms": e.timing.period_ms, "num_observed": e.timing.num_observed},
        "training": {
            **{key: written[key] for key in ("prediction_drops", "esn0_db")},
            "seconds_for_drops": round(trainer.seconds_for_drops),
            "seed": recipe.seed,
            "steps": step,
            "steps_taken": trainer.step,
            "steps_planned": s.steps,
            "samples_seen": step * s.batch_drops * s.draws_per_step,
            "held_out": [
                {key: round(float(row[key]), 5) for key in ("speed_kmh", "nmse", "nmse_hold")} for row in rows
            ],
            "seconds": round(trainer.seconds),
            **json.loads((out / VERSIONS).read_text()),
        },
        "limits": list(recipe.limits),
        "measured": [],
    }
    write_weight_files(out, model, card)


def measure(weights: Path, recipe: PredictionRecipe, workers: int | None = None) -> None:
    """Run the recipe's experiments with these weights in front of their ways to report and beside their other
    predictors, and write the figures into the card, NAME.json and NAME.md."""
    card_path = weights.with_suffix(".json")
    card = json.loads(card_path.read_text())
    card["measured"] = [_measured(number, recipe, weights, workers) for number in range(len(recipe.evaluate))]
    write_text(card_path, json.dumps(card, indent=1) + "\n")
    write_text(weights.with_suffix(".md"), card_text(card))


def _with_weights(experiment: CsiExperiment, weights: Path) -> CsiExperiment:
    """The experiment with these weights in the place of those that it predicts with."""
    changed = {"predictor_weights": str(weights.resolve())}
    feedback = [
        FeedbackBlock.model_validate({**block.model_dump(), **changed})
        if block.block().get("predictor") == "learned"
        else block
        for block in experiment.feedback
    ]
    return experiment.model_copy(update={"feedback": tuple(feedback)})


def _measured(number: int, recipe: PredictionRecipe, weights: Path, workers: int | None) -> dict[str, Any]:
    part = recipe.evaluate[number]
    experiment = _with_weights(load(part.experiment, part.changes), weights)
    out = weights.parent / "evaluate" / f"{number}-{Path(part.experiment).stem}"
    results = run_experiment(experiment, out, workers)
    held = next((outcome for outcome in results.outcomes if outcome.curve == _HOLD), None)
    rows = [_row(outcome, held) for outcome in results.outcomes]
    return {
        "experiment": experiment.name,
        "changes": list(part.changes),
        "scenario": results.scenario_id,
        "num_drops": experiment.num_drops,
        "rows": rows,
    }


def _row(outcome: PointOutcome, held: PointOutcome | None) -> dict[str, Any]:
    """Figures of a point, as plain values; the gain in SGCS over holding is paired."""
    gain = (
        None
        if held is None or held is outcome
        else paired_difference(outcome.figures["sgcs"], held.figures["sgcs"]).plain(4)
    )
    sgcs = outcome.value("sgcs").plain(4)
    return {"point": outcome.title, "bits": round(outcome.mean_bits, 1), "sgcs": sgcs, "gain": gain}


def card_text(card: dict[str, Any]) -> str:
    """The card as Markdown."""
    training, timing = card["training"], card["timing"]
    drops = training["prediction_drops"]
    lines = [
        *card_head(card),
        f"| predicts | {timing['period_ms']:g} ms ahead, from {timing['num_observed']} estimates as far apart |",
        f"| trained on | {drops['num_drops']:,} drops of `{drops['experiment']}` at each of "
        f"{', '.join(f'{speed:g}' for speed in drops['speeds_kmh'])} km/h: {training['samples_seen']:,} samples in "
        f"{training['steps']:,} steps, seed {training['seed']} |",
        f"| NMSE of {drops['num_held_out']} held-out drops (of holding) | "
        + ", ".join(
            f"{row['nmse']:.4f} ({row['nmse_hold']:.4f}) at {row['speed_kmh']:g} km/h" for row in training["held_out"]
        )
        + " |",
        f"| training time | {training['seconds']:,} s and {training['seconds_for_drops']:,} s for the drops, "
        f"{training['threads']} thread(s), torch {training['torch']} |",
        "",
        f"Made by `ran train {card['name']}`.",
        "",
        "## Limits",
        "",
        *[f"- {limit}" for limit in card["limits"]],
    ]
    for measured in card["measured"]:
        changes = "".join(f" --set {change}" for change in measured["changes"])
        lines += ["", f"## Measured: `ran csi {measured['experiment']}{changes}`", ""]
        lines += [f"{measured['num_drops']} drops; 95 % intervals over drops in brackets.", ""]
        lines += ["| feedback | bits | SGCS | SGCS over holding |", "|---|---|---|---|"]
        lines += [
            f"| {row['point']} | {row['bits']:g} | {_cell(row['sgcs'])} | "
            f"{'' if row['gain'] is None else _cell(row['gain'], '+')} |"
            for row in measured["rows"]
        ]
    return "\n".join([*lines, ""])


def _cell(value: list[float], sign: str = "") -> str:
    middle, low, high = (f"{v:{sign}.4f}" for v in value)
    return f"{middle} ({low} to {high})"


#: How `ran.training.train` trains channel predictors.
PREDICTION = Kind(check, build_model, PredictionTrainer, write_weights, measure, "drops")
