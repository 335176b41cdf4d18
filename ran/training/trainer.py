"""What all trainings share: optimiser, average weights, checkpoints that resume to identical weights, logs."""

from __future__ import annotations

import io
import math
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from ran.training.processes import ALONE, Processes
from ran.training.step_log import StepLog
from ran.training.tensorboard_log import TensorBoardLog


class Steps(Protocol):
    """What a schedule tells: see `ran.training.recipe.Schedule`."""

    steps: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    gradient_clip: float
    ema_decay: float
    checkpoint_every: int
    log_every: int
    validate_every: int
    draws_per_step: int


def learning_rate(step: int, schedule: Steps) -> float:
    """Linear warm-up, then a half cosine to zero."""
    warm = min(1.0, (step + 1) / max(1, schedule.warmup_steps))
    return schedule.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / schedule.steps))


class Training(ABC):
    """One training run in a folder: `checkpoint.pt` (resumed from when there), `train.csv` and `validation.csv`.

    processes: those that train together; the first of them writes. tensorboard_log: takes the same numbers as the logs.
    """

    #: Columns of the two logs, beginning with `step` (and of the second `part`).
    log_fields: ClassVar[tuple[str, ...]]
    validation_fields: ClassVar[tuple[str, ...]]
    #: The column of the second log whose mean over the parts decides which weights are kept.
    score: ClassVar[str]

    def __init__(
        self,
        schedule: Steps,
        model: nn.Module,
        out: Path,
        device: str = "cpu",
        processes: Processes = ALONE,
        tensorboard_log: TensorBoardLog | None = None,
    ) -> None:
        self.schedule = schedule
        self.out = out
        self.device = torch.device(processes.device(device))
        self.processes = processes
        self.tensorboard_log = tensorboard_log
        self.model = model.to(self.device)
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        self.step = 0
        self.seconds = 0.0
        #: Step, score and average weights of the best validation.
        self.best: dict[str, Any] | None = None
        #: The score of the first validation, part by part.
        self.first_look: list[float] | None = None
        #: Why the guards refused the last weights that were better.
        self.refusal: str | None = None

    @abstractmethod
    def losses(self, draw: int) -> dict[str, Tensor]:
        """Losses on the data of a draw; `loss` is what falls. They depend on the recipe and the draw's number alone."""

    @abstractmethod
    def logged(self, means: Mapping[str, float]) -> dict[str, float]:
        """What the log says of a step besides its number, its learning rate and the time: mean losses by column."""

    @abstractmethod
    def validations(self) -> list[dict[str, float]]:
        """The columns of `validation.csv` for every held-out part, of the model as it is."""

    def score_of(self, validations: list[dict[str, float]]) -> float:
        """What is to be least: the mean score over the parts."""
        return sum(measured[self.score] for measured in validations) / len(validations)

    def holds(self, validations: list[dict[str, float]]) -> bool:
        """Whether a validation keeps all guards."""
        return True

    @property
    def guards(self) -> bool:
        """Whether some of the held-out part is such that training may not lose on it."""
        return False

    def own_state(self) -> dict[str, Any]:
        """What a training keeps in its checkpoint besides what all keep: tensors, numbers and texts."""
        return {}

    def take_state(self, state: Mapping[str, Any]) -> None:
        """Go on with what `own_state` kept; checkpoints of before may lack it."""
        return

    def of_log(self, part: int, measured: Mapping[str, float]) -> dict[str, float]:
        """What the TensorBoard log gets of a validation."""
        return {f"{name}_{part}": value for name, value in measured.items()}

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
            **self.own_state(),
        }
        temporary = self.checkpoint.with_suffix(".tmp")
        content = io.BytesIO()  # of torch's own files a full disk could not be told from a bug
        torch.save(state, content)
        temporary.write_bytes(content.getbuffer())
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
        self.take_state(state)
        if self.processes.is_first:
            self.log.cut(self.step)
            self.validation_log.cut(self.step)

    @property
    def log(self) -> StepLog:
        return StepLog(self.out / "train.csv", self.log_fields)

    @property
    def validation_log(self) -> StepLog:
        return StepLog(self.out / "validation.csv", self.validation_fields)

    def result(self) -> tuple[dict[str, Tensor], int]:
        """The weights to keep, and the step that they are from: of the best validation, or the last average."""
        return (self.average, self.step) if self.best is None else (self.best["average"], self.best["step"])

    def validate(self) -> None:
        """Look at the held-out part with the average weights, and keep these when they are the best so far."""
        trained = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)
        validations = self.validations()
        self.model.load_state_dict(trained)
        if self.first_look is None:
            self.first_look = [measured[self.score] for measured in validations]
        score = self.score_of(validations)
        if self.best is None or (score < self.best[self.score] and self.holds(validations)):
            average = {k: v.clone() for k, v in self.average.items()}
            self.best = {"step": self.step, self.score: score, "average": average}
        if not self.processes.is_first:
            return
        for number, measured in enumerate(validations):
            self.validation_log.add({"step": self.step, "part": number, **measured})
            if self.tensorboard_log is not None:
                self.tensorboard_log.add("validation", self.step, self.of_log(number, measured))

    def one_step(self) -> dict[str, float]:
        """Take the data of the step and one optimiser step."""
        s = self.schedule
        rate = learning_rate(self.step, s)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        means: dict[str, float] = {}
        for number in range(s.draws_per_step):
            losses = self.losses(self.step * s.draws_per_step + number)
            (losses["loss"] / s.draws_per_step).backward()
            for key, value in losses.items():
                means[key] = means.get(key, 0.0) + float(value.detach()) / s.draws_per_step
        self.processes.average([p.grad for p in self.model.parameters() if p.grad is not None])
        nn.utils.clip_grad_norm_(self.model.parameters(), s.gradient_clip, error_if_nonfinite=True)
        self.optimizer.step()
        decay = min(s.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for key, value in self.model.state_dict().items():
                self.average[key].lerp_(value, 1 - decay)
        self.step += 1
        return {"step": self.step, **self.logged(means), "learning_rate": rate}

    def _begin(self) -> None:
        """Forget rows of a run that was killed before its first checkpoint; look at the model as it is, so that the
        weights that are kept are never worse than those before training."""
        if self.processes.is_first:
            self.log.cut(-1)
            self.validation_log.cut(-1)
        if self.schedule.validate_every:
            self.validate()

    def run(self, progress: Callable[[dict[str, float]], None]) -> None:
        """Train to the end of the schedule, checkpointing on the way."""
        s = self.schedule
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
                if self.tensorboard_log is not None:
                    self.tensorboard_log.add("train", self.step, {k: v for k, v in row.items() if k != "step"})
            if self.step % s.checkpoint_every == 0 or last:
                self.save()
            progress(row)
        self.processes.wait()
