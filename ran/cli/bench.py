"""`ran bench`: the speed of this machine's link-level simulation, beside a peer's; and the latency of models."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ran.cli.answer import answer
from ran.cli.default_command import group_with_default
from ran.errors import InputError

if TYPE_CHECKING:
    from ran.bench.measure import Measured

_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

app = typer.Typer(
    cls=group_with_default("rows"),
    help="Speed: `ran bench [NAME]...` measures rows (`ran bench rows --help`), `ran bench latency MODEL...` models, "
    "`ran bench profile EXPERIMENT` the stages of a slot, `ran bench driver EXPERIMENT` many "
    "workers' driver.",
)


def _use_one_thread() -> None:
    """Before libraries are loaded; numba, where it is already, refuses to compile once its variable has changed."""
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    if "numba" in sys.modules:
        sys.modules["numba"].set_num_threads(1)
    else:
        os.environ["NUMBA_NUM_THREADS"] = "1"


@app.command("rows")
def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Rows or groups (ldpc, slot, stage, channels, receiver, gpu) or scaling. [default: all]",
        ),
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="PEER", help="Also measure a peer, interleaved with ours: sionna.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for bench.json, bench.md and the picture.")] = Path("runs/bench"),
    write: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the Markdown page here as well, with its history by commit beside it."
        ),
    ] = None,
    assets: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of the pictures and the history of --write. [default: beside it]"),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Short samples and few blocks, for a rough impression only.")
    ] = False,
    compile_peer: Annotated[
        bool, typer.Option("--compile-peer", help="Also try torch.compile on the peer: a minute or more per row.")
    ] = False,
) -> None:
    """Measure speed, the floor that this machine sets, and errors, row by row.

    A full run against Sionna takes some minutes and wants a machine that does nothing else.
    """
    # Read when numpy and its libraries are loaded, which is after this.
    _use_one_thread()
    from dataclasses import replace

    from ran.bench.page import as_json, spread, steadiness, verdict
    from ran.bench.row import FULL, QUICK
    from ran.bench.run import check_folder, check_page, check_request, run
    from ran.bench.run import write as write_files

    check_request(names or [], against)
    if assets is not None and write is None:
        raise InputError(f"--assets {assets}: there is no page that they belong to; allowed: together with --write")
    check_folder(out)
    if write is not None:
        check_page(write, assets)

    def show(row: Measured) -> None:
        unit = f" {row.row.unit}/s"
        parts = [f"ours {spread(row.ours, unit)}"]
        if row.peer is not None:
            parts.append(f"Sionna {spread(row.peer, unit)}; ratio {spread(row.ratio, '×')}")
        if row.times_lmmse is not None:
            parts.append(f"{spread(row.times_lmmse, '×')} the time of lmmse")
        parts.append(f"target {row.row.target.text()}: {verdict(row)}")
        if row.above_floor is not None:
            parts.append(f"{row.above_floor:.3g} times the floor")
        if row.parity is not None:
            parts.append(row.parity.text + ("" if row.parity.ok else ": WRONG"))
        print("   " + "\n   ".join(parts), flush=True)

    result = run(
        names or [],
        against,
        replace(QUICK if quick else FULL, compile_peer=compile_peer),
        quick=quick,
        command=" ".join(["ran", "bench", *_arguments()]),
        say=lambda text: print(text, flush=True),
        show=show,
    )
    for axis in result.scaling:
        print(f"   {axis.what}: {axis.finding}")
    _print_table(result.rows)
    print(steadiness(result.rows))
    written = write_files(result, out, write, assets)
    answer(files=written, result=as_json(result))
    print("written: " + ", ".join(map(str, written)))


@app.command("latency")
def latency(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Receivers, {name: ..., options}, trained weights, or files (.onnx, .tflite).",
        ),
    ],
    experiment: Annotated[str, typer.Option(help="Experiment whose slots are received.")] = "pusch-receivers",
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change the experiment, e.g. carrier.num_prb=51."),
    ] = None,
    num_prb: Annotated[
        list[int] | None,
        typer.Option(min=1, max=275, help="PRBs of the slots; repeat it for several. [default: the experiment's]"),
    ] = None,
    slots: Annotated[int, typer.Option(min=10, max=1_000_000, help="Slots timed, after warming up.")] = 2000,
    device: Annotated[str, typer.Option(help="Where torch computes: cpu, cuda, ...")] = "cpu",
    runtimes: Annotated[
        list[str] | None,
        typer.Option("--runtime", help="Of trained weights: eager, compile, onnx; repeat it. [default: eager]"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for latency.json, latency.md and latency.png.")] = Path(
        "runs/latency"
    ),
) -> None:
    """Time models slot by slot, against the duration of a slot in each numerology.

    From the received slot to its LLRs: median, 99 % and 99.9 % of the slots, as table and picture.
    """
    _use_one_thread()
    from ran.bench.latency import check_models, markdown, measure, verdict, write
    from ran.bench.run import check_folder

    check_models(models, experiment, overrides or [], device, runtimes or ["eager"], num_prb or ())
    check_folder(out)
    rows = measure(
        models,
        experiment,
        overrides or [],
        slots,
        device,
        lambda row: print(
            f"{row.model}, {row.runtime}, {row.num_prb} PRB: {row.latency.text()}; in time at {verdict(row.latency)}",
            flush=True,
        ),
        runtimes or ["eager"],
        lambda text: print(text, flush=True),
        num_prb or (),
    )
    command = " ".join(["ran", "bench", *_arguments()])
    print(markdown(rows, command))
    written = write(rows, out, command)
    answer(files=written, rows=list(rows))
    print("written: " + ", ".join(map(str, written)))


@app.command("profile")
def profile(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Experiment whose slots are profiled.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change the experiment, e.g. carrier.num_prb=51."),
    ] = None,
    esn0_db: Annotated[
        float | None,
        typer.Option(
            metavar="DB",
            help="Es/N0. [default: the experiment's lowest point at which its first receiver loses at most 10 %]",
        ),
    ] = None,
    slots: Annotated[int, typer.Option(min=1, max=1_000_000, help="Fewest slots; rounded up to whole batches.")] = 256,
    out: Annotated[Path, typer.Option(help="Folder for profile.json, profile.csv, profile.md and profile.png.")] = Path(
        "runs/profile"
    ),
) -> None:
    """Where a slot's time goes: stage by stage, receiver by receiver, against the floor of each stage.

    On one thread, in processor time, so that other load on the machine hardly matters.
    """
    _use_one_thread()
    from ran.bench.profile import profile as measure_profile
    from ran.bench.profile_page import as_json, as_markdown
    from ran.bench.profile_page import write as write_files
    from ran.bench.run import check_folder
    from ran.sim.experiment import load

    load(experiment, overrides or [])
    check_folder(out)
    found = measure_profile(experiment, overrides or [], slots, esn0_db, lambda text: print(text, flush=True))
    command = " ".join(["ran", "bench", *_arguments()])
    print(as_markdown(found, command))
    written = write_files(found, out, command)
    answer(files=written, result=as_json(found))
    print("written: " + ", ".join(map(str, written)))


@app.command("driver")
def driver(
    experiment: Annotated[
        str, typer.Argument(metavar="EXPERIMENT", help="Experiment whose first point is driven, without simulating it.")
    ],
    workers: Annotated[
        list[int] | None,
        typer.Argument(min=1, max=10_000, metavar="[WORKERS]...", help="Numbers of workers. [default: 10 100 1000]"),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change the experiment, e.g. carrier.num_prb=51."),
    ] = None,
) -> None:
    """How busy the process that drives a run is with many workers, who answer at once: a model of a large cluster.

    Plan, schedule and store are those of a run, the store in the temporary folder; processor time of the driver alone.
    """
    from ran.bench.driver_costs import driver_cost
    from ran.sim.experiment import load

    # drops without errors would end a curve after its first point
    loaded = load(experiment, overrides or [])
    first = load(experiment, [*(overrides or []), f"esn0_db=[{loaded.snr_grid[0]:g}]"])
    driver_cost(first, 1)  # what is loaded and compiled once is no part of it
    costs = []
    for count in workers or (10, 100, 1000):
        costs.append(driver_cost(first, count))
        print(costs[-1].text(), flush=True)
    answer(costs=[{**asdict(cost), "busy": cost.busy} for cost in costs])


def _arguments() -> list[str]:
    """What followed `bench` on the command line."""
    return sys.argv[sys.argv.index("bench") + 1 :] if "bench" in sys.argv else []


def _print_table(rows: tuple[Measured, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    from ran.bench.page import quantity, verdict

    if not rows:
        return
    against = any(row.peer is not None for row in rows)
    table = Table(title="medians, one thread each", title_justify="left")
    table.add_column("row")
    for title in ("ours", *(("Sionna", "ratio") if against else ()), "target", "", "x floor", "drift"):
        table.add_column(title, justify="right")
    for row in rows:
        unit = f" {row.row.unit}/s"
        cells = [row.row.name, quantity(row.ours.known) + unit]
        if against and row.peer is not None and row.ratio is not None:
            cells += [quantity(row.peer.known) + unit, f"{quantity(row.ratio.known)}×"]
        floor = "—" if row.above_floor is None else quantity(row.above_floor)
        drift = "—" if row.drift is None else f"{100 * row.drift:+.0f} %"
        table.add_row(*cells, row.row.target.text(), verdict(row), floor, drift)
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=140)).print(table)
