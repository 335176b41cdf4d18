"""A notebook cell of ten lines: two receivers on TDL-A, a DataFrame and a plot."""

import nbformat
import pytest
from nbclient import NotebookClient

CELL = """
import ran

found = ran.simulate({
    "carrier": {"num_prb": 4}, "num_rx_ant": 2, "esn0_db": [0.0, 8.0], "stopping": {"max_slots": 16},
    "channel": {"name": "tdl", "profile": "A", "delay_spread_ns": 100, "max_doppler_hz": 50},
    "receivers": ["ls-linear", "blind"],
}, progress=True)
display(found.to_frame())
found.plot()
""".strip()


@pytest.mark.slow
def test_a_cell_of_ten_lines_shows_a_table_and_a_plot(monkeypatch):
    pytest.importorskip("pandas", reason="pandas comes with the extra notebook")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert len(CELL.splitlines()) <= 10
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    outputs = notebook.cells[0].outputs
    shown = [set(output.get("data", {})) for output in outputs]
    assert any("text/html" in data for data in shown)
    assert any("image/png" in data for data in shown)
    table = next(output["data"]["text/html"] for output in outputs if "text/html" in output.get("data", {}))
    assert "ls-linear" in table
    assert "blind" in table
