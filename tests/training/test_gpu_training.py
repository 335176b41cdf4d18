"""A step of training on the stand-in for a GPU is a step on a processor."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from stand_in_gpu import DEVICE, OnGpu, missing, on_host, stand_in_gpu

from ran.training.catalogue import load_recipe
from ran.training.loop import Trainer
from ran.training.slot_train import build_model

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

SMALL = ["schedule.batch_slots=2", "schedule.steps=2", "schedule.validate_every=0", "schedule.draws_per_step=1"]
#: Where a step waits for the GPU: its losses are logged, a gradient that is not finite is refused.
NAMED = {"ran/training/trainer.py:Training.one_step"}


@pytest.mark.parametrize("name", ["pusch-hybrid", pytest.param("pusch-large", marks=pytest.mark.slow)])
def test_a_step_is_the_same(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slots, losses, clipping, optimiser and average. Autograd itself asks for a real device: the gradients are those
    of the processor, from a loss that is the same."""
    recipe = load_recipe(name, SMALL)
    expected = Trainer(recipe, build_model(recipe), tmp_path)
    gradients = gradients_of(expected)
    row = expected.one_step()
    with stand_in_gpu() as waits:
        found = Trainer(recipe, build_model(recipe), tmp_path, DEVICE)
        found.losses(0)
        waits.clear()

        def backward(loss: torch.Tensor) -> None:
            assert isinstance(loss, OnGpu)
            for parameter, gradient in zip(found.model.parameters(), gradients, strict=True):
                parameter.grad = None if gradient is None else gradient.to(DEVICE)

        monkeypatch.setattr(torch.Tensor, "backward", backward)
        row_there = found.one_step()
        weights, averages = on_host(found.model.state_dict()), on_host(found.average)
        assert all(value.is_cuda for value in found.model.state_dict().values())
    assert row_there["loss"] == pytest.approx(row["loss"], rel=2e-4)
    for key, value in expected.model.state_dict().items():
        torch.testing.assert_close(weights[key], value, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(averages[key], expected.average[key], rtol=1e-5, atol=1e-7)
    assert {wait.place for wait in waits if wait.place.startswith("ran/training/")} <= NAMED


def gradients_of(trainer: Trainer) -> list[torch.Tensor | None]:
    """Of the first draw, by parameter; the trainer is left as it was."""
    trainer.losses(0)["loss"].backward()
    found = [None if p.grad is None else p.grad.clone() for p in trainer.model.parameters()]
    trainer.optimizer.zero_grad()
    return found
