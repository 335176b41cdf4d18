"""`ran study`: a study by its name, or of a user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ran.cli import answer
from ran.cli.cluster_option import ClusterOption, workers_of


def study(
    name: Annotated[
        str, typer.Argument(metavar="STUDY", help="A study (`ran list studies`), or your own FILE.py:Class.")
    ],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="OPTION=VALUE", help="Option of the study, e.g. max_slots=400.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder. [default: runs/NAME of the study]")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Worker processes. [default: one per core]")
    ] = None,
    cluster: ClusterOption = None,
) -> None:
    """Run the experiments of a study into one folder, and write its report.

    Interrupt it at any time: the same command resumes, also with more parts or receivers.
    """
    from ran.cli.progress import ProgressLine
    from ran.config.overrides import apply_overrides
    from ran.sim.simulation import build_simulation
    from ran.studies.catalogue import build_study, run

    asked = build_study(name, apply_overrides({}, overrides or []))
    folder = out or Path("runs") / asked.name
    first = asked.parts()[0].experiment
    with ProgressLine() as listener, workers_of(cluster, first, build_simulation, workers) as far:
        page = run(asked, folder, workers=workers, listener=listener, executor=far)
    answer.report(page)
