"""The training loop: slots from the link, bit cross-entropy, checkpoints that resume to identical weights."""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ran.training.recipe import Recipe, Schedule
from ran.training.slots import slot_source

_LOG_FIELDS = ("step", "loss", "bit_cross_entropy", "channel_mse_over_noise", "learning_rate", "slots", "seconds")


def learning_rate(step: int, schedule: Schedule) -> float:
    """Linear warm-up, then a half cosine to zero."""
    warm = min(1.0, (step + 1) / max(1, schedule.warmup_steps))
    return schedule.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / schedule.steps))


def slot_loss(
    outputs: list[tuple[Tensor, Tensor]], bits: Tensor, h: Tensor, noise_var: Tensor, s: Schedule
) -> dict[str, Tensor]:
    """Weighted bit cross-entropy of the passes plus a little channel error relative to the noise."""
    target = 1.0 - bits.float()  # a positive LLR means bit 0
    entropies = [nn.functional.binary_cross_entropy_with_logits(llr, target) for llr, _ in outputs]
    scale = noise_var[:, None, None, None, None]
    errors = [((estimate - h).abs() ** 2 / scale).mean() for _, estimate in outputs]
    weights = s.loss_weights[-len(outputs) :]
    bce = torch.stack([w * e for w, e in zip(weights, entropies, strict=True)]).sum()
    mse = torch.stack(errors).mean()
    return {"loss": bce + s.channel_mse * mse, "bce": entropies[-1].detach(), "mse": errors[-1].detach()}


class Trainer:
    """One training run in a folder: `checkpoint.pt` (resumed from when there) and `train.csv`."""

    def __init__(self, recipe: Recipe, model: nn.Module, out: Path, device: str = "cpu") -> None:
        self.recipe = recipe
        self.out = out
        self.device = torch.device(device)
        self.model = model.to(self.device)
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        s = recipe.schedule
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=s.learning_rate, weight_decay=s.weight_decay)
        self.slots = slot_source(recipe, self.device)
        self.step = 0
        self.seconds = 0.0

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
        self._cut_log()

    def _cut_log(self) -> None:
        """Drop log lines of steps that a kill undid."""
        path = self.out / "train.csv"
        if path.is_file():
            with path.open(newline="") as file:
                rows = [row for row in csv.DictReader(file) if int(row["step"]) <= self.step]
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, _LOG_FIELDS)
                writer.writeheader()
                writer.writerows(rows)

    def _log(self, row: dict[str, float]) -> None:
        path = self.out / "train.csv"
        new = not path.is_file()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, _LOG_FIELDS)
            if new:
                writer.writeheader()
            writer.writerow(row)

    def one_step(self) -> dict[str, float]:
        """Take the slots of the step and one optimiser step."""
        s = self.recipe.schedule
        with torch.no_grad():
            observation, truth = self.slots(self.step)
        rate = learning_rate(self.step, s)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        outputs = self.model(observation)
        losses = slot_loss(outputs, truth.coded_bits, truth.h, observation.noise_var, s)
        self.optimizer.zero_grad()
        losses["loss"].backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), s.gradient_clip, error_if_nonfinite=True)
        self.optimizer.step()
        decay = min(s.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for key, value in self.model.state_dict().items():
                self.average[key].lerp_(value, 1 - decay)
        self.step += 1
        return {
            "step": self.step,
            "loss": float(losses["loss"].detach()),
            "bit_cross_entropy": float(losses["bce"]),
            "channel_mse_over_noise": float(losses["mse"]),
            "learning_rate": rate,
            "slots": self.step * s.batch_slots,
        }

    def run(self, progress: Callable[[dict[str, float]], None]) -> None:
        """Train to the end of the schedule, checkpointing on the way."""
        s = self.recipe.schedule
        began = time.perf_counter() - self.seconds
        while self.step < s.steps:
            row = self.one_step()
            self.seconds = time.perf_counter() - began
            row["seconds"] = round(self.seconds, 2)
            if self.step % s.log_every == 0 or self.step == s.steps:
                self._log(row)
            if self.step % s.checkpoint_every == 0 or self.step == s.steps:
                self.save()
            progress(row)
