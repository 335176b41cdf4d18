"""What goes into a paper: figures of a column's width, a LaTeX table that LaTeX reads, and curves that others read."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess

import numpy as np
import pytest
import synthetic_runs as synthetic
from scipy.io import loadmat

from ran.errors import InputError
from ran.report import summary_table
from ran.report.facts import figure_caption
from ran.report.paper import write_run_paper
from ran.report.tables import LabelledRun, latex, latex_table, mat_bytes, tidy_csv

GRID = (2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
NASTY = r"a_b & 50 % {x} \y $z$ #1 ~ ^ −"


def run(seed=1, names=("perfect-csi", "ls-linear", "neural"), **settings):
    centres = dict(zip(names, (4.0, 6.0, 4.6), strict=True))
    return synthetic.run(centres, GRID, 300, np.random.default_rng(seed), genies=names[:1], **settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_run_paper([run()], tmp_path_factory.mktemp("paper") / "deep" / "paper")


def test_every_figure_is_there_in_both_widths(folder):
    from PIL import Image

    names = {f"{name}-{width}" for name in ("bler", "throughput") for width in ("1col", "2col")}
    assert {path.stem for path in folder.glob("*.pdf")} == names
    assert {path.name for path in folder.iterdir()} == {
        *(f"{name}.{kind}" for name in names for kind in ("pdf", "svg", "png")),
        *("table.tex", "figures.tex", "curves.csv", "curves.mat"),
    }
    for name in names:
        inches = 3.5 if name.endswith("1col") else 7.16
        pdf = (folder / f"{name}.pdf").read_bytes()
        assert pdf.startswith(b"%PDF-1.")
        assert pdf.rstrip().endswith(b"%%EOF")
        (box,) = re.findall(rb"/MediaBox \[ ?0 0 ([\d.]+) [\d.]+ ?\]", pdf)
        assert float(box) == pytest.approx(72 * inches, abs=0.1)
        assert f'width="{72 * inches:g}' in (folder / f"{name}.svg").read_text()
        with Image.open(folder / f"{name}.png") as image:
            assert image.width == pytest.approx(300 * inches, abs=1)


def test_every_figure_has_a_caption_that_names_the_link(folder):
    text = (folder / "figures.tex").read_text()
    assert set(re.findall(r"\\includegraphics\[width=\\columnwidth\]\{(.*?)\}", text)) == {
        "bler-1col.pdf",
        "throughput-1col.pdf",
    }
    for caption in re.findall(r"\\caption\{(.*)\}", text):
        assert "24 PRB at 30 kHz, MCS" in caption
        assert r"300 drops per point. Bars: 95 \% intervals." in caption
    assert figure_caption([run(), run(2)]).count("300 drops per point.") == 2


def test_the_table_holds_every_crossing_and_gain():
    runs = LabelledRun.of([run()])
    lines = latex_table(runs).splitlines()
    rows = [line for line in lines if line.count("&") == 4 and "multicolumn" not in line]
    for row, line in zip(summary_table(runs[0].run), rows[1:], strict=True):
        assert line.startswith(latex(row.receiver))
        assert f"${row.crossings[0].value:.2f}\\,[" in line
        assert ("reference" in line) == row.is_reference
        if row.gains[0].is_known:
            assert f"{row.gains[0].value:+.2f}\\,[{row.gains[0].low:+.2f},\\,{row.gains[0].high:+.2f}]" in line


def checked(text, columns):
    """A tabular read as LaTeX reads it: environments and braces that close, and as many cells as columns."""
    bare = re.sub(r"(?<!\\)%.*", "", text)
    assert re.sub(r"\\[{}\\]", "", bare).count("{") == re.sub(r"\\[{}\\]", "", bare).count("}")
    assert re.findall(r"\\(begin|end)\{(\w+)\}", bare) == [("begin", "tabular"), ("end", "tabular")]
    assert bare.count("$") % 2 - bare.count(r"\$") % 2 == 0
    for line in bare.splitlines():
        if line.endswith(r"\\"):
            cells = re.split(r"(?<!\\)&", line)
            assert sum(int((re.search(r"\\multicolumn\{(\d)\}", c) or [0, 1])[1]) for c in cells) == columns
    return bare


def test_the_table_is_latex_whatever_names_are_in_it(tmp_path):
    runs = [LabelledRun(NASTY, run(names=("perfect-csi", NASTY[:8], "n^2"))), LabelledRun("two", run(2))]
    text = latex_table(runs)
    checked(text, 6)
    checked(latex_table([LabelledRun("x", run(), {"pusch.mcs_index": 4, "a_b": "c&d"})]), 7)
    if (compiler := shutil.which("pdflatex") or shutil.which("tectonic")) is not None:
        document = r"\documentclass{article}\usepackage{booktabs}\begin{document}" + text + r"\end{document}"
        (tmp_path / "t.tex").write_text(document)
        subprocess.run([compiler, "t.tex"], cwd=tmp_path, check=True, capture_output=True, stdin=subprocess.DEVNULL)
        assert (tmp_path / "t.pdf").read_bytes().startswith(b"%PDF")


def test_the_csv_has_every_point_with_what_was_swept():
    runs = [LabelledRun("one", run(), {"mcs_index": 4}), LabelledRun("one", run(2), {"mcs_index": 10})]
    rows = list(csv.DictReader(io.StringIO(tidy_csv(runs))))
    assert len(rows) == 2 * 3 * len(GRID)
    assert [row["mcs_index"] for row in rows] == ["4"] * 21 + ["10"] * 21
    for row, point in zip(rows[:21], runs[0].run.points, strict=True):
        assert (row["receiver"], row["is_genie"]) == (point.receiver, str(int(point.receiver == "perfect-csi")))
        assert [float(row[name]) for name in ("esn0_db", "blocks", "block_errors")] == [
            *(point.esn0_db, point.blocks, point.block_errors),
        ]
        assert float(row["bler_low"]) == pytest.approx(point.bler_low)
        assert float(row["throughput_mbps"]) == pytest.approx(point.throughput_mbps)
        assert float(row["throughput_low_mbps"]) <= float(row["throughput_mbps"]) + 1e-9


def test_matlab_reads_the_curves(tmp_path):
    found = run()
    content = mat_bytes([LabelledRun("one", found, {"pusch.mcs_index": 4, "channel.profile": "B"})])
    assert content == mat_bytes([LabelledRun("one", run(), {"pusch.mcs_index": 4, "channel.profile": "B"})])
    (tmp_path / "curves.mat").write_bytes(content)
    curves = loadmat(tmp_path / "curves.mat", squeeze_me=True, struct_as_record=False)["curves"]
    assert [curve.receiver for curve in curves] == ["perfect-csi", "ls-linear", "neural"]
    assert [curve.is_genie for curve in curves] == [1, 0, 0]
    for curve in curves:
        own = [point for point in found.points if point.receiver == curve.receiver]
        assert (curve.experiment, curve.pusch_mcs_index, curve.channel_profile) == ("one", 4, "B")
        np.testing.assert_array_equal(curve.esn0_db, [point.esn0_db for point in own])
        np.testing.assert_array_equal(curve.block_errors, [point.block_errors for point in own])
        np.testing.assert_allclose(curve.bler_high, [point.bler_high for point in own], rtol=1e-12)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--paper: cannot write"):
        write_run_paper([run()], tmp_path / "file" / "paper")
