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
    help="Monitor a trained receiver, beam or CSI model without labels: `ran monitor DATA --weights W` on a data set "
    "or a recording; `ran monitor reference|measure W`.",
)


@app.command("watch")
def watch(
    data: Annotated[
        Path, typer.Argument(help="A data set of slots, of beams or of CSI reports, or with --config a recording.")
    ],
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

    With weights of a beam model DATA is a file of `ran data beams`, with those of a CSI model one of `ran data csi
    --weights`: whether reports serve worse than what would be done without the model, and are like those of its
    training.

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
    task = _task_of(weights)
    if task != "receiver":
        if receiver is not None or config is not None:
            given = "--receiver" if receiver is not None else "--config"
            raise InputError(f"{given}: got one with weights of {task}; allowed: with those of receivers")
        _watch_reports(data, weights, task, out)
        return
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


def _watch_reports(data: Path, weights: str, task: str, out: Path | None) -> None:
    """`watch` of a beam or CSI model."""
    from ran.cli.progress import ProgressLine
    from ran.sim.files import make_folder
    from ran.studies.monitor.drift import load_drift_reference
    from ran.studies.monitor.drift_page import drift_in, summaries, write_drift
    from ran.studies.monitor.drift_sources import reports_on
    from ran.studies.monitor.page import CSV
    from receivers.neural.weights import load_weights

    reference = load_drift_reference(weights, load_weights(weights, task).sha256)
    with ProgressLine() as line:
        found = drift_in(reports_on(data, weights, task, line.say), reference)
    folder = out or Path("runs") / f"monitor-{data.stem}"
    make_folder(folder)
    page = write_drift(found, folder)
    said = summaries(found)
    for text in said:
        print(text)
    report(page, page.with_name(CSV), summary=said, windows_with_alarm=found.alarms)
    if any(found.alarms.values()):
        raise typer.Exit(1)


def _task_of(weights: str) -> str:
    """What weights are for: "receiver", "beams" or "csi". `InputError` for weights that are not there."""
    from ran.errors import InputError
    from receivers.files import read_json
    from receivers.neural.weights import card_path, load_weights, task_of

    try:
        card = card_path(weights)
        task = task_of(read_json(card)) if card.is_file() else "receiver"
        load_weights(weights, task)
    except ValueError as error:
        raise InputError(str(error)) from None
    return task


def _check_weights(weights: str) -> None:
    """`InputError` for weights that are not there, or not of a receiver, before anything is made."""
    from ran.errors import InputError
    from receivers.neural.weights import load_weights

    try:
        load_weights(weights)
    except ValueError as error:
        raise InputError(str(error)) from None


@app.command("reference")
def reference(
    weights: Annotated[str, typer.Argument(help="Trained weights by name, or FILE.safetensors.")],
    windows: Annotated[int, typer.Option(min=20, max=100_000, help="Windows of 20 slots of the training.")] = 400,
    data: Annotated[
        Path | None,
        typer.Option(help="Of a beam or CSI model: a data set of its training, of `ran data beams` or `ran data csi`."),
    ] = None,
) -> None:
    """Record the statistics of what weights were trained on, beside them, for `ran monitor DATA`.

    Slots of receivers are drawn as the model card says they were for training. For beam and CSI models a data set tells
    what the training was like.
    """
    from ran.cli.progress import ProgressLine
    from ran.errors import InputError
    from ran.studies.monitor.drift import DriftReference, make_drift_reference
    from ran.studies.monitor.drift_sources import reports_on
    from ran.studies.monitor.reference import Reference, make_reference, reference_path

    task = _task_of(weights)
    if (task == "receiver") != (data is None):
        allowed = "none with weights of receivers" if task == "receiver" else f"a data set with weights of {task}"
        given = "none" if data is None else repr(str(data))
        raise InputError(f"--data: got {given}; allowed: {allowed}")
    found: Reference | DriftReference
    with ProgressLine() as line:
        if data is None:
            found = make_reference(weights, windows, line.say)
        else:
            reports = reports_on(data, weights, task, line.say)
            source = f"ran monitor reference {Path(weights).name} --data {data.name}"
            found = make_drift_reference(
                Path(weights).stem, reports.sha256, reports.setting, reports.names, reports.values, source
            )
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
