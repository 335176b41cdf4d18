"""`ran data`: write, describe and check data sets."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ran.cli.answer import answer, report
from ran.cli.data_of_studies import answer_header, beams, csi, rays
from ran.cli.default_command import group_with_default
from ran.cli.numbers_option import numbers, whole_numbers
from ran.counted import counted

if TYPE_CHECKING:
    from ran.datasets.request import DataRequest
    from ran.datasets.write import Progress


app = typer.Typer(
    cls=group_with_default("write"),
    no_args_is_help=True,
    help="Data sets: `ran data EXPERIMENT --out FILE` writes one; `ran data info|verify|evaluate|measure|sigmf FILE`; "
    "`ran data beams|csi EXPERIMENT`, `ran data rays SCENE`.",
)


@app.command("write")
def write(
    experiment: Annotated[
        str, typer.Argument(help="An experiment file, or the name of a built-in one (`ran list experiments`).")
    ],
    out: Annotated[Path, typer.Option(help="File in .h5, .hdf5 or .zarr.")],
    drops: Annotated[int, typer.Option(help="Slots in total, shared evenly by the SNR points.")] = 1000,
    kind: Annotated[str, typer.Option(help="slots, or channels only.")] = "slots",
    esn0_db: Annotated[
        str | None,
        typer.Option("--esn0-db", metavar="LOW:HIGH", help="Draw Es/N0 per drop. [default: the experiment's points]"),
    ] = None,
    precision: Annotated[
        str, typer.Option(help="complex64, or complex-float16: half the size, errors below 2^-11 relative.")
    ] = "complex64",
    channel: Annotated[
        bool, typer.Option("--with-channel/--without-channel", help="Keep the channel of slots.")
    ] = True,
    split: Annotated[str, typer.Option(metavar="TRAIN,VAL,TEST", help="Shares of the sites.")] = "0.8,0.1,0.1",
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change the experiment, e.g. carrier.num_prb=51."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed that replaces the experiment's.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Worker processes. [default: one per core]")
    ] = None,
    chunk_drops: Annotated[
        int | None, typer.Option(help="Drops written and hashed together. [default: about 16 MiB]")
    ] = None,
) -> None:
    """Simulate an experiment's slots or channels into a file, in parallel.

    Interrupt it at any time, or kill it: the same command resumes, and ends with the same file.
    """
    from ran.datasets.container import check_suffix
    from ran.datasets.write import write as write_file
    from ran.sim.experiment import load

    check_suffix(out)
    changes = list(overrides or [])
    if seed is not None:
        changes.append(f"seed={seed}")
    loaded = load(experiment, changes)
    request = _request(kind, drops, esn0_db, precision, channel, split, chunk_drops)
    from ran.cli.progress import ProgressLine

    with ProgressLine() as line:
        written = write_file(loaded, request, out, workers, line.say, _shown(line.say))
    header = written.header
    size = written.bytes / 1e6
    answer_header(out, header, drops_simulated=written.drops)
    print(
        f"{out}: {counted(header.num_drops, 'drop')}, {size:.1f} MB of numbers in {counted(header.num_chunks, 'chunk')}"
    )
    if written.found:
        print(f"{written.found} chunks were there")
    if written.drops:
        rate = written.drops_per_s
        speed = f", {rate:.0f} slots/s, {rate * header.drop_bytes / 1e6:.0f} MB/s once started" if rate else ""
        print(f"{counted(written.drops, 'drop')} simulated in {written.seconds:.1f} s{speed}")


@app.command("info")
def info(file: Annotated[Path, typer.Argument(help="A data set.")]) -> None:
    """Print what is in a data set."""
    from ran.datasets.info import facts, in_lines

    found = facts(file)
    answer(file=file, **found)
    print("\n".join(in_lines(found)))


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="A data set.")],
    repeat: Annotated[int, typer.Option(min=0, max=10_000, help="Chunks to simulate again and compare.")] = 2,
) -> None:
    """Check all hashes of a data set, and simulate a few chunks again.

    Exit status 1 when something is wrong or missing, a line each; 2 for a file that is no data set.
    """
    from ran.cli.progress import ProgressLine
    from ran.datasets.verify import verify as check
    from ran.studies.beams.data import KIND
    from ran.studies.beams.data_check import repeat_beams

    started = time.perf_counter()
    with ProgressLine() as line:
        verdict = check(file, repeat, line.say if line.is_terminal else lambda text: None, {KIND: repeat_beams})
    answer(file=file, is_whole=not verdict.problems, problems=verdict.problems, notes=verdict.notes)
    for problem in verdict.problems:
        print(problem)
    if verdict.problems:
        raise typer.Exit(1)
    for note in verdict.notes:
        print(note)
    print(f"{file}: whole, content {verdict.content[:16]}, {time.perf_counter() - started:.1f} s")


@app.command("evaluate")
def evaluate(
    file: Annotated[Path, typer.Argument(help="A data set of slots.")],
    receivers: Annotated[
        list[str] | None,
        typer.Option(
            "--receiver",
            metavar="NAME|BLOCK",
            help="A receiver, or a block such as '{name: lmmse, prior_max_doppler_hz: 300}'; repeat it for several. "
            "[default: those of the experiment]",
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="train, val or test. [default: all drops]")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder. [default: runs/NAME-data]")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Worker processes. [default: one per core]")
    ] = None,
) -> None:
    """Run receivers on the slots of a data set, and report on them as `ran sim` does.

    Interrupt it at any time: the same command resumes.
    """
    from ran.cli.progress import ProgressLine
    from ran.cli.table import print_summary, told
    from ran.datasets.evaluate import build_evaluation, experiment_on
    from ran.report import write_report
    from ran.sim.run import run
    from ran.sim.run_folder import CSV

    experiment = experiment_on(file, [_receiver(text) for text in receivers or ()], split)
    folder = out or Path("runs") / f"{experiment.name}-data"
    with ProgressLine() as listener:
        results = run(experiment, folder, workers=workers, listener=listener, build=build_evaluation)
        listener.say("writing the report")
        page = write_report([results], folder)
    print(experiment.description)
    print_summary(results)
    report(page, page.with_name(CSV), **told(results))


@app.command("measure")
def measure(
    file: Annotated[Path, typer.Argument(help="A data set of slots with their channel.")],
    slots: Annotated[int | None, typer.Option(min=2, help="Most slots per Es/N0. [default: all]")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the table as CSV.")] = None,
) -> None:
    """Measure users by the DM-RS of the slots, and print the errors: SINR, RSRP, timing, CFO, delay and Doppler spread.

    Bias and root mean square against what is true of the slots, with 95 % intervals.
    """
    from ran.cli.measurement_table import as_csv, print_errors
    from ran.cli.progress import ProgressLine
    from ran.datasets.measure import measurement_errors
    from ran.sim.files import write_text

    with ProgressLine() as line:
        rows = measurement_errors(file, slots, line.say if line.is_terminal else lambda text: None)
    print_errors(str(file), rows)
    answer(file=file, errors=rows)
    if out is not None:
        write_text(out, as_csv(rows))


@app.command("sigmf")
def sigmf(
    file: Annotated[Path, typer.Argument(help="A data set of slots.")],
    out: Annotated[Path, typer.Option(help="Name of the recording, without suffix.")],
    slots: Annotated[str, typer.Option(metavar="FIRST:END", help="Drops of the data set.")] = "0:1",
    frequency_hz: Annotated[float, typer.Option(min=0, help="Carrier frequency that the recording states.")] = 0.0,
    phase_compensation: Annotated[
        bool,
        typer.Option(
            "--phase-compensation", help="Apply the phase compensation of TS 38.211 §5.4 for the carrier frequency."
        ),
    ] = False,
) -> None:
    """Export received slots as a recording, NAME.sigmf-data and NAME.sigmf-meta."""
    from ran.datasets.recording import recording_of
    from ran.datasets.sigmf import write_sigmf

    first, end = whole_numbers("--slots", slots, ":", 2)
    recording = recording_of(file, first, end - first, frequency_hz, phase_compensation)
    data, meta = write_sigmf(out, recording)
    answer(data=data, meta=meta, sample_rate_hz=recording.sample_rate_hz, num_samples=recording.samples.shape[-1])
    seconds = recording.samples.shape[-1] / recording.sample_rate_hz
    print(f"{data}, {meta.name}: {seconds * 1e3:g} ms at {recording.sample_rate_hz / 1e6:g} MHz")


for command in (beams, csi, rays):
    app.command(command.__name__)(command)


def _receiver(text: str) -> dict[str, object]:
    """A receiver's block from the command line."""
    from ran.config.yaml_file import parse
    from ran.errors import bad_value

    value = parse(text, "--receiver")
    if isinstance(value, str):
        return {"name": value}
    if not isinstance(value, dict):
        raise bad_value("--receiver", text, "a name, or a block such as {name: lmmse, prior_max_doppler_hz: 300}")
    return value


def _request(
    kind: str,
    drops: int,
    esn0_db: str | None,
    precision: str,
    with_channel: bool,
    split: str,
    chunk_drops: int | None,
) -> DataRequest:
    from ran.config.validation import validate
    from ran.datasets.request import DataRequest

    values: dict[str, object] = {
        "kind": kind,
        "num_drops": drops,
        "precision": precision,
        "with_channel": with_channel,
        "split": dict(zip(("train", "val", "test"), numbers("--split", split, ",", 3), strict=True)),
        "chunk_drops": chunk_drops,
    }
    if esn0_db is not None:
        values["esn0_db"] = dict(zip(("low", "high"), numbers("--esn0-db", esn0_db, ":", 2), strict=True))
    return validate(DataRequest, values)


def _shown(say: Callable[[str], None]) -> Callable[[Progress], None]:
    """Progress as a line of text, at most one a second."""
    last = time.monotonic()

    def show(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last < 1:
            return
        last = time.monotonic()
        rate = progress.drops_per_s
        speed = f" · {rate:.0f} slots/s · {rate * progress.drop_bytes / 1e6:.0f} MB/s" if rate else ""
        say(f"{progress.drops} of {progress.num_drops} drops{speed}")

    return show
