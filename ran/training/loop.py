"""The training loop: slots from the link, bit cross-entropy, checkpoints that resume to identical weights."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ran.training.arithmetic import prepare
from ran.training.board import Board
from ran.training.constellation import points_of, sent_with
from ran.training.processes import ALONE, Processes
from ran.training.recipe import Recipe, Schedule
from ran.training.slots import slot_source
from ran.training.step_log import StepLog
from ran.training.validation import Look, Validation

_LOG_FIELDS = ("step", "loss", "bit_cross_entropy", "channel_mse_over_noise", "learning_rate", "slots", "seconds")
# Cross-entropy in nats that counts as good: below, a slot is decoded anyway.
_LOG_FLOOR = 0.1
_VALIDATION_FIELDS = ("step", "part", "blocks", "block_errors", "bit_cross_entropy")


def learning_rate(step: int, schedule: Schedule) -> float:
    """Linear warm-up, then a half cosine to zero."""
    warm = min(1.0, (step + 1) / max(1, schedule.warmup_steps))
    return schedule.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / schedule.steps))


def slot_loss(
    outputs: list[tuple[Tensor, Tensor | None]], bits: Tensor, h: Tensor, noise_var: Tensor, s: Schedule
) -> dict[str, Tensor]:
    """Weighted bit cross-entropy of the passes plus a little channel error relative to the noise."""
    target = 1.0 - bits.float()  # a positive LLR means bit 0
    outputs = outputs[-len(s.loss_weights) :]
    entropies = [_bit_loss(llr, target, s) for llr, _ in outputs]
    scale = noise_var[:, None, None, None, None]
    errors = [((estimate - h).abs() ** 2 / scale).mean() for _, estimate in outputs if estimate is not None]
    weights = s.loss_weights[-len(outputs) :]
    loss = torch.stack([w * e for w, e in zip(weights, entropies, strict=True)]).sum()
    with torch.no_grad():
        bce = nn.functional.binary_cross_entropy_with_logits(outputs[-1][0], target)
    if not errors:  # a model that states no channel
        return {"loss": loss, "bce": bce, "mse": loss.new_tensor(math.nan)}
    return {"loss": loss + s.channel_mse * torch.stack(errors).mean(), "bce": bce, "mse": errors[-1].detach()}


def _bit_loss(llr: Tensor, target: Tensor, s: Schedule) -> Tensor:
    if s.loss == "mean":
        return nn.functional.binary_cross_entropy_with_logits(llr, target)
    losses = nn.functional.binary_cross_entropy_with_logits(llr, target, reduction="none")
    return torch.log(losses.mean((1, 2, 3)) + _LOG_FLOOR).mean()


class Trainer:
    """One training run in a folder: `checkpoint.pt` (resumed from when there), `train.csv` and `validation.csv`.

    processes: those that train together; the first of them writes. board: takes the same numbers as the logs.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: nn.Module,
        out: Path,
        device: str = "cpu",
        processes: Processes = ALONE,
        board: Board | None = None,
    ) -> None:
        self.recipe = recipe
        self.out = out
        self.device = torch.device(processes.device(device))
        self.processes = processes
        self.board = board
        self.model = model.to(self.device)
        prepare(self.model, recipe.schedule.precision, recipe.schedule.compile)
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        s = recipe.schedule
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=s.learning_rate, weight_decay=s.weight_decay)
        self.slots = slot_source(recipe, self.device, processes)
        self.validation = Validation(recipe.validation, recipe.seed, recipe.name, self.device)
        self.step = 0
        self.seconds = 0.0
        #: Step, bit cross-entropy and average weights of the best look at the held-out slots.
        self.best: dict[str, Any] | None = None
        #: Bit cross-entropy of the first look, part by part.
        self.first_look: list[float] | None = None

    @property
    def checkpoint(self) -> Path:
        return self.out / "checkpoint.pt"

    def save(self) -> None:
        """Write the checkpoint beside the old one, then swap: a kill leaves one of the two."""
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "best": self.best,
            "first_look": self.first_look,
        }
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, self.checkpoint)

    def resume(self) -> None:
        """Go on from the checkpoint."""
        state = torch.load(self.checkpoint, weights_only=True, map_location=self.device)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average = state["average"]
        self.step = state["step"]
        self.seconds = state["seconds"]
        self.best = state.get("best")
        self.first_look = state.get("first_look")
        if self.processes.is_first:
            self.log.cut(self.step)
            self.validation_log.cut(self.step)

    @property
    def log(self) -> StepLog:
        return StepLog(self.out / "train.csv", _LOG_FIELDS)

    @property
    def validation_log(self) -> StepLog:
        return StepLog(self.out / "validation.csv", _VALIDATION_FIELDS)

    def result(self) -> tuple[dict[str, Tensor], int]:
        """The weights to keep, and the step that they are from: of the best look, or the last average."""
        return (self.average, self.step) if self.best is None else (self.best["average"], self.best["step"])

    def validate(self) -> None:
        """Look at the held-out slots with the average weights, and keep these when they are the best so far."""
        trained = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)
        looks = self.validation(self.model)
        self.model.load_state_dict(trained)
        if self.first_look is None:
            self.first_look = [look.bit_cross_entropy for look in looks]
        to_win = [
            look.bit_cross_entropy for look, part in zip(looks, self.recipe.validation, strict=True) if not part.guard
        ]
        entropy = sum(to_win) / len(to_win)
        if self.best is None or (entropy < self.best["bit_cross_entropy"] and self._holds(looks)):
            average = {k: v.clone() for k, v in self.average.items()}
            self.best = {"step": self.step, "bit_cross_entropy": entropy, "average": average}
        if not self.processes.is_first:
            return
        for number, look in enumerate(looks):
            self.validation_log.add({"step": self.step, "part": number, **vars(look)})
            if self.board is not None:
                bler = look.block_errors / look.blocks
                values = {f"bler_{number}": bler, f"bit_cross_entropy_{number}": look.bit_cross_entropy}
                self.board.add("validation", self.step, values)

    @property
    def guards(self) -> bool:
        """Whether some of the held-out slots are such that training may not lose on."""
        return bool(self.recipe.schedule.validate_every) and any(part.guard for part in self.recipe.validation)

    def _holds(self, looks: list[Look]) -> bool:
        """Whether a look has lost nothing on the slots that guard, which are the same in every look."""
        limit = 1 + self.recipe.guard_tolerance
        parts = zip(looks, self.first_look or [], self.recipe.validation, strict=True)
        return all(look.bit_cross_entropy <= limit * first for look, first, part in parts if part.guard)

    def one_step(self) -> dict[str, float]:
        """Take the slots of the step and one optimiser step."""
        s = self.recipe.schedule
        rate = learning_rate(self.step, s)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        means: dict[str, float] = {"loss": 0.0, "bce": 0.0, "mse": 0.0}
        for number in range(s.draws_per_step):
            with torch.no_grad():
                observation, truth = self.slots(self.step * s.draws_per_step + number)
            outputs = self.model(sent_with(points_of(self.model), observation, truth))
            losses = slot_loss(outputs, truth.coded_bits, truth.h, observation.noise_var, s)
            (losses["loss"] / s.draws_per_step).backward()
            for key, value in losses.items():
                means[key] += float(value.detach()) / s.draws_per_step
        self.processes.average([p.grad for p in self.model.parameters() if p.grad is not None])
        nn.utils.clip_grad_norm_(self.model.parameters(), s.gradient_clip, error_if_nonfinite=True)
        self.optimizer.step()
        decay = min(s.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for key, value in self.model.state_dict().items():
                self.average[key].lerp_(value, 1 - decay)
        self.step += 1
        return {
            "step": self.step,
            "loss": means["loss"],
            "bit_cross_entropy": means["bce"],
            "channel_mse_over_noise": means["mse"],
            "learning_rate": rate,
            "slots": self.step * s.slots_per_step,
        }

    def _begin(self) -> None:
        """Forget rows of a run that was killed before its first checkpoint; look at the model as it is, so that the
        weights that are kept are never worse than those before training."""
        if self.processes.is_first:
            self.log.cut(-1)
            self.validation_log.cut(-1)
        if self.recipe.schedule.validate_every:
            self.validate()

    def run(self, progress: Callable[[dict[str, float]], None]) -> None:
        """Train to the end of the schedule, checkpointing on the way."""
        s = self.recipe.schedule
        began = time.perf_counter() - self.seconds
        if self.step == 0:
            self._begin()
        while self.step < s.steps:
            row = self.one_step()
            last = self.step == s.steps
            if s.validate_every and (self.step % s.validate_every == 0 or last):
                self.validate()
            self.seconds = time.perf_counter() - began
            row["seconds"] = round(self.seconds, 2)
            if not self.processes.is_first:
                continue
            if self.step % s.log_every == 0 or last:
                self.log.add(row)
                if self.board is not None:
                    self.board.add("train", self.step, {k: v for k, v in row.items() if k != "step"})
            if self.step % s.checkpoint_every == 0 or last:
                self.save()
            progress(row)
        self.processes.wait()
