"""The examples do what they say."""

from __future__ import annotations

import csv
import runpy
from pathlib import Path

from ran.sim.experiment import Experiment
from ran.studies.sweep.request import SweepRequest, load_any

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def test_a_study_in_one_file(tmp_path: Path) -> None:
    module = runpy.run_path(str(EXAMPLES / "own_study.py"))
    table = module["main"](tmp_path / "study", num_prb=1, max_slots=16, workers=1)
    rows = list(csv.DictReader(table.open()))
    assert len(rows) == 2 * 3 * 2
    for row in rows:
        assert 0 <= float(row["low"]) <= float(row["bits_per_slot"]) <= float(row["high"])
    assert {(row["max_doppler_hz"], row["dmrs_symbols"]) for row in rows} == {
        (doppler, symbols) for doppler in ("50.0", "500.0") for symbols in "123"
    }
    # a second call finds everything
    assert module["main"](tmp_path / "study", num_prb=1, max_slots=16, workers=1).read_text() == table.read_text()


def test_the_sweep_is_read() -> None:
    request = load_any(EXAMPLES / "sweep.yaml")
    assert isinstance(request, SweepRequest)
    assert len(request.parts) == 9
    assert all(isinstance(part.experiment, Experiment) for part in request.parts)
    assert list(request.keys.values()) == ["mcs_index", "max_doppler_hz"]
