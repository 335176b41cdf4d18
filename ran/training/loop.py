"""Training of receivers: slots from the link, bit cross-entropy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ran.training.arithmetic import prepare
from ran.training.constellation import points_of, sent_with
from ran.training.gate import SlotLosses, why_refused
from ran.training.processes import ALONE, Processes
from ran.training.recipe import Recipe, Schedule
from ran.training.slots import slot_source
from ran.training.tensorboard_log import TensorBoardLog
from ran.training.trainer import Training
from ran.training.validation import Validation
from receivers.neural.receiver import passes_of

# Cross-entropy in nats that counts as good: below, a slot is decoded anyway.
_LOG_FLOOR = 0.1


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


class Trainer(Training):
    """Training of a receiver on slots."""

    log_fields = ("step", "loss", "bit_cross_entropy", "channel_mse_over_noise", "learning_rate", "slots", "seconds")
    validation_fields = ("step", "part", "blocks", "block_errors", "bit_cross_entropy")
    score = "bit_cross_entropy"

    def __init__(
        self,
        recipe: Recipe,
        model: nn.Module,
        out: Path,
        device: str = "cpu",
        processes: Processes = ALONE,
        tensorboard_log: TensorBoardLog | None = None,
    ) -> None:
        self.recipe = recipe
        s = recipe.schedule
        prepare(model.to(processes.device(device)), s.precision, s.compile)
        super().__init__(s, model, out, device, processes, tensorboard_log)
        self.slots = slot_source(recipe, self.device, processes)
        decoded_by = recipe.init if recipe.labels == "decoded" else None
        self.validation = Validation(recipe.validation, recipe.seed, recipe.name, self.device, decoded_by)
        #: What the guards lost at the first validation and at the last.
        self._first_slots: list[SlotLosses] = []
        self._last_slots: list[SlotLosses] = []

    def losses(self, draw: int) -> dict[str, Tensor]:
        """Losses on the slots of a draw."""
        with torch.no_grad():
            observation, truth = self.slots(draw)
        outputs = passes_of(self.model(sent_with(points_of(self.model), observation, truth)))
        return slot_loss(outputs, truth.coded_bits, truth.h, observation.noise_var, self.recipe.schedule)

    def logged(self, means: Mapping[str, float]) -> dict[str, float]:
        return {
            "loss": means["loss"],
            "bit_cross_entropy": means["bce"],
            "channel_mse_over_noise": means["mse"],
            "slots": self.step * self.recipe.schedule.slots_per_step,
        }

    def validations(self) -> list[dict[str, float]]:
        """One validation per held-out part."""
        looks = self.validation(self.model)
        self._last_slots = [look.slots for look in looks if look.slots is not None]
        self._first_slots = self._first_slots or self._last_slots
        return [{name: value for name, value in vars(look).items() if name != "slots"} for look in looks]

    def score_of(self, validations: list[dict[str, float]]) -> float:
        """Mean over the parts that are to be won on, not over those that guard."""
        return super().score_of(
            [measured for measured, part in zip(validations, self.recipe.validation, strict=True) if not part.guard]
        )

    @property
    def guards(self) -> bool:
        """Whether some of the held-out slots are such that training may not lose on."""
        return bool(self.recipe.schedule.validate_every) and any(part.guard for part in self.recipe.validation)

    def holds(self, validations: list[dict[str, float]]) -> bool:
        """Whether a validation has lost nothing on the guard slots, which are the same every time."""
        tolerance, level = self.recipe.guard_tolerance, self.recipe.guard_level
        if level is not None:
            # of all looks of a training none passes wrongly with more than the level's probability (Bonferroni)
            s = self.recipe.schedule
            level /= -(-s.steps // s.validate_every)
            self.refusal = why_refused(self._first_slots, self._last_slots, tolerance, level)
            return self.refusal is None
        parts = zip(validations, self.first_look or [], self.recipe.validation, strict=True)
        return all(measured[self.score] <= (1 + tolerance) * first for measured, first, part in parts if part.guard)

    def own_state(self) -> dict[str, Any]:
        return {
            "first_slots": [
                (torch.from_numpy(part.entropies), torch.from_numpy(part.lost)) for part in self._first_slots
            ],
            "refusal": self.refusal,
        }

    def take_state(self, state: Mapping[str, Any]) -> None:
        kept = state.get("first_slots", [])
        self._first_slots = [SlotLosses(np.asarray(entropies), np.asarray(lost)) for entropies, lost in kept]
        self.refusal = state.get("refusal")

    def of_log(self, part: int, measured: Mapping[str, float]) -> dict[str, float]:
        bler = measured["block_errors"] / measured["blocks"]
        return {f"bler_{part}": bler, f"bit_cross_entropy_{part}": measured["bit_cross_entropy"]}
