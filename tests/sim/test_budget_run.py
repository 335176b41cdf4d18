"""Runs with a link budget: stored state, bins, CSV, page, refusals, identity."""

from __future__ import annotations

import csv
import sqlite3
from pathlib import Path

import pytest

from ran.cli.main import main
from ran.config.validation import validate
from ran.errors import InputError
from ran.report import write_report
from ran.sim.budget_results import over_distance, over_received_esn0, received_range_db
from ran.sim.experiment import Experiment, built_in_experiments, load
from ran.sim.identity import scenario_id
from ran.sim.results import load_results
from ran.sim.run import run

SMALL = {
    "name": "small-budget",
    "carrier": {"num_prb": 4},
    "num_rx_ant": 2,
    "channel": {"name": "uma", "carrier_frequency_hz": 3.5e9, "pathloss": True},
    "receivers": ["ls-linear", "perfect-csi"],
    "link_budget": {"tx_power_dbm": [10, 23]},
    "stopping": {"min_block_errors": None, "max_slots": 128, "min_bler": None},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("budget") / "run"
    run(validate(Experiment, SMALL), out, workers=1)
    return out


def test_bins_hold_every_block_once(finished: Path) -> None:
    results = load_results(finished)
    total = {r: sum(p.block_errors for p in results.points if p.receiver == r) for r in ("ls-linear", "perfect-csi")}
    for curve in over_received_esn0(results):
        assert sum(b.blocks for b in curve.bins) == 256
        assert sum(b.block_errors for b in curve.bins) == total[curve.receiver]
        assert all(b.error_rate.low <= b.error_rate.value <= b.error_rate.high for b in curve.bins)
    for curve in over_distance(results):
        assert sum(b.blocks for b in curve.bins) == 128
    # users are anywhere in the cell; more power, as much more Es/N0
    ranges = received_range_db(results)
    assert ranges[23][1] > ranges[10][1]


def test_the_csv_is_what_the_bins_are(finished: Path) -> None:
    rows = list(csv.DictReader((finished / "link_budget.csv").open()))
    assert {row["quantity"] for row in rows} == {"received_esn0_db", "distance_2d_m"}
    assert sum(int(row["blocks"]) for row in rows if row["quantity"] == "received_esn0_db") == 512
    assert "tx_power_dbm" in (finished / "results.csv").read_text().splitlines()[0]


def test_workers_and_interruptions_change_no_state(finished: Path, tmp_path: Path) -> None:
    run(validate(Experiment, SMALL), tmp_path / "run", workers=2, chunk_slots=64)
    for name in ("results.csv", "link_budget.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (finished / name).read_bytes()


def test_a_changed_state_is_damage(finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / "results.sqlite"
    copy.write_bytes((finished / "results.sqlite").read_bytes())
    with sqlite3.connect(copy) as db:
        db.execute("UPDATE outcomes SET received = zeroblob(length(received)) WHERE rowid = 1")
    assert any("row 1 of outcomes (ls-linear at" in text for text in load_results(tmp_path).warnings)


def test_the_page_shows_both_curves(finished: Path, tmp_path: Path) -> None:
    page = write_report([load_results(finished)], tmp_path).read_text()
    assert "Over received Es/N0" in page
    assert 'id="distance"' in page
    assert "Transmit power [dBm]" in page
    assert (tmp_path / "link-budget.png").stat().st_size > 1000


def test_no_table_of_dashes_without_a_reason(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ran.cli.table import print_summary

    print_summary(load_results(finished))
    said = capsys.readouterr().out
    assert "no receiver crosses a target BLER" in said
    assert "at the highest simulated transmit power, 23 dBm" in said


def test_points_or_a_budget_but_not_both() -> None:
    with pytest.raises(InputError, match="esn0_db: got points together with link_budget"):
        validate(Experiment, {**SMALL, "esn0_db": [0]})
    without = {key: value for key, value in SMALL.items() if key != "link_budget"}
    with pytest.raises(InputError, match=r"esn0_db: missing; allowed: a list of numbers.*or link_budget"):
        validate(Experiment, without)


def test_path_loss_with_esn0_says_what_to_write(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    command = ["sim", "pusch-receivers", "--out", str(tmp_path / "x"), "--set", "channel={name: umi, pathloss: true, "]
    command[-1] += "carrier_frequency_hz: 3.5e+9}"
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "link_budget: {tx_power_dbm: 23, noise_figure_db: 5} in place of esn0_db" in said
    assert not (tmp_path / "x").exists()


def test_older_experiments_keep_their_names() -> None:
    # as of before there were link budgets
    assert scenario_id(load("pusch-receivers"), 3.0)[:16] == "fbcde0dcfa2dec30"
    for name in built_in_experiments():
        resolved = load(name).resolved()
        assert ("link_budget" in resolved) == (name == "pusch-uma-link-budget")


def test_the_power_names_the_scenario() -> None:
    one = validate(Experiment, SMALL)
    more = validate(Experiment, {**SMALL, "link_budget": {"tx_power_dbm": [10, 20, 23]}})
    other = validate(Experiment, {**SMALL, "link_budget": {"tx_power_dbm": [10, 23], "noise_figure_db": 6}})
    assert scenario_id(one, 23.0) == scenario_id(more, 23.0) != scenario_id(one, 10.0)
    assert scenario_id(one, 23.0) != scenario_id(other, 23.0)
    assert validate(Experiment, one.resolved()) == one
