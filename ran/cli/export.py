"""`ran export`: a trained model as a file for another stack, checked; and files of others held against a contract."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ran.cli import completion
from ran.cli.answer import answer, report
from ran.cli.default_command import group_with_default

if TYPE_CHECKING:
    from ran.export.outcome import FileOutcome

app = typer.Typer(
    cls=group_with_default("model"),
    no_args_is_help=True,
    help="Models for other stacks: `ran export MODEL --target T --out DIR` (`ran export model --help`, "
    "`ran list targets`); `ran export check|info FILE`.",
)


@app.command("model")
def model(
    weights: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Trained weights (`ran list weights`), or a file; for c-library lmmse, blind or {name: ..., options}.",
            autocompletion=completion.weights,
        ),
    ],
    target: Annotated[
        str,
        typer.Option(
            help="For which stack (`ran list targets`): onnx, aerial-nrx, cuphy-chest, oai-nrx, oai-demapper, llrnet, "
            "torch, tensorrt, litert or savedmodel; hub for the layout of model hubs; beams for beam predictors, csi "
            "for CSI models; c-library for lmmse and blind; FILE.py:Class for your own target, and "
            "{name: ..., option: value} for its options."
        ),
    ],
    out: Annotated[Path, typer.Option(help="New folder for the model, its contract, test vectors and report.")],
    num_prb: Annotated[
        list[int] | None,
        typer.Option(min=1, max=275, help="PRBs of a file; repeat it for several files. [default: the experiment's]"),
    ] = None,
    dtype: Annotated[str, typer.Option(help="Numbers that the networks compute in: f32, f16, bf16 or int8.")] = "f32",
    experiment: Annotated[
        str | None,
        typer.Option(
            help="Experiment whose slots, beams or drops the file is for. "
            "[default: pusch-receivers, beams-uma-30ghz, csi-uma-32ports]"
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change the experiment, e.g. pusch.mcs_index=20."),
    ] = None,
    esn0_db: Annotated[
        float | None,
        typer.Option("--esn0-db", min=-30, max=60, help="SNR where block errors are compared. [default: the target's]"),
    ] = None,
    slots: Annotated[int, typer.Option(min=8, max=1_000_000, help="Slots on which block errors are compared.")] = 256,
    max_loss_db: Annotated[
        float, typer.Option(min=0, max=10, help="f16 and int8: SNR loss at 10 % BLER above which the file is rejected.")
    ] = 0.2,
    loss_slots: Annotated[
        int, typer.Option(min=64, max=1_000_000, help="f16 and int8: slots per SNR point for that loss.")
    ] = 512,
    planes: Annotated[
        int | None, typer.Option(min=2, max=8, help="LLR planes of aerial-nrx; zeros beyond the constellation's bits.")
    ] = None,
) -> None:
    """Export trained weights for a stack, run the file in its own runtime, and report on it.

    The exit status is 1 when the file does not reproduce the weights' output; the file then goes to OUT.rejected.
    """
    from ran.export.catalogue import target_of

    chosen = target_of(target)
    from ran.cli.progress import ProgressLine
    from ran.export.outcome import Outcome
    from ran.export.request import Request

    request = Request(
        weights,
        chosen,
        out,
        num_prb=tuple(num_prb or ()),
        dtype=dtype,
        experiment=experiment or "",
        changes=tuple(overrides or ()),
        esn0_db=esn0_db,
        num_slots=slots,
        loss_slots=loss_slots,
        max_loss_db=max_loss_db,
        planes=planes,
    )
    request.check()
    with ProgressLine() as line:
        outcome = chosen.export(request, line.say)
    if isinstance(outcome, Outcome):
        answer(files=[_told(file) for file in outcome.files], notes=outcome.notes)
    answer(found=list(outcome.lines()))
    for text in outcome.lines():
        print(text)
    _finish(outcome.folder, outcome.problems)


def _told(file: FileOutcome) -> dict[str, object]:
    return {
        "file": file.name,
        "sha256": file.sha256,
        "num_bytes": file.num_bytes,
        "llrs": file.llrs,
        "bler": file.bler,
        "latency": file.latency_after,
        "loss": file.loss,
    }


def _finish(folder: Path, problems: Sequence[str]) -> None:
    """Say where the export is, and end with a status of 1 where it was rejected."""
    answer(folder=folder, is_accepted=not problems, problems=list(problems))
    for problem in problems:
        print(f"rejected: {problem}")
    report(folder / "REPORT.md")
    if problems:
        raise typer.Exit(1)


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="An ONNX file, or a LiteRT file (.tflite).")],
    contract: Annotated[
        str,
        typer.Option(
            help="Contract that it is held against: generic, aerial-nrx, cuphy-chest, oai-nrx, oai-demapper or llrnet."
        ),
    ],
    bits_per_symbol: Annotated[
        int | None,
        typer.Option(min=2, max=8, help="Bits per symbol of the slots it is run on, where the file does not tell."),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json-file", help="Write the clauses as JSON into it.")] = None,
    page: Annotated[Path | None, typer.Option(help="Write the clauses as an HTML page into this file.")] = None,
) -> None:
    """Run a file and report which clauses of a contract it meets. Exit status 1 when a required one is not met.

    Every clause cites its source: file and function of the stack that reads the model. Unit and quality of LLRs are
    measured and reported; no contract depends on them.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ran.export.check import check_file
    from ran.export.check_report import as_json, as_page, conclusion
    from ran.sim.files import write_text

    clauses = check_file(file, contract, bits_per_symbol)
    told = as_json(file, contract, clauses)
    answer(**told)
    if json_file is not None:
        write_text(json_file, json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    if page is not None:
        write_text(page, as_page(file, contract, clauses))
    table = Table(title=f"{file.name} as {contract}", title_justify="left")
    for title in ("clause", "kind", "", "found", "evidence"):
        table.add_column(title)
    styles = {"met": "green", "BROKEN": "bold red", "not met": "yellow", "not told": "yellow"}
    for clause in clauses:
        verdict = Text(clause.verdict, style=styles[clause.verdict])
        table.add_row(Text(clause.text), Text(clause.kind), verdict, Text(clause.found), Text(clause.evidence))
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=200)).print(table)
    print(conclusion(clauses))
    if not all(clause.met for clause in clauses if clause.demanded):
        raise typer.Exit(1)


@app.command("info")
def info(file: Annotated[Path, typer.Argument(help="An exported file, or the folder of a SavedModel.")]) -> None:
    """Print the metadata of an exported file, after checking that it was not changed since."""
    from ran.export.info import facts

    found = facts(file)
    answer(file=file, facts=found)
    print("\n".join(f"{name}: {value}" for name, value in found.items()))
