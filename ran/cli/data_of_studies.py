"""`ran data beams|csi|rays`: files of the studies of beams and CSI, and of traced rays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ran.cli.answer import answer
from ran.cli.numbers_option import numbers, whole_numbers
from ran.counted import counted

if TYPE_CHECKING:
    from ran.datasets.header import Header


def beams(
    experiment: Annotated[
        str, typer.Argument(help="A beam experiment's file, or the name of one (`ran list beam-experiments`).")
    ],
    out: Annotated[Path, typer.Option(help="File in .h5, .hdf5 or .zarr.")],
    drops: Annotated[int, typer.Option(help="Users in all.")] = 1000,
    split: Annotated[
        str,
        typer.Option(
            metavar="TRAIN,VAL,TEST",
            help="Shares of the drops. On a traced site VAL and TEST are shares of the places, and no place is in two "
            "parts.",
        ),
    ] = "0.8,0.1,0.1",
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change the experiment, e.g. set_b.size=16."),
    ] = None,
) -> None:
    """Write measurements and true powers of beams. Interrupt it at any time: the same command resumes."""
    from ran.cli.progress import ProgressLine
    from ran.studies.beams.data import write_beams
    from ran.studies.beams.experiment import load

    loaded = load(experiment, overrides or [])
    shares = numbers("--split", split, ",", 3)
    with ProgressLine() as line:
        header = write_beams(loaded, drops, (shares[0], shares[1], shares[2]), out, line.say)
    size = header.num_drops * header.drop_bytes / 1e6
    answer_header(out, header)
    print(
        f"{out}: {counted(header.num_drops, 'drop')}, {size:.1f} MB of numbers in {counted(header.num_chunks, 'chunk')}"
    )


def csi(
    experiment: Annotated[
        str, typer.Argument(help="A CSI experiment's file, or the name of one (`ran list csi-experiments`).")
    ],
    out: Annotated[Path, typer.Option(help="File in .h5, .hdf5 or .mat.")],
    drops: Annotated[int, typer.Option(help="Users in all, of which 80 % are for training.")] = 1000,
    weights: Annotated[
        str | None, typer.Option(help="Add what this two-sided model's encoder reports: a shipped name, or a file.")
    ] = None,
    values: Annotated[int, typer.Option(min=1, help="Latents of a report, with --weights.")] = 24,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change the experiment, e.g. num_layers=2."),
    ] = None,
) -> None:
    """Write a data set of precoders: an array of samples, subbands, ports, and real and imaginary part.

    Interrupt it at any time: the same command resumes.
    """
    from ran.cli.progress import ProgressLine
    from ran.studies.csi.data import write_csi
    from ran.studies.csi.experiment import load

    loaded = load(experiment, overrides or [])
    with ProgressLine() as line:
        shapes = write_csi(loaded, drops, out, line.say, weights, values)
    answer(file=out, shapes=shapes)
    print(f"{out}: " + ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items()))


def rays(
    trace: Annotated[
        str,
        typer.Argument(
            help="A YAML file that says what to trace, rays that ship (munich-street), a DeepMIMO folder, or a folder "
            "of AODT's tables."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="File in .npz, for `channel: {name: ray-traced, rays: FILE}`; of AODT, "
            "`{name: recorded, responses: FILE}`."
        ),
    ],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change an option, e.g. max_depth=2.")
    ] = None,
    pair: Annotated[
        str,
        typer.Option(metavar="SET,TX,SET", help="Of a DeepMIMO folder: transmitter set, transmitter, receiver set."),
    ] = "0,0,1",
) -> None:
    """Trace the rays of a scene into a file, from which channels need no ray tracer.

    What was traced before with the same options, scene and version comes from the cache.
    """
    from ran.cli.progress import ProgressLine
    from ran.datasets.rays import is_aodt, responses_to_file, trace_to_file

    if is_aodt(trace):
        responses = responses_to_file(trace, out)
        links, base, user, taps = responses.gains.shape
        answer(file=out, gains_shape=responses.gains.shape, content_sha256=responses.content_sha256)
        print(
            f"{out}: {links} links of {base} x {user} antennas, up to {taps} taps each, "
            f"{out.stat().st_size / 1e3:.0f} kB, content {responses.content_sha256[:16]}"
        )
        return
    chosen = whole_numbers("--pair", pair, ",", 3)
    with ProgressLine() as line:
        found = trace_to_file(trace, out, list(overrides or []), line.say, (chosen[0], chosen[1], chosen[2]))
    served = found.num_rays[found.served]
    answer(
        file=out,
        num_positions=found.num_positions,
        num_outages=found.num_outages,
        num_rays=int(served.sum()),
        content_sha256=found.content_sha256,
    )
    print(
        f"{out}: {counted(found.num_positions, 'position')}, {found.num_outages} of them without rays, "
        f"{int(served.sum())} rays, {out.stat().st_size / 1e3:.0f} kB, content {found.content_sha256[:16]}"
    )


def answer_header(file: Path, header: Header, **values: object) -> None:
    """Answer with a data set's size."""
    answer(
        file=file,
        num_drops=header.num_drops,
        num_chunks=header.num_chunks,
        num_bytes=header.num_drops * header.drop_bytes,
        **values,
    )
