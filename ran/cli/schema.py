"""`ran schema`: the JSON schema of experiment files, for editors and programs."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ran.cli.answer import answer


def schema(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="[KIND]",
            help="experiment, adaptation, beams or csi (all with sweep), decode, recipe, beam-recipe, csi-recipe, "
            "delay-angle-recipe, prediction-recipe, "
            "conditions or sweep.",
        ),
    ] = "experiment",
    own: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="FILE.py:Class", help="Know the options of a class of your own; repeatable."),
    ] = None,
) -> None:
    """Print the JSON schema of a kind of file, with the options of every channel, impairment and receiver, those of
    installed packages among them.

    `ran schema > experiment.schema.json`, and `# yaml-language-server: $schema=experiment.schema.json` in the first
    line of an experiment: editors then complete its keys and check their values.
    """
    from ran.reference.schema import schema as schema_of

    found = schema_of(kind, own or ())
    answer(kind=kind, schema=found)
    print(json.dumps(found, indent=2, ensure_ascii=False))
