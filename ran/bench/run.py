"""The whole benchmark: rows, scaling, and the files that tell of them."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from ran.bench import history
from ran.bench.catalogue import check_peer, select
from ran.bench.machine import measure_limits
from ran.bench.measure import Measured, measure
from ran.bench.page import Result, as_json, as_markdown, draw_scaling
from ran.bench.row import Effort
from ran.bench.scaling import measure_scaling
from ran.config.host import available_cores, cpu_model
from ran.config.provenance import versions
from ran.errors import InputError
from ran.sim.files import write_text


def run(
    names: Sequence[str],
    peer: str | None,
    effort: Effort,
    *,
    quick: bool,
    command: str,
    say: Callable[[str], None],
    show: Callable[[Measured], None],
) -> Result:
    """Measure what `names` name, everything when they are none. `say` is told what begins, `show` each row's result."""
    check_peer(peer)
    has_cuda = torch.cuda.is_available()
    rows, with_scaling = select(names, has_cuda)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    when, started = datetime.now(UTC), time.perf_counter()
    say("measuring the limits of this machine")
    limits = measure_limits(0.1 if quick else 0.5)
    found = []
    for row in rows:
        say(row.title)
        found.append(measure(row, effort, limits, peer))
        show(found[-1])
    say("the same rows again, ours alone: how steady the machine was")
    found = [replace(done, again=measure(done.row, effort, limits, None).ours) for done in found]
    scaling = []
    if with_scaling:
        say("cost over work")
        scaling = measure_scaling(quick)
    return Result(
        command=command,
        when=when.strftime("%Y-%m-%d %H:%M UTC"),
        cpu=cpu_model(),
        machine=f"{available_cores()} cores, {platform.system()} {platform.machine()}",
        gpu=torch.cuda.get_device_name(0) if has_cuda else None,
        versions=versions(),
        load=load,
        limits=limits,
        rows=tuple(found),
        scaling=tuple(scaling),
        seconds=time.perf_counter() - started,
    )


def check_request(names: Sequence[str], peer: str | None) -> None:
    """`InputError` for names and peers that there are none of; nothing is written or measured."""
    check_peer(peer)
    select(names, torch.cuda.is_available())


def check_page(page: Path, assets: Path | None = None) -> None:
    """`InputError` when the page or its assets cannot be written there, or what lies there is no history."""
    check_folder(page.resolve().parent)
    folder = page.parent if assets is None else assets
    check_folder(folder)
    history.load(folder / f"{page.stem.lower()}-history.json")


def check_folder(folder: Path) -> None:
    """Make `folder`; `InputError` when nothing can be written there. Asked before minutes of measuring."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".bench-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}") from None


def write(result: Result, folder: Path, page: Path | None = None, assets: Path | None = None) -> list[Path]:
    """Write bench.json, bench.md and, when scaling was measured, its picture.

    page: one more place for the page, with the history by commit and its trend.
    assets: where picture, history and trend of `page` lie; beside it by default.

    Returns what was written.
    """
    written = [folder / "bench.json"]
    write_text(written[0], json.dumps(as_json(result), indent=1) + "\n")
    written += _write_page(result, folder / "bench.md", folder, with_trend=False)
    if page is None:
        return written
    beside = page.parent if assets is None else assets
    return [*written, *_write_page(result, page, beside, with_trend=True), *history.write(result, page, beside)]


def _write_page(result: Result, page: Path, assets: Path, *, with_trend: bool) -> list[Path]:
    stem = page.stem.lower()

    def link(file: Path) -> str:
        return Path(os.path.relpath(file, page.parent)).as_posix()

    picture = assets / f"{stem}-scaling.png" if result.scaling else None
    if picture is not None:
        draw_scaling(result.scaling, picture)
    trend = link(history.trend_page(page, assets)) if with_trend else None
    write_text(page, as_markdown(result, None if picture is None else link(picture), trend))
    return [page] if picture is None else [picture, page]
