"""What a study gives for a paper, and the files of it: its figures in two widths, its main table, and every value.

A study says what is drawn and what its table holds; the files, their names and their formats are the same for all.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ran.errors import InputError
from ran.report.figures import Drawn, Form, data_address
from ran.report.paper import write_files
from ran.report.tables import latex, matlab_file, matlab_name

#: Bytes of a file from which on a page holds it compressed.
_LONG = 100_000


@dataclass(frozen=True)
class Table:
    """The main table of a page. columns: titles, the first ones of text. rows: texts as a page has them, such as
    "1.25 [1.10, 1.40]". num_texts: columns that are no numbers, from the left. note: what a reader must know."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    num_texts: int = 1
    note: str = ""


@dataclass(frozen=True)
class StudyPaper:
    """draw: all figures by name, for a width. captions: of every figure, in plain words. values: every value of the
    study as CSV with a header, one line each, as its own CSV file has them."""

    draw: Callable[[Form], Mapping[str, Figure]]
    captions: Mapping[str, str]
    table: Table
    values: str

    def write(self, out: Path) -> Path:
        """Figures as PDF, SVG and PNG, figures.tex, table.tex, values.csv and values.mat in a folder, made if need be;
        returns it. `InputError` where it cannot be written, or there is nothing to write."""
        if not self.values.strip():
            raise InputError(f"{out}: got no results for its figures and tables; allowed: a study that has some")
        files = {name: content for _, name, _, content in _files(self.table, self.values)}
        return write_files(self.draw, self.captions, files, out)


def captioned(figures: Sequence[Drawn], facts: Mapping[str, str]) -> dict[str, str]:
    """A caption for each figure: its title, its note, and what was simulated."""
    link = "; ".join(f"{name}: {value}" for name, value in facts.items())
    return {
        drawn.name: " ".join(
            part for part in (f"{drawn.title}.", drawn.note, f"{link}.", "Bars: 95 % intervals.") if part
        )
        for drawn in figures
    }


def saved_tables(table: Table, values: str) -> list[tuple[str, str, str]]:
    """Label, file name and address of what a page lets people save: its table as LaTeX, its values as CSV and MAT. Long
    ones are compressed, so that pages stay small."""
    found = []
    for label, name, media, content in _files(table, values):
        if len(content) > _LONG:
            # without the time, equal values give equal bytes
            name, media, content = f"{name}.gz", "application/gzip", gzip.compress(content, mtime=0)
        found.append((label, name, data_address(content, media)))
    return found


def _files(table: Table, values: str) -> list[tuple[str, str, str, bytes]]:
    return [
        ("LaTeX", "table.tex", "application/x-tex", booktabs(table).encode()),
        ("CSV", "values.csv", "text/csv", values.encode()),
        ("MAT", "values.mat", "application/octet-stream", columns_as_mat(values)),
    ]


def booktabs(table: Table) -> str:
    """A table as a tabular of the package booktabs."""
    kinds = "l" * table.num_texts + "r" * (len(table.columns) - table.num_texts)
    note = f"; {table.note}" if table.note else ""
    lines = [
        f"% needs \\usepackage{{booktabs}}{note}",
        rf"\begin{{tabular}}{{{kinds}}}",
        r"\toprule",
        " & ".join(map(latex, table.columns)) + r" \\",
        r"\midrule",
        *(" & ".join(map(latex, row)) + r" \\" for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        "",
    ]
    return "\n".join(lines)


def columns_as_mat(values: str) -> bytes:
    """CSV with a header as a MATLAB 5 file: a struct `values` with a field per column.

    A column of numbers is a column vector of doubles, NaN where a cell is empty; any other is a cell array of texts.
    """
    header, *lines = list(csv.reader(io.StringIO(values)))
    fields: dict[str, np.ndarray] = {}
    for name, *cells in zip(header, *lines, strict=True):
        fields[matlab_name(name)] = _column(cells)
    return matlab_file({"values": fields})


def _column(cells: Sequence[str]) -> np.ndarray:
    try:
        return np.array([float(cell) if cell else np.nan for cell in cells]).reshape(-1, 1)
    except ValueError:
        texts = np.empty((len(cells), 1), object)
        texts[:, 0] = cells
        return texts
