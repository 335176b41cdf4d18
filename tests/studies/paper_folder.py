"""What every study writes for a paper, checked in one place."""

import csv
import math
import re
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from ran.report.tables import matlab_name


def check(folder: Path, figures: set[str], values: Path) -> None:
    """folder: of `ran report --paper`. figures: names. values: the CSV file of the study."""
    names = {
        f"{figure}-{width}.{kind}" for figure in figures for width in ("1col", "2col") for kind in ("pdf", "svg", "png")
    }
    tables = {"figures.tex", "table.tex", "values.csv", "values.mat"}
    assert {path.name for path in folder.iterdir()} == names | tables
    tex = (folder / "figures.tex").read_text()
    assert set(re.findall(r"\{([^{}]*)-1col\.pdf\}", tex)) == figures
    captions = re.findall(r"\\caption\{(.*)\}", tex)
    assert len(captions) == len(figures)
    assert all(len(caption) > 20 for caption in captions)
    assert (folder / "values.csv").read_text() == values.read_text()
    _check_table((folder / "table.tex").read_text())
    _check_mat(folder)


def _check_table(tex: str) -> None:
    kinds = re.search(r"\\begin\{tabular\}\{([lr]+)\}", tex)
    assert kinds is not None
    rows = [line for line in tex.splitlines() if line.endswith(r"\\")]
    assert len(rows) > 1
    assert all(len(re.findall(r"(?<!\\)&", row)) == len(kinds[1]) - 1 for row in rows)
    assert not re.findall(r"[^\x00-\x7f]", tex.replace("\n", "")), "LaTeX without unicode"


def _check_mat(folder: Path) -> None:
    found = loadmat(folder / "values.mat", simplify_cells=True)["values"]
    with (folder / "values.csv").open() as file:
        header, *lines = csv.reader(file)
    assert set(found) == {matlab_name(name) for name in header}
    for name, *cells in zip(header, *lines, strict=True):
        column = found[matlab_name(name)]
        column = list(column) if len(cells) > 1 else [column]
        for cell, value in zip(cells, column, strict=True):
            if not cell:
                assert np.size(value) == 0 or value == "" or math.isnan(value)
            else:
                assert value == (cell if isinstance(value, str) else float(cell))
