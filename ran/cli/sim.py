"""`ran sim`: run an experiment and report on it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ran.cli import completion
from ran.cli.answer import answer, report
from ran.cli.cluster_option import ClusterOption, workers_of

if TYPE_CHECKING:
    from ran.studies.sweep.request import SweepRequest


def sim(
    experiment: Annotated[
        str,
        typer.Argument(
            help="An experiment file, or the name of a built-in one (`ran list experiments`, `ran list presets`).",
            autocompletion=completion.experiments,
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change the experiment, e.g. carrier.num_prb=51."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder. [default: runs/NAME]")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Worker processes. [default: one per core]")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed that replaces the experiment's.")] = None,
    chunk_slots: Annotated[
        int | None, typer.Option(min=1, help="Slots per chunk, the unit that is stored. [default: about 1.5 s]")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to simulate: cpu, cuda, cuda:1, ...")] = "cpu",
    cluster: ClusterOption = None,
    replay: Annotated[
        str | None, typer.Option(metavar="KEY", help="Repeat only the drop whose key a stopped run printed.")
    ] = None,
) -> None:
    """Simulate an experiment into a run folder and report on it; with a block `sweep` over values of its keys.

    An experiment file that names FILE.py:Class is a program: it runs that code with your rights. Run those you trust.

    Interrupt it at any time: the same command resumes, and ends with the same results.
    """
    from ran.studies.sweep.request import SweepRequest, load_any

    changes = list(overrides or [])
    if seed is not None:
        changes.append(f"seed={seed}")
    loaded = load_any(experiment, changes)
    from ran.sim.device import checked_device
    from ran.sim.simulation import build_simulation

    if isinstance(loaded, SweepRequest):
        _sweep(loaded, (experiment, overrides or []), out, workers, device, cluster, replay, chunk_slots)
        return
    build = partial(build_simulation, device=checked_device(device))
    if loaded.data is not None:
        from ran.datasets.evaluate import build_evaluation

        build = partial(build_evaluation, device=checked_device(device))
    if replay is not None:
        from ran.cli.replay_text import print_replay

        print_replay(loaded, replay, build)
        return
    from ran.cli.progress import ProgressLine
    from ran.cli.table import print_summary, told
    from ran.report import write_report
    from ran.sim.failures import ReceiversFailed
    from ran.sim.run import run
    from ran.sim.run_folder import CSV

    folder = out or Path("runs") / loaded.name
    with ProgressLine() as listener, workers_of(cluster, loaded, build, workers, device) as far:
        failed = None
        try:
            results = run(
                loaded, folder, workers=workers, chunk_slots=chunk_slots, listener=listener, build=build, executor=far
            )
        except ReceiversFailed as error:
            failed, results = error, error.results
            if not results.points:
                raise
        listener.say("writing the report")
        page = write_report([results], folder)
    print_summary(results)
    report(page, page.with_name(CSV), **told(results))
    if failed is not None:
        raise failed


def _sweep(
    request: SweepRequest,
    asked: tuple[str, list[str]],
    out: Path | None,
    workers: int | None,
    device: str,
    cluster: str | None,
    replay: str | None,
    chunk_slots: int | None,
) -> None:
    """All combinations of a sweep, its table and its report. asked: the experiment and what was set, as typed."""
    from ran.cli.progress import ProgressLine
    from ran.cli.sweep_table import print_sweep
    from ran.errors import InputError
    from ran.sim.device import checked_device
    from ran.sim.failures import ReceiversFailed
    from ran.sim.simulation import build_simulation
    from ran.studies.presets import write_assumptions
    from ran.studies.sweep.page import CSV, write_sweep
    from ran.studies.sweep.run import run_sweep

    if replay is not None or chunk_slots is not None:
        option = "--replay" if replay is not None else "--chunk-slots"
        raise InputError(f"{option}: got it with a sweep; allowed: with a single experiment (--set the swept keys)")
    build = partial(build_simulation, device=checked_device(device))
    folder = out or Path("runs") / request.name
    first = request.parts[0].experiment
    with ProgressLine() as listener, workers_of(cluster, first, build, workers, device) as far:
        failed = None
        try:
            results = run_sweep(
                request,
                folder,
                workers=workers,
                listener=listener,
                build=build,
                executor=far,
            )
        except ReceiversFailed as error:
            failed, results = error, error.results
        listener.say("writing the report")
        page = write_sweep(request.name, request.description, results, folder)
    print_sweep(request.name, results)
    assumptions = write_assumptions(*asked, folder)
    if assumptions is not None:
        answer(assumptions=assumptions)
        print(f"assumptions: {assumptions}")
    report(page, page.with_name(CSV), experiment=request.name)
    if failed is not None:
        raise failed
