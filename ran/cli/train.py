"""`ran train`: train a receiver by a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of a built-in one.")],
    out: Annotated[Path, typer.Option(help="Folder for weights, model card and log.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change the recipe, e.g. seed=2.")
    ] = None,
) -> None:
    """Train a neural receiver."""
    from ran.training.train import run

    run(recipe, out, list(overrides or []))
