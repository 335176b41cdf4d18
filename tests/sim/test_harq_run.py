"""HARQ through driver, store and results; and the search for a required throughput, on the fake link."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import fake_link
import numpy as np
import pytest

from ran.errors import InputError, ReceiverRefused
from ran.sim.experiment import Experiment
from ran.sim.identity import physics
from ran.sim.results import load_results
from ran.sim.results_csv import CSV_COLUMNS
from ran.sim.run import run
from ran.sim.simulation import Simulation
from ran.studies.conformance.outcome import RowOutcome, crossing, row_outcome
from ran.studies.conformance.page import write_results
from ran.studies.conformance.requirements import requirements, select
from ran.studies.conformance.run import Request, passed, run_rows

HARQ = {"max_transmissions": 4, "rv": (0, 2, 3, 1), "round_trip_slots": 8}
SMALL = {"esn0_db": [0, 2], "stopping": {"min_block_errors": 20, "max_slots": 120}, "harq": HARQ}
ASKED = {"esn0_db": {"requirement": {"esn0_db": 3.0}}, "stopping": {"max_slots": 1024}, "harq": HARQ}
ONE = [{"name": "one", "at_db": 1.0}]


def csv_of(experiment: Experiment, out: Path, **options: object) -> bytes:
    run(experiment, out, build=fake_link.build, **options)  # type: ignore[arg-type]
    return (out / "results.csv").read_bytes()


@pytest.mark.parametrize("changes", [SMALL, ASKED], ids=["points", "requirement"])
def test_csv_is_identical_for_any_workers_and_chunks(changes: dict[str, object], tmp_path: Path) -> None:
    tested = fake_link.experiment(**changes)
    reference = csv_of(tested, tmp_path / "a", workers=1)
    assert csv_of(tested, tmp_path / "b", workers=2, chunk_slots=4) == reference
    assert csv_of(tested, tmp_path / "c", workers=1, chunk_slots=64) == reference
    # again, from what is stored
    assert csv_of(tested, tmp_path / "a", workers=1) == reference


def test_counts_of_retransmissions(tmp_path: Path) -> None:
    results = run(fake_link.experiment(**SMALL, users={"num_users": 2}), tmp_path, workers=1, build=fake_link.build)
    header = (tmp_path / "results.csv").read_text().splitlines()[0].split(",")
    assert tuple(header[: len(CSV_COLUMNS)]) == CSV_COLUMNS
    assert header[-4:] == ["bler_after_1", "bler_after_2", "bler_after_3", "bler_after_4"]
    for point in results.points:
        assert len(point.bler_after) == 4
        assert point.bler_after[-1] == point.bler
        assert point.transmissions == pytest.approx(point.blocks * (1 + sum(point.bler_after[:3])))
        delivered = point.blocks - point.block_errors
        assert point.throughput_fraction == pytest.approx(delivered / point.transmissions)
        air_time_s = point.transmissions / 2 * 1e-3
        assert point.throughput_mbps == pytest.approx(delivered * fake_link.BITS_PER_BLOCK / air_time_s / 1e6)
        assert point.drops <= point.slots <= 4 * point.drops


def test_without_harq_nothing_changes(tmp_path: Path) -> None:
    tested = fake_link.experiment(esn0_db=[0])
    assert "harq" not in tested.resolved()
    assert "harq" not in physics(tested)
    csv_of(tested, tmp_path, workers=1)
    assert (tmp_path / "results.csv").read_text().splitlines()[0] == ",".join(CSV_COLUMNS)
    with sqlite3.connect(tmp_path / "results.sqlite") as db:
        assert db.execute("SELECT DISTINCT length(earlier_errors) FROM outcomes").fetchall() == [(0,)]


def test_damaged_records_do_not_count(tmp_path: Path) -> None:
    csv_of(fake_link.experiment(**SMALL), tmp_path, workers=1)
    with sqlite3.connect(tmp_path / "results.sqlite") as db:
        db.execute("UPDATE outcomes SET earlier_errors = zeroblob(length(earlier_errors)) WHERE rowid = 1")
    assert any("row 1 of outcomes" in text for text in load_results(tmp_path).warnings)


@pytest.mark.parametrize(("at_db", "verdict"), [(-1.0, "pass"), (6.0, "fail")])
def test_requirement_is_decided_and_the_crossing_found(at_db: float, verdict: str, tmp_path: Path) -> None:
    tested = fake_link.experiment(**{**ASKED, "receivers": [{"name": "one", "at_db": at_db}]})
    results = run(tested, tmp_path, workers=1, build=fake_link.build)
    required = next(point for point in results.points if point.esn0_db == 3.0)
    assert required.drops == 256
    outcome = RowOutcome(requirements()[0], "38.104", "one", results.points)
    found = crossing(outcome.points, 0.7)
    # the fake transmission n fails with p / 2^n of the same uniform number: 1 / (1 + p + p/2 + p/4), p = 0.245 at 70 %
    p = (1 / 0.7 - 1) / 1.75
    expected = at_db + np.log(1 / p - 1) / 1.5
    assert found.value is not None
    assert abs(found.value - expected) < found.half_width + 0.1
    assert (found.value < 3.0) == (verdict == "pass")
    # the walk ends one point beyond the crossing
    assert (
        min(p.throughput_fraction for p in results.points) < 0.7 <= max(p.throughput_fraction for p in results.points)
    )
    assert sum(p.throughput_fraction < 0.7 for p in results.points) == (
        1 if verdict == "pass" else len(results.points) - 1
    )


def build_rows(experiment: Experiment) -> Simulation:
    """The fake link for a row of the standard: as good as the row asks for, less 2 dB; refuses four layers."""
    assert experiment.requirement is not None
    if experiment.pusch.num_layers == 4:
        raise ReceiverRefused("receivers.one: got 4 layers; allowed: fewer")
    asked = experiment.requirement.esn0_db
    simple = fake_link.experiment(harq=HARQ, receivers=[{"name": "one", "at_db": asked - 3}])
    return fake_link.build(simple)


def test_rows_run_resume_and_are_reported(tmp_path: Path) -> None:
    names = ["8.2.1.2-4-row1", "8.2.1.2-4-row19", "8.2.2.2-1-row1", "8.2.2.2-1-row2"]
    request = Request(select(names), ({"name": "one"},), max_slots=256)
    outcomes = run_rows(request, tmp_path / "out", workers=1, build=build_rows)
    assert [outcome.verdict for outcome in outcomes] == ["pass", "refused", "pass", "pass"]
    assert not passed(outcomes)
    assert "4 layers" in outcomes[1].reason
    assert all(1 < outcome.margin_db < 3 for outcome in outcomes if outcome.margin_db is not None)
    page = write_results(outcomes, tmp_path / "out")
    text = page.read_text()
    found = re.search(r'<script id="report-data" type="application/json">(.*?)</script>', text, re.S)
    figures = json.loads(found[1])["figures"]
    assert list(figures) == ["curve0", "curve2", "curve3"]
    for name, figure in figures.items():
        outcome = outcomes[int(name[-1])]
        assert f'id="{name}"' in text
        points, crossing = figure["data"]
        assert points["x"] == [point.esn0_db for point in outcome.points]
        assert points["y"] == [point.throughput_fraction for point in outcome.points]
        threshold, required = figure["layout"]["shapes"]
        assert (crossing["x"], crossing["y"]) == ([outcome.crossing.value], [threshold["y0"]])
        assert (threshold["y0"], required["x0"]) == (0.7, outcome.required_snr_db)
    assert not re.search(r'(src|href)="(?!data:|#)', text.split("<script>")[0])
    assert len(text) < 2e6
    assert "4 rows: 3 pass, 1 refused" in text
    assert len((tmp_path / "out" / "conformance.csv").read_text().splitlines()) == 5
    again = run_rows(request, tmp_path / "out", workers=1, build=build_rows)
    assert [row_text(o) for o in again] == [row_text(o) for o in outcomes]


def row_text(outcome: RowOutcome) -> str:
    return f"{outcome.row.name} {outcome.verdict} {outcome.fraction} {outcome.crossing}"


def test_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("keep me")
    with pytest.raises(InputError, match="is no folder of a study"):
        run_rows(Request(select(["8.2.2.2-1"]), ({"name": "one"},)), tmp_path, workers=1, build=build_rows)
    assert (tmp_path / "thesis.txt").read_text() == "keep me"


def test_undecided_row(tmp_path: Path) -> None:
    tested = fake_link.experiment(
        **{**ASKED, "receivers": ONE, "esn0_db": {"requirement": {"esn0_db": 1.75}}, "stopping": {"max_slots": 64}}
    )
    results = run(tested, tmp_path, workers=1, build=fake_link.build)
    row = next(row for row in requirements() if row.required_snr_db == 1.8)
    assert row_outcome(row, "38.104", results).verdict == "refused"
    assert RowOutcome(row, "38.104", "one", results.points).points
    fraction = next(p for p in results.points if p.esn0_db == 1.75)
    assert fraction.throughput_fraction_low < 0.7 < fraction.throughput_fraction_high
