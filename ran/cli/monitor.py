"""`ran monitor`: does a trained receiver still do what it was trained to, told without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ran.cli.answer import answer, report
from ran.cli.default_command import group_with_default

app = typer.Typer(
    cls=group_with_default("watch"),
    no_args_is_help=True,
    help="Monitor a trained receiver without labels: `ran monitor DATA --weights W` on a data set or a recording; "
    "`ran monitor reference|measure W`.",
)


@app.command("watch")
def watch(
    data: Annotated[Path, typer.Argument(help="A data set of slots, or with --config a recording.")],
    weights: Annotated[
        str, typer.Option(help="Trained weights: a name of `ran list weights`, or FILE.safetensors.")
    ] = "pusch-realtime",
    receiver: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What runs, where it is not the weights alone, such as '{name: arbitrated}'. [default: the weights]",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML of `ran decode` that says what the recording holds.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change that configuration, e.g. pusch.mcs_index=9."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder. [default: runs/monitor-NAME]")] = None,
) -> None:
    """Run a trained receiver over slots and detect drift without labels: from CRC, parity and a simple receiver.

    Writes monitor.html with a time line and the alarms, monitor.csv with every slot, and monitor.json. The exit status
    is 1 when there was an alarm.
    """
    from ran.cli.progress import ProgressLine
    from ran.cli.receiver_option import receiver_blocks
    from ran.errors import InputError
    from ran.sim.files import make_folder
    from ran.studies.monitor.page import CSV, summaries, write_results
    from ran.studies.monitor.reference import load_reference
    from ran.studies.monitor.run import monitor

    if overrides and config is None:
        raise InputError("--set: got some without --config; allowed: with the configuration of a recording")
    if not data.exists():
        raise InputError(f"DATA: got {str(data)!r}, which is not there; allowed: a data set or a recording")
    _check_weights(weights)
    block = dict(receiver_blocks([receiver or weights])[0])
    reference = load_reference(weights)
    folder = out or Path("runs") / f"monitor-{data.stem}"
    with ProgressLine() as line:
        found = monitor(data, block, reference, config, tuple(overrides or ()), line.say)
    make_folder(folder)
    page = write_results(found, folder)
    for problem in found.problems:
        print(f"problem: {problem}")
    said = summaries(found)
    for text in said:
        print(text)
    report(page, page.with_name(CSV), summary=said, windows_with_alarm=found.alarms)
    if any(found.alarms.values()):
        raise typer.Exit(1)


def _check_weights(weights: str) -> None:
    """`InputError` for weights that are not there, before anything is made."""
    from ran.errors import InputError
    from receivers.neural.weights import load_weights

    try:
        load_weights(weights)
    except ValueError as error:
        raise InputError(str(error)) from None


@app.command("reference")
def reference(
    weights: Annotated[str, typer.Argument(help="Trained weights by name, or FILE.safetensors.")],
    windows: Annotated[int, typer.Option(min=20, max=100_000, help="Windows of 20 slots of the training.")] = 300,
) -> None:
    """Record the statistics of the slots that weights were trained on, beside them, for `ran monitor DATA`.

    Slots are drawn as the model card says they were for training.
    """
    from ran.cli.progress import ProgressLine
    from ran.studies.monitor.reference import make_reference, reference_path

    _check_weights(weights)
    with ProgressLine() as line:
        found = make_reference(weights, windows, line.say)
    path = reference_path(weights)
    path.parent.mkdir(exist_ok=True)
    found.save(path)
    for name, threshold in found.thresholds.items():
        print(f"{name}: alarm above {threshold:.3g}")
    print(f"written: {path}")
    answer(reference=path, thresholds=found.thresholds)


@app.command("measure")
def measure(
    weights: Annotated[str, typer.Argument(help="Trained weights by name, or FILE.safetensors.")],
    slots: Annotated[
        int,
        typer.Option(
            min=40, max=100_000, help="Slots of every scene that detectors see; others, as many, are counted."
        ),
    ] = 100,
    windows: Annotated[int, typer.Option(min=20, max=100_000, help="Windows of the training, for false alarms.")] = 200,
    out: Annotated[Path | None, typer.Option(help="Folder. [default: runs/monitor-measure-NAME]")] = None,
) -> None:
    """Measure how often monitoring detects that a receiver is worse than lmmse, and its false alarms.

    Scenes are conditions of `ran robustness`, with the weights as they are and damaged; labels give the truth.
    Writes detection.json and roc.png.
    """
    from ran.cli.progress import ProgressLine
    from ran.sim.files import make_folder
    from ran.studies.monitor.detection import lines, measure_detection, write_detection

    _check_weights(weights)
    folder = out or Path("runs") / f"monitor-measure-{Path(weights).stem}"
    make_folder(folder)  # before minutes of work
    with ProgressLine() as line:
        found = measure_detection(weights, slots, windows, line.say)
    write_detection(found, folder)
    said = lines(found)
    for text in said:
        print(text)
    print(f"written: {folder}")
    answer(folder=folder, summary=said)
