"""`ran train`: train a receiver by a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ran.cli import completion
from ran.cli.answer import answer


def train(
    out: Annotated[Path, typer.Option(help="Folder for weights, model card and log.")],
    recipe: Annotated[
        str | None,
        typer.Argument(help="A recipe file, or the name of a built-in one.", autocompletion=completion.recipes),
    ] = None,
    from_recording: Annotated[
        Path | None,
        typer.Option(metavar="DATA", help="Instead of a recipe: fine-tune --init on the decoded slots of a data set."),
    ] = None,
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
    from ran.errors import InputError
    from ran.training.train import run, run_recipe

    if (recipe is None) == (from_recording is None):
        given = "both" if recipe is not None else "neither"
        raise InputError(f"RECIPE, --from-recording: got {given}; allowed: one of them")
    if from_recording is not None:
        from ran.training.adaptation import adaptation_recipe

        adapted = adaptation_recipe(from_recording, init or "pusch-realtime", overrides or ())
        weights = run_recipe(adapted, out, device, workers, finish, tensorboard)
    else:
        changes = [*(overrides or []), *([] if init is None else [f"init={init}"])]
        weights = run(str(recipe), out, changes, device, workers, finish, tensorboard)
    answer(weights=weights, card=weights.with_suffix(".json"), log=out / "train.csv")
