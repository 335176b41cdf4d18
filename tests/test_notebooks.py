"""Every notebook runs from top to bottom on a small budget, and ships with its outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, monkeypatch):
    monkeypatch.setenv("NOTEBOOK_DROPS", "16")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(path, as_version=4)
    shipped = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in shipped), "notebooks ship executed"
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    pictures = sum("image/png" in output.get("data", {}) for output in outputs)
    assert pictures >= (2 if path.stem == "quick-start" else 4)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_says_what_is_learnt_and_what_to_try(path):
    first, *_, last = nbformat.read(path, as_version=4).cells
    assert first.cell_type == last.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert "You will learn" in first.source
    assert last.source.startswith("## Try\n")
    assert last.source.count("\n* ") >= 2


def test_the_quick_start_imports_nothing_else():
    cells = nbformat.read(NOTEBOOKS[0].parent / "quick-start.ipynb", as_version=4).cells
    lines = [line for cell in cells if cell.cell_type == "code" for line in cell.source.splitlines()]
    assert [line for line in lines if "import" in line.split("#")[0]] == ["import ran"]
