"""A folder for a paper: every figure as PDF, SVG and PNG in one and two columns, with captions, tables and curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from ran.errors import InputError
from ran.report.facts import figure_caption
from ran.report.figures import PAPER, Form, Kind, as_file
from ran.report.html import DESCRIPTIONS, report_figures, write_whole
from ran.report.tables import LabelledRun, latex, latex_table, mat_bytes, tidy_csv

if TYPE_CHECKING:
    from ran.sim.results import RunResults

_KINDS: tuple[Kind, ...] = ("pdf", "svg", "png")


def write_paper(
    draw: Callable[[Form], Mapping[str, Figure]],
    captions: Mapping[str, str],
    runs: Sequence[LabelledRun],
    out: Path,
) -> Path:
    """Write figures, figures.tex, table.tex, curves.csv and curves.mat into a folder, made if need be; returns it.

    runs: of the tables, with points. Otherwise as `write_files`.
    """
    tables = {
        "table.tex": latex_table(runs).encode(),
        "curves.csv": tidy_csv(runs).encode(),
        "curves.mat": mat_bytes(runs),
    }
    return write_files(draw, captions, tables, out)


def write_files(
    draw: Callable[[Form], Mapping[str, Figure]], captions: Mapping[str, str], tables: Mapping[str, bytes], out: Path
) -> Path:
    """Write figures in two widths, figures.tex and tables into a folder, made if need be; returns it.

    draw: all figures by name, for a width. captions: of every figure that may be drawn, in plain words.
    tables: contents by file name.
    InputError where the folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        drawn = []
        for width, form in PAPER.items():
            for name, figure in draw(form).items():
                drawn.append(name)
                for kind in _KINDS:
                    write_whole(out / f"{name}-{width}.{kind}", as_file(figure, kind, form.png_dpi))
        write_whole(out / "figures.tex", figures_tex({name: captions[name] for name in dict.fromkeys(drawn)}).encode())
        for name, content in tables.items():
            write_whole(out / name, content)
    except OSError as error:
        raise InputError(f"--paper: cannot write {out} ({error.strerror}); allowed: a writable folder") from error
    return out


def write_run_paper(runs: Sequence[RunResults], out: Path) -> Path:
    """`write_paper` of the figures of a report; every caption names the link."""
    link = figure_caption(runs)
    captions = {name: f"{text}. {link} Bars: 95 % intervals." for name, text in DESCRIPTIONS.items()}
    return write_paper(lambda form: report_figures(runs, form), captions, LabelledRun.of(runs), out)


def figures_tex(captions: Mapping[str, str]) -> str:
    """A figure environment per picture, one column wide; figure* and -2col for both columns."""
    lines = ["% needs \\usepackage{graphicx}; for both columns figure*, \\textwidth and -2col"]
    for name, caption in captions.items():
        lines += [
            r"\begin{figure}",
            r"\centering",
            rf"\includegraphics[width=\columnwidth]{{{name}-1col.pdf}}",
            rf"\caption{{{latex(caption)}}}",
            rf"\label{{fig:{name}}}",
            r"\end{figure}",
        ]
    return "\n".join([*lines, ""])
