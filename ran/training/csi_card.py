"""The model card of a two-sided CSI model (figures come in with the study)."""

from __future__ import annotations

from pathlib import Path

from ran.training.csi_recipe import CsiRecipe


def measure(weights: Path, recipe: CsiRecipe, workers: int | None = None) -> None:
    raise NotImplementedError
