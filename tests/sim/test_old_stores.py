"""Runs of an older version keep their points, and say of which version they are."""

from __future__ import annotations

import csv
import sqlite3
from pathlib import Path

import fake_link
import numpy as np
import pytest
from format_1 import rewrite_in_format_1
from format_2 import rewrite_in_format_2
from in_process import run_here
from test_store_damage import TASKS, segment

from ran.cli.main import main
from ran.errors import InputError
from ran.sim.identity import SIMULATION_VERSION
from ran.sim.results import load_results, merged_results
from ran.sim.store import Store

SMALL = {"esn0_db": [0, 2, 4], "stopping": {"min_block_errors": 20, "max_slots": 120, "min_bler": 0.01}}
OLD = SIMULATION_VERSION - 1


@pytest.fixture
def old(tmp_path: Path) -> Path:
    out = tmp_path / "old"
    run_here(fake_link.experiment(**SMALL), out)
    rewrite_in_format_1(out / "results.sqlite", OLD)
    return out


def test_an_old_run_keeps_its_points_and_says_its_version(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    today = run_here(fake_link.experiment(**SMALL), tmp_path / "today").results
    counts = [(p.receiver, p.esn0_db, p.drops, p.block_errors, p.bit_errors) for p in today.points]
    found = load_results(old)
    assert [(p.receiver, p.esn0_db, p.drops, p.block_errors, p.bit_errors) for p in found.points] == counts
    assert {p.simulation_version for p in found.points} == {OLD}
    assert found.meta["simulation_version"] == str(OLD)
    assert today.title == "fake"
    assert today.warnings == ()

    assert main(["report", str(old)]) == 0
    said = capsys.readouterr().out
    assert f"warning: simulated by version {OLD} of the simulation, today's is {SIMULATION_VERSION}" in said
    assert f"fake (simulation version {OLD})" in said
    page = (old / "report.html").read_text()
    assert f"<h1>fake (simulation version {OLD})</h1>" in page
    assert '<th class="num" scope="col">simulation version</th>' in page
    assert "simulated by version" in page
    rows = list(csv.DictReader((old / "results.csv").open()))
    assert len(rows) == len(counts)
    assert {row["simulation_version"] for row in rows} == {str(OLD)}
    assert {row["processor"] for row in rows} == {"unknown"}

    both = tmp_path / "both"
    assert main(["report", str(old), str(tmp_path / "today"), "--out", str(both)]) == 0
    assert f"fake (simulation version {OLD}): one" in (both / "report.html").read_text()
    with pytest.raises(InputError, match="has another simulation version than"):
        merged_results([today, found])


def test_an_old_run_is_not_continued(old: Path) -> None:
    before = {p.name: p.read_bytes() for p in old.iterdir()}
    with pytest.raises(InputError, match=f"simulation_version is {OLD} there and {SIMULATION_VERSION} here"):
        run_here(fake_link.experiment(**SMALL), old)
    assert {p.name: p.read_bytes() for p in old.iterdir()} == before


def test_points_that_the_plan_of_today_does_not_reach(tmp_path: Path) -> None:
    """An old search of the waterfall, of which a probe is not where today's would be: the points are shown."""
    searching = fake_link.experiment(
        receivers=[{"name": "one", "at_db": 1.0}],
        esn0_db={"auto": {"target_bler": [0.1]}},
        stopping={"min_block_errors": 20, "max_slots": 120},
    )
    whole = run_here(searching, tmp_path / "run").results
    store = tmp_path / "run" / "results.sqlite"
    probes = {task.esn0_db for task in _tasks(store)} - {p.esn0_db for p in whole.points}
    assert probes
    rewrite_in_format_1(store, OLD)
    with sqlite3.connect(store) as db:
        first = max(probes)
        db.execute("DELETE FROM outcomes WHERE task_id IN (SELECT task_id FROM tasks WHERE esn0_db = ?)", (first,))
        db.execute("DELETE FROM tasks WHERE esn0_db = ?", (first,))
    db.close()
    found = {p.esn0_db: p.drops for p in load_results(tmp_path / "run").points}
    assert {p.esn0_db for p in whole.points} <= found.keys()


def _tasks(path: Path) -> list:  # type: ignore[type-arg]
    store = Store(path)
    tasks = store.tasks()
    store.close()
    return tasks


def test_a_run_of_this_version_goes_on_from_format_1(tmp_path: Path) -> None:
    out, whole = tmp_path / "run", tmp_path / "whole"
    shorter = {**SMALL, "stopping": {"min_block_errors": 20, "max_slots": 40, "min_bler": 0.01}}
    run_here(fake_link.experiment(**shorter), out)
    rewrite_in_format_1(out / "results.sqlite")
    again = run_here(fake_link.experiment(**SMALL), out)
    reference = run_here(fake_link.experiment(**SMALL), whole)
    assert 0 < len(again.chunks) < len(reference.chunks)
    assert all(chunk.drops.start >= 40 or chunk.esn0_db == 4 for chunk in again.chunks)
    assert [p.block_errors for p in again.results.points] == [p.block_errors for p in reference.results.points]
    store = Store(out / "results.sqlite")
    assert store.format == 3
    store.close()
    assert sorted(p.name for p in out.iterdir()) == ["experiment.yaml", "results.csv", "results.sqlite"]


def test_a_run_of_format_2_is_reported_and_goes_on(tmp_path: Path) -> None:
    """Its report is the same, byte by byte, and reading changes nothing; more of it is stored in today's format."""
    out, whole = tmp_path / "run", tmp_path / "whole"
    harq = {**SMALL, "harq": {"max_transmissions": 3}}
    run_here(fake_link.experiment(**{**harq, "stopping": {"max_slots": 40, "min_bler": 0.01}}), out)
    assert main(["report", str(out), "--out", str(tmp_path / "today")]) == 0
    rewrite_in_format_2(out / "results.sqlite")
    before = (out / "results.sqlite").read_bytes()
    assert main(["report", str(out), "--out", str(tmp_path / "again")]) == 0
    for name in ("report.html", "results.csv"):
        assert (tmp_path / "today" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert (out / "results.sqlite").read_bytes() == before
    again = run_here(fake_link.experiment(**harq), out)
    reference = run_here(fake_link.experiment(**harq), whole)
    assert 0 < len(again.chunks) < len(reference.chunks)
    for name in ("block_errors", "bit_errors", "transmissions", "drops"):
        assert [getattr(p, name) for p in again.results.points] == [getattr(p, name) for p in reference.results.points]
    store = Store(out / "results.sqlite")
    assert store.format == 3
    store.close()
    assert not list(out.glob("results.damaged*"))


def test_format_1_comes_back_whole(tmp_path: Path) -> None:
    """With HARQ, a second codeword and a link budget; and a record that contradicts its sums is named."""
    path = tmp_path / "results.sqlite"
    store = Store.create(path, {"receivers": '{"receiver a": {"name": "a"}}'})
    for first in (0, 3):
        store.add({task: segment(first) for task in TASKS}, {})
    store.close()
    rewrite_in_format_1(path)
    store = Store(path)
    content = store.content()
    assert content.damage == ()
    for task in TASKS:
        for found, first in zip(content.segments[task.task_id], (0, 3), strict=True):
            for name in ("block_errors", "bit_errors", "earlier_errors", "second_errors", "received"):
                np.testing.assert_array_equal(getattr(found.counts, name), getattr(segment(first).counts, name))
            assert found.processor == "unknown"
    store.close()
    for damage in (
        "UPDATE outcomes SET block_errors = 77",
        "UPDATE earlier_outcomes SET block_errors = 77 WHERE transmission = 0",
        "DELETE FROM second_codeword_outcomes WHERE transmission = 0",
        "UPDATE received_outcomes SET values_per_user = zeroblob(length(values_per_user))",
    ):
        copy = tmp_path / "copy.sqlite"
        copy.write_bytes(path.read_bytes())
        with sqlite3.connect(copy) as db:
            db.execute(f"{damage} {'AND' if 'WHERE' in damage else 'WHERE'} first_drop = 3")
        db.close()
        damaged = Store(copy)
        content = damaged.content()
        damaged.close()
        assert [s.first_drop for s in content.segments[TASKS[0].task_id]] == [0]
        assert "the record of drops 3 to 5 of receiver a at 2.5, which contradicts itself" in content.damage
