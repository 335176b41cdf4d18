"""`ran status`: how far a run or a study is, asked from anywhere while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from ran.cli.answer import answer
from ran.counted import counted


def status(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run or a study, running or not.")],
) -> None:
    """Show the progress of a run or a study: points, drops, block errors per receiver, and whether it is complete."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ran.sim.results import load_results
    from ran.studies.folder import kind_of, load_jobs, load_parts
    from ran.studies.part import PartResult

    kind = kind_of(folder)
    jobs = None if kind is None else load_jobs(folder)
    if jobs is not None:
        left = "complete" if jobs.is_complete else f"at least {counted(jobs.left, 'job')} left"
        answer(kind=kind, is_complete=jobs.is_complete, stored=len(jobs.results), least_left=jobs.left, times=jobs.meta)
        print(f"{kind}: {counted(len(jobs.results), 'result')} stored, {left}")
        _print_times(jobs.meta)
        return
    if kind is None:
        results = load_results(folder)
        parts: tuple[PartResult, ...] = (PartResult("", results.experiment.name, {}, results, {}),)
    else:
        parts = load_parts(folder)
    done = sum(part.is_complete for part in parts)
    meta = next((part.results.meta for part in parts if part.results is not None), {})
    table = Table(title=f"{kind or 'run'}: {done} of {len(parts)} complete", title_justify="left")
    table.add_column("experiment")
    table.add_column("receiver")
    for title in ("points", "drops", "block errors"):
        table.add_column(title, justify="right")
    table.add_column("state")
    rows: list[dict[str, object]] = []
    answer(kind=kind or "run", is_complete=done == len(parts), num_complete=done, rows=rows, times=meta)
    for part in parts:
        state = "complete" if part.is_complete else "not complete"
        if part.results is not None:
            for block in part.results.experiment.receivers:
                points = [point for point in part.results.points if point.receiver == block.title]
                cells = (len(points), sum(p.drops for p in points), sum(p.block_errors for p in points))
                table.add_row(*map(Text, (part.title, block.title, *map(str, cells), state)))
                figures = dict(zip(("points", "drops", "block_errors"), cells, strict=True))
                rows.append({"part": part.title, "receiver": block.title, **figures, "is_complete": part.is_complete})
        for receiver, reason in part.refused.items():
            table.add_row(*map(Text, (part.title, receiver, "", "", "", f"refused: {reason}")))
            rows.append({"part": part.title, "receiver": receiver, "refused": reason})
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=150)).print(table)
    _print_times(meta)


def _print_times(meta: Mapping[str, str]) -> None:
    if "finished" in meta:
        seconds = float(meta["wall_time_s"])
        print(f"last stored {meta['finished']}, after {seconds:.0f} s with {counted(int(meta['workers']), 'worker')}")
