"""Tables of studies for a paper, in the formats of other programs."""

import base64
import gzip
import io

import numpy as np
import pytest
from scipy.io import loadmat

from ran.errors import InputError
from ran.report.figures import ONE_COLUMN, PAGE, Line, lines_figure
from ran.report.study_paper import StudyPaper, Table, booktabs, columns_as_mat, saved_tables

VALUES = 'predictor,figure,value,low\n"a, b",top1,0.5,\nc,top1,1e-3,0.25\n'
TABLE = Table(["predictor", "gain [dB]"], [["a_b & c", "−1.25 [−∞, 0.50]"], ["50 %", "—"]])


def test_a_table_is_what_latex_reads():
    assert booktabs(TABLE).splitlines()[1:] == [
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"predictor & gain [dB] \\",
        r"\midrule",
        r"a\_b \& c & $-$1.25 [$-$$\infty$, 0.50] \\",
        r"50 \% & --- \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_columns_keep_their_kind():
    found = loadmat(io.BytesIO(columns_as_mat(VALUES)), simplify_cells=True)["values"]
    assert list(found["predictor"]) == ["a, b", "c"]
    assert list(found["value"]) == [0.5, 1e-3]
    assert np.isnan(found["low"][0])
    assert found["low"][1] == 0.25
    assert columns_as_mat(VALUES) == columns_as_mat(VALUES)


@pytest.mark.parametrize("num_lines", [1, 20_000])
def test_a_page_holds_the_values_whole_and_small(num_lines):
    values = "a,b\n" + "0.123456,0.654321\n" * num_lines
    files = {label: (name, address) for label, name, address in saved_tables(TABLE, values)}
    name, address = files["CSV"]
    content = base64.b64decode(address.partition(",")[2])
    if num_lines > 1:
        assert name == "values.csv.gz"
        assert len(address) < 20_000
        content = gzip.decompress(content)
    else:
        assert name == "values.csv"
    assert content.decode() == values
    assert saved_tables(TABLE, values) == saved_tables(TABLE, values)


def test_a_figure_that_stands_alone_has_its_legend():
    lines = [Line("one", 0, [1, 2], [3, 4], [2, 3], [4, 5]), Line("two", 1, [1, 2], [3, 4], [2, 3], [4, 5])]
    (legend,) = lines_figure(lines, "x", "y", form=ONE_COLUMN).legends
    assert [text.get_text() for text in legend.get_texts()] == ["one", "two"]
    assert lines_figure(lines, "x", "y", form=PAGE).legends == []


def test_nothing_to_write_is_one_line(tmp_path):
    nothing = StudyPaper(lambda form: {}, {}, TABLE, "")
    with pytest.raises(InputError, match=r"paper: got no results for its figures and tables; allowed: "):
        nothing.write(tmp_path / "paper")
    assert not (tmp_path / "paper").exists()
