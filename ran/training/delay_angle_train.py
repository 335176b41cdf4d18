"""The steps of `ran train` for delay-angle models: bits of the code, and what is lost of the SGCS."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from ran.errors import InputError, bad_value, unknown_name
from ran.link.catalogue import construct
from ran.link.streams import stream
from ran.studies.csi.experiment import load
from ran.studies.csi.world import CsiWorld
from ran.training.csi_card import measure
from ran.training.csi_checks import check_evaluations, check_fits
from ran.training.delay_angle_recipe import DelayAngleRecipe
from ran.training.kind import VERSIONS, Kind, write_weight_files
from ran.training.processes import ALONE, Processes
from ran.training.tensorboard_log import TensorBoardLog
from ran.training.trainer import Training
from receivers.csi import CSI_ARCHITECTURES, DelayAngleModel, sgcs
from receivers.csi.delay_angle import enter, over_units
from receivers.neural.weights import load_weights

_NAME = "delay-angle"
#: Of the loss: what a bit and what the SGCS weigh. The two networks share no parameter, so this is no trade-off.
_PER_BIT, _PER_SGCS = 0.01, 3.0
#: Samples that go through a model together outside of training.
_AT_ONCE = 256


def build_model(recipe: DelayAngleRecipe) -> nn.Module:
    """The model that a recipe begins with: by the recipe's seed, or the weights of `init`."""
    options = dict(recipe.model)
    name = str(options.get("name", ""))
    if name != _NAME:
        raise unknown_name("model.name", name, (_NAME,))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model: Any = construct(CSI_ARCHITECTURES[name], options, "model")
    if recipe.init is not None:
        try:
            given = load_weights(recipe.init, "csi")
        except ValueError as error:
            raise InputError(f"init: {error}") from None
        architecture = given.card["architecture"]
        if architecture.get("name") != _NAME:
            raise bad_value("init", recipe.init, f"weights of {recipe.model}")
        smaller: Any = construct(CSI_ARCHITECTURES[_NAME], dict(architecture), "init")
        smaller.load_state_dict(given.tensors)
        try:
            model.begin_as(smaller)
        except ValueError as error:
            raise InputError(f"init: {recipe.init}: {error}") from None
    return model


def check(recipe: DelayAngleRecipe) -> None:
    """Build the world and the model, and see whether one serves the other."""
    model: Any = build_model(recipe)
    e = CsiWorld(load(recipe.csi_drops.experiment, recipe.csi_drops.changes)).experiment
    check_fits(
        [
            ("model.num_units", model.num_units, len(e.band.units)),
            ("model.n1, model.n2", model.shape, (e.panel.n1, e.panel.n2)),
        ],
        "csi_drops",
    )
    check_evaluations(recipe.evaluate)


class DelayAngleTrainer(Training):
    """Training of a delay-angle model on cached drops."""

    log_fields = ("step", "loss", "bits", "sgcs", "learning_rate", "drops", "seconds")
    validation_fields = ("step", "part", "quantiser_step", "bits", "sgcs", "loss")
    score = "loss"

    def __init__(
        self,
        recipe: DelayAngleRecipe,
        model: DelayAngleModel,
        out: Path,
        device: str = "cpu",
        processes: Processes = ALONE,
        tensorboard_log: TensorBoardLog | None = None,
    ) -> None:
        self.recipe, self.coder = recipe, model
        self.world = CsiWorld(load(recipe.csi_drops.experiment, recipe.csi_drops.changes))
        console = Console(stderr=True, quiet=not processes.is_first)
        if not processes.is_first:
            processes.wait()  # until the first has put the drops into the cache
        self.seconds_for_drops = self._prepare(lambda text: console.print(text, highlight=False))
        if processes.is_first:
            processes.wait()
        super().__init__(recipe.schedule, model, out, device, processes, tensorboard_log)

    def _prepare(self, say: Callable[[str], None]) -> float:
        """Coefficients of all samples in their frames; the held-out ones are neither mirrored nor trained on."""
        began, block = time.perf_counter(), self.recipe.csi_drops
        drops = self.world.kept("train", block.num_drops + block.num_held_out, say)
        v = torch.from_numpy(drops.v[:, -1].reshape(-1, *drops.v.shape[3:]))
        num_train = block.num_drops * self.world.experiment.num_layers
        train, self.held_out = v[:num_train], self._framed(v[num_train:])
        self.x = self._framed(torch.cat([train, self._mirrored(train)]) if self.recipe.mirror else train)
        return time.perf_counter() - began

    def _framed(self, v: Tensor) -> Tensor:
        panel = self.world.experiment.panel
        return torch.cat([enter(part, (panel.n1, panel.n2)).x for part in v.split(_AT_ONCE)])

    def _mirrored(self, v: Tensor) -> Tensor:
        """Columns of ports from right to left; the slants of the polarisations change places with them."""
        panel = self.world.experiment.panel
        return v.unflatten(-1, (2, panel.n1, panel.n2)).flip(-3, -2).flatten(-3)

    @property
    def num_train(self) -> int:
        """Samples that are trained on."""
        return len(self.x)

    def losses(self, draw: int) -> dict[str, Tensor]:
        """Bits and 1 - SGCS on the samples of a draw."""
        recipe, size = self.recipe, self.recipe.schedule.batch_drops
        generator = stream(recipe.seed, f"train/{recipe.name}", draw, "draw")
        rows = torch.from_numpy(generator.integers(self.num_train, size=size))
        low, high = (math.log(step) for step in recipe.quantiser_steps)
        steps = torch.from_numpy(generator.uniform(low, high, size)).exp().float()
        price = None
        if recipe.prices is not None and draw >= recipe.choice_from * recipe.schedule.draws_per_step:
            price = torch.from_numpy(generator.uniform(*recipe.prices, size)).float()
        part = self.processes.share(range(size))
        own = slice(part.start, part.stop)
        of_draw = None if price is None else price[own].to(self.device)
        return self._lost(self.x[rows[own]].to(self.device), steps[own].to(self.device), of_draw)

    def _lost(self, x: Tensor, step: Tensor, price: Tensor | None = None) -> dict[str, Tensor]:
        k, turned = self.coder.quantised(x, step)
        if price is not None:
            k, _ = self.coder.chosen(turned, step, price)
        bits = self.coder.contexts.bits(k, step).mean()
        restored = self.coder.restoration(k, step)
        similarity = sgcs(over_units(x).flatten(2), over_units(restored).flatten(2)).mean()
        loss = _PER_BIT * bits + _PER_SGCS * (1 - similarity)
        return {"loss": loss, "bits": bits.detach(), "sgcs": similarity.detach()}

    def logged(self, means: Mapping[str, float]) -> dict[str, float]:
        s = self.recipe.schedule
        return {**means, "drops": self.step * s.batch_drops * s.draws_per_step}

    def validations(self) -> list[dict[str, float]]:
        """Of the held-out samples, with the smallest, the middle and the largest step: bits of the code without the
        report's head, and SGCS; with prices, indices are chosen at their mean."""
        low, high = self.recipe.quantiser_steps
        prices = self.recipe.prices
        price = None if prices is None else sum(prices) / 2
        found = []
        for step in (low, math.sqrt(low * high), high):
            sums: dict[str, float] = {}
            with torch.no_grad():
                for part in self.held_out.split(_AT_ONCE):
                    same = torch.ones(len(part), device=self.device)
                    lost = self._lost(part.to(self.device), step * same, None if price is None else price * same)
                    for key, value in lost.items():
                        sums[key] = sums.get(key, 0.0) + float(value) * len(part) / len(self.held_out)
            found.append({"quantiser_step": step, **sums})
        return found


def write_weights(recipe: DelayAngleRecipe, model: nn.Module, trainer: DelayAngleTrainer, step: int, out: Path) -> None:
    """Write NAME.safetensors and its card NAME.json."""
    s, e = recipe.schedule, trainer.world.experiment
    written = recipe.model_dump(mode="json")
    rows = [row for row in trainer.validation_log.rows() if int(row["step"]) in (0, step)]
    card: dict[str, Any] = {
        "name": recipe.name,
        "task": "csi",
        "description": recipe.description,
        "licence": "Apache-2.0",
        "architecture": recipe.model,
        "layout": {
            "n1": e.panel.n1,
            "n2": e.panel.n2,
            "num_units": len(e.band.units),
            "per_subband": e.band.per_subband,
        },
        "training": {
            **{key: written[key] for key in ("csi_drops", "quantiser_steps", "prices", "mirror", "init")},
            **({} if recipe.init is None else {"init_sha256": load_weights(recipe.init, "csi").card["sha256"]}),
            "scenario": trainer.world.scenario_id,
            "samples": trainer.num_train,
            "seconds_for_drops": round(trainer.seconds_for_drops),
            "seed": recipe.seed,
            "steps": step,
            "steps_taken": trainer.step,
            "steps_planned": s.steps,
            "samples_seen": step * s.batch_drops * s.draws_per_step,
            "held_out": [
                {key: round(float(row[key]), 4) for key in ("step", "quantiser_step", "bits", "sgcs")} for row in rows
            ],
            "seconds": round(trainer.seconds),
            **json.loads((out / VERSIONS).read_text()),
        },
        "limits": list(recipe.limits),
        "measured": [],
    }
    write_weight_files(out, model, card)


#: How `ran.training.train` trains delay-angle models.
DELAY_ANGLE = Kind(check, build_model, DelayAngleTrainer, write_weights, measure, "drops")
