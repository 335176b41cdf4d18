"""`ran robustness`: receivers on channels, bandwidths and radios that they were not designed for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ran.cli.answer import report
from ran.cli.cluster_option import ClusterOption, workers_of
from ran.cli.receiver_option import receiver_blocks

if TYPE_CHECKING:
    from ran.studies.robustness.outcome import Outcome


def robustness(
    receivers: Annotated[
        list[str] | None,
        typer.Option(
            "--receiver",
            metavar="NAME",
            help="A receiver (`ran list receivers`), trained weights (`ran list weights`), FILE.safetensors, "
            "FILE.onnx, FILE.py:CLASS, or a block in braces. Repeat it for several. ls-linear and lmmse are always "
            "there. [default: all shipped weights of receivers]",
        ),
    ] = None,
    conditions: Annotated[
        list[str] | None,
        typer.Option("--condition", metavar="NAME", help="A condition or a group of them. [default: all]"),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--conditions",
            help="Conditions of your own, in a file of the form of ran/studies/robustness/conditions.yaml.",
        ),
    ] = None,
    slots: Annotated[int, typer.Option(min=16, max=1_000_000, help="Most slots per point.")] = 192,
    write_card: Annotated[
        bool, typer.Option("--write-card", help="Write the results into the model cards of the weights.")
    ] = False,
    monitor: Annotated[
        bool, typer.Option("--monitor", help="Also say what `ran monitor` finds in 40 slots of each condition.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder of the study.")] = Path("runs/robustness"),
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Worker processes. [default: one per core]")
    ] = None,
    cluster: ClusterOption = None,
) -> None:
    """Find each receiver's Es/N0 at 10 % BLER under many conditions, and its gain over lmmse.

    All receivers are compared on common random numbers. The exit status is 1 when one of them is significantly worse
    than ls-linear under any condition, by more than 0.1 dB. Interrupt it at any time: the same command resumes, also
    with more receivers.
    """
    from ran.cli.progress import ProgressLine
    from ran.sim.simulation import build_simulation
    from ran.studies.monitor.alarms import show_none
    from ran.studies.monitor.condition import watch
    from ran.studies.robustness.conditions import load_conditions
    from ran.studies.robustness.outcome import BASELINE, FLOOR
    from ran.studies.robustness.page import CSV, summaries, write_results
    from ran.studies.robustness.run import Request, run_conditions
    from receivers.neural.weights import shipped_weights

    known = load_conditions(file)
    chosen = known.select(conditions or [])
    of_receivers = [name for name, card in shipped_weights().items() if "bits_per_symbol" in card]
    tried = [name for name in receivers or of_receivers if name not in (FLOOR, BASELINE)]
    blocks = receiver_blocks([FLOOR, BASELINE, *tried])
    outcomes: list[Outcome] = []
    first = known.experiment(chosen[0], blocks[0], slots)
    with ProgressLine() as listener, workers_of(cluster, first, build_simulation, workers) as far:

        def show(found: tuple[Outcome, ...]) -> None:
            outcomes.extend(found)
            write_results(outcomes, out)

        request = Request(known, chosen, blocks, slots)
        # in their order, whichever was done first
        outcomes[:] = run_conditions(request, out, workers=workers, listener=listener, show=show, executor=far)
    alarms = {}
    if monitor:
        alarms = watch(known, outcomes, blocks, out)
    else:
        show_none(out)
    page = write_results(outcomes, out, alarms)
    print_results(outcomes, alarms)
    report(page, page.with_name(CSV), summary=summaries(outcomes))
    if write_card:
        _write_cards(outcomes, blocks, slots, conditions or [], file)
    if any(outcome.verdict == "worse" for outcome in outcomes):
        raise typer.Exit(1)


def _write_cards(
    outcomes: list[Outcome], blocks: tuple[dict[str, Any], ...], slots: int, chosen: list[str], file: Path | None
) -> None:
    """The matrix of each trained model into its card."""
    from ran.errors import InputError
    from ran.sim.experiment import ReceiverBlock
    from ran.studies.robustness.card import matrix
    from ran.training.card import add_matrix
    from receivers.neural.weights import card_path

    models = [block for block in blocks if block["name"] == "neural"]
    if not models:
        raise InputError("--write-card: got no trained weights; allowed: with weights among the receivers")
    for block in models:
        command = ["ran robustness", f"--receiver {Path(block['weights']).name}", f"--slots {slots}"]
        command += [f"--condition {name}" for name in chosen] + ([f"--conditions {file.name}"] if file else [])
        title = ReceiverBlock.model_validate(block).title
        path = card_path(block["weights"])
        add_matrix(path, matrix(outcomes, title, " ".join(command)))
        print(f"written: {path.with_suffix('.md')}")


def print_results(outcomes: Sequence[Outcome], alarms: Mapping[tuple[str, str], str] | None = None) -> None:
    """The table of a study in the terminal, and what it comes to. alarms: as of `write_results`."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ran.studies.robustness.outcome import BASELINE, FLOOR
    from ran.studies.robustness.page import by_condition, cell, competitors, summaries

    receivers = competitors(outcomes)
    table = Table(title=f"Es/N0 at 10 % BLER and gain over {BASELINE}, dB, with 95 % intervals", title_justify="left")
    table.add_column("condition", no_wrap=True)
    for name in (FLOOR, BASELINE):
        table.add_column(name, justify="right", no_wrap=True)
    for name in receivers:
        table.add_column(f"{name}: gain", justify="right", no_wrap=True)
        table.add_column(f"against {FLOOR}", no_wrap=True)
        if alarms:
            table.add_column("alarms", no_wrap=True)
    styles = {"worse": "bold red", "undecided": "yellow", "not worse": "green"}
    for condition, line in by_condition(outcomes):
        cells = [Text(str(line[name].crossing)) for name in (FLOOR, BASELINE)]
        for name in receivers:
            found = line[name]
            cells += [Text(cell(found)), Text(found.verdict, style=styles.get(found.verdict, "dim"))]
            if alarms:
                cells.append(Text(alarms.get((condition.name, name), "—")))
        table.add_row(condition.title, *cells)
    console = Console(highlight=False)
    width = 80 + (42 + 30 * bool(alarms)) * len(receivers)
    (console if console.is_terminal else Console(highlight=False, width=width)).print(table)
    for text in summaries(outcomes):
        print(text)
