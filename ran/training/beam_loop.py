"""Training of beam predictors: cross-entropy over Set A, error of the powers, and the temperature of confidence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn

from ran.training.beam_drops import BeamData
from ran.training.beam_recipe import BeamRecipe, BeamSchedule
from ran.training.processes import ALONE, Processes
from ran.training.tensorboard_log import TensorBoardLog
from ran.training.trainer import Training
from receivers.beams import BeamPrediction, BeamTruth

#: Beams so far below the best have this part of its weight in the error of powers: 1/e every so many dB.
_NEAR_DB = 10.0
#: Errors of powers up to this count by their square, dB.
_SMALL_DB = 2.0


def beam_loss(prediction: BeamPrediction, truth: BeamTruth, s: BeamSchedule) -> dict[str, Tensor]:
    """Cross-entropy with soft labels plus the weighted error of the powers."""
    label = torch.softmax(truth.rsrp_dbm / s.label_db, -1)
    entropy = -(label * prediction.log_probability).sum(-1).mean()
    weight = torch.softmax(truth.rsrp_dbm / _NEAR_DB, -1)
    error = nn.functional.smooth_l1_loss(prediction.rsrp_dbm, truth.rsrp_dbm, reduction="none", beta=_SMALL_DB)
    powers = (weight * error).sum(-1).mean()
    return {"loss": entropy + s.rsrp_weight * powers, "cross_entropy": entropy, "error_db": powers}


class BeamTrainer(Training):
    """Training of a beam predictor on cached drops."""

    log_fields = ("step", "loss", "cross_entropy", "error_db", "learning_rate", "drops", "seconds")
    validation_fields = ("step", "part", "cross_entropy", "top1")
    score = "cross_entropy"

    def __init__(
        self,
        recipe: BeamRecipe,
        model: nn.Module,
        out: Path,
        device: str = "cpu",
        processes: Processes = ALONE,
        tensorboard_log: TensorBoardLog | None = None,
    ) -> None:
        super().__init__(recipe.schedule, model, out, device, processes, tensorboard_log)
        self.recipe = recipe
        self.data = BeamData(recipe)
        console = Console(stderr=True, quiet=not processes.is_first)
        if not processes.is_first:
            processes.wait()  # until the first has put the drops into the cache
        #: What the drops took; next to nothing where the cache holds them.
        self.seconds_for_drops = self.data.prepare(lambda text: console.print(text, highlight=False))
        if processes.is_first:
            processes.wait()

    def losses(self, draw: int) -> dict[str, Tensor]:
        """Losses on the drops of a draw."""
        size = self.recipe.schedule.batch_drops
        observation, truth = self.data.draw(draw, self.processes.share(range(size)), size)
        truth = BeamTruth(truth.rsrp_dbm.to(self.device))
        return beam_loss(self.model(observation.to(self.device)), truth, self.recipe.schedule)

    def logged(self, means: Mapping[str, float]) -> dict[str, float]:
        s = self.recipe.schedule
        return {**means, "drops": self.step * s.batch_drops * s.draws_per_step}

    def validations(self) -> list[dict[str, float]]:
        """Cross-entropy of the best beam and Top-1 accuracy on the held-out drops of every world."""
        found = []
        for scores, best in self.held_out_scores():
            log_probability = torch.log_softmax(scores, -1)
            entropy = float(nn.functional.nll_loss(log_probability, best))
            found.append({"cross_entropy": entropy, "top1": float((scores.argmax(-1) == best).float().mean())})
        return found

    def held_out_scores(self) -> list[tuple[Tensor, Tensor]]:
        """Per world the log probabilities [n, num_set_a] of all held-out predictions, and the best beams [n]."""
        found = []
        with torch.no_grad():
            for kept in self.data.kept:
                scores, best = [], []
                for observation, truth in self.data.held_out(kept):
                    prediction = self.model(observation.to(self.device))
                    scores.append(prediction.log_probability.flatten(0, 1).cpu())
                    best.append(truth.rsrp_dbm.argmax(-1).flatten())
                found.append((torch.cat(scores), torch.cat(best)))
        return found

    def fit_temperature(self) -> float:
        """Set the model's temperature to the one with which the held-out drops are the most likely; returns it."""
        temperature = fitted_temperature(self.held_out_scores())
        with torch.no_grad():
            self.model.temperature.mul_(temperature)  # type: ignore[operator]
        return float(self.model.temperature)  # type: ignore[arg-type]


def fitted_temperature(parts: list[tuple[Tensor, Tensor]]) -> float:
    """What log probabilities are to be divided by: least cross-entropy, by golden section over its logarithm."""

    def entropy(log_temperature: float) -> float:
        divisor = torch.tensor(log_temperature).exp()
        return sum(float(nn.functional.cross_entropy(scores / divisor, best)) for scores, best in parts)

    from scipy.optimize import minimize_scalar

    found = minimize_scalar(entropy, bounds=(-1.6, 1.6), method="bounded", options={"xatol": 1e-4})
    return float(torch.tensor(found.x).exp())
