"""What monitoring says under conditions of the robustness study."""

from types import SimpleNamespace

import pytest

from ran.stats import Estimate
from ran.studies.monitor import condition as module
from ran.studies.monitor.reference import Reference
from ran.studies.monitor.windows import Bounds
from ran.studies.robustness.conditions import load_conditions

WIDE = tuple((-1e9, 1e9) for _ in range(5))
KNOWN = {"bits per symbol": (2, 4), "layers": (1,), "antennas": (4,), "DM-RS symbols": (2,)}
LIMITS = {"inputs": 0.5, "calibration": 0.3, "worse": 2.5}


@pytest.mark.slow
def test_alarms_under_conditions(monkeypatch, tmp_path):
    conditions = load_conditions()
    reference = Reference("x", "", Bounds({4: WIDE}, KNOWN), LIMITS, 1, "")
    monkeypatch.setattr(module, "load_reference", lambda weights: reference)
    outcomes = [
        SimpleNamespace(
            condition=conditions.select([name])[0],
            receiver=receiver,
            verdict="not worse",
            crossing=Estimate.missing("x", "dB"),
            points=(SimpleNamespace(esn0_db=15.0),),
        )
        for name in ("prb-4", "pilots-1")
        for receiver in ("mine", "lmmse")
    ]
    blocks = ({"name": "lmmse"}, {"name": "neural", "label": "mine", "weights": "pusch-realtime"})
    runs = {(outcome.condition.name, outcome.receiver): f"run of {outcome.condition.name}" for outcome in outcomes}
    monkeypatch.setattr(module, "runs_in", lambda folder: runs)
    found = module.watch(conditions, outcomes, blocks, tmp_path)
    # one DM-RS symbol is what the reference does not know; lmmse has none
    assert found == {("prb-4", "mine"): "none", ("pilots-1", "mine"): "inputs"}
