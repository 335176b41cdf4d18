"""`ran train`: train a receiver by a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ran.cli import completion
from ran.cli.answer import answer


def train(
    recipe: Annotated[
        str, typer.Argument(help="A recipe file, or the name of a built-in one.", autocompletion=completion.recipes)
    ],
    out: Annotated[Path, typer.Option(help="Folder for weights, model card and log.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change the recipe, e.g. seed=2.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to train: cpu, cuda, cuda:1, ...")] = "cpu",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes for the curves of the model card. [default: one per core]")
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(metavar="WEIGHTS", help="Weights to start from: a shipped name, or a .safetensors file."),
    ] = None,
    finish: Annotated[
        bool,
        typer.Option(
            "--finish",
            help="Stop training and write the weights of the best checkpoint (without validation, of the last).",
        ),
    ] = False,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write logs for TensorBoard.")] = False,
) -> None:
    """Train a neural receiver by a recipe; write its weights and model card.

    Interrupt it at any time: the same command resumes from the last checkpoint. On several GPUs or machines start it by
    torchrun: torchrun --nproc-per-node 4 -m ran.cli.main train ...
    """
    from ran.training.train import run

    changes = [*(overrides or []), *([] if init is None else [f"init={init}"])]
    weights = run(recipe, out, changes, device, workers, finish, tensorboard)
    answer(weights=weights, card=weights.with_suffix(".json"), log=out / "train.csv")
