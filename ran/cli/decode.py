"""`ran decode`: recorded signals to transport blocks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ran.cli.answer import answer, report

if TYPE_CHECKING:
    from ran.recordings.slot_result import Decoded


def _print_example(wanted: bool) -> None:
    if wanted:
        from importlib.resources import files

        print(files("ran.recordings").joinpath("example.yaml").read_text(encoding="utf-8"), end="")
        raise typer.Exit


def decode(
    recording: Annotated[
        Path,
        typer.Argument(
            help="SigMF, fronthaul IQ as text or pcap, a folder of the Aerial Data Lake, or an array in .npy, .npz, "
            ".mat, .h5."
        ),
    ],
    config: Annotated[
        Path, typer.Option("--config", help="YAML with carrier, pusch or pdsch, and the format's block.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change the configuration, e.g. pusch.mcs_index=9."),
    ] = None,
    receivers: Annotated[
        list[str] | None,
        typer.Option(
            "--receiver",
            metavar="NAME",
            help="A receiver, trained weights, FILE.py:CLASS, FILE.onnx or a block; repeat it to compare. [default: "
            "those of the configuration]",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder. [default: runs/decode-NAME]")] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the slots whose bits are known as a data set in .h5, .hdf5 or .zarr, for `data:` of a training "
            "recipe.",
        ),
    ] = None,
    example: Annotated[
        bool,
        typer.Option("--example", callback=_print_example, is_eager=True, help="Print a configuration with every key."),
    ] = False,
) -> None:
    """Decode a recording slot by slot, and compare receivers on it.

    Writes decode.html with grids, constellations and channels, decode.csv and decode.json with payloads. What cannot be
    read or decoded is reported in a line each; all other slots are decoded. Exit status 0 when every
    decoded slot was received by at least one receiver, 1 when not, 2 when there was nothing to decode.
    """
    from ran.cli.receiver_option import receiver_blocks
    from ran.link.catalogue import receiver_notes
    from ran.recordings.config import DecodeConfig
    from ran.recordings.decode import Decoding
    from ran.recordings.read import read
    from ran.recordings.receivers import build_receivers
    from ran.recordings.results import CSV, summaries, write_results
    from ran.recordings.training_set import check_target, write_training_set
    from ran.sim.loading import load_as

    loaded, folder = load_as(DecodeConfig, config, overrides or [], {})
    if receivers:
        built = build_receivers(receiver_blocks(receivers), folder)
    else:
        built = build_receivers(loaded.receivers, folder)
    if data is not None:
        check_target(data)
    found = read(recording, loaded)
    decoded = Decoding(loaded, built, keeps_slots=data is not None).run(found)
    page = write_results(found, decoded, recording.name, loaded.description, out or _folder(recording))
    _print_table(decoded)
    for note in receiver_notes(built):
        print(f"note: {note}", file=sys.stderr)
    for line in [*found.problems, *decoded.problems]:
        print(f"problem: {line}")
    for summary in summaries(decoded):
        print(summary.text)
    answer(problems=[*found.problems, *decoded.problems], summaries=[summary.text for summary in summaries(decoded)])
    report(page, page.with_name(CSV))
    if data is not None:
        written = write_training_set(data, decoded.kept, recording.name)
        for line in written.problems:
            print(line)
        answer(data=data, data_slots=written.slots)
        print(f"data: {data}, {written.slots} of {len(decoded.kept)} decoded slots")
    if not decoded.results or not all(result.is_received for result in decoded.results):
        raise typer.Exit(1)


def _folder(recording: Path) -> Path:
    return Path("runs") / f"decode-{recording.resolve().stem}"


def _print_table(decoded: Decoded) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ran.recordings.results import USER_COLUMNS, user_cells

    table = Table(title_justify="left")
    for name in ("slot", "receiver", "block", "received"):
        table.add_column(name, no_wrap=True)
    for name in ("SNR dB", "EVM %", *USER_COLUMNS):
        table.add_column(name, justify="right")
    for result in decoded.results[:40]:
        found = result.measurement
        for block in result.blocks:
            received = Text("yes", style="green") if block.received else Text("no", style="bold red")
            table.add_row(
                result.name,
                block.receiver,
                str(block.block),
                received,
                f"{found.snr_db:.1f}",
                f"{100 * result.evm:.1f}",
                *user_cells(result, block, 0)[1:],
            )
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=120)).print(table)
    if len(decoded.results) > 40:
        print(f"{len(decoded.results) - 40} more slots in the report")
