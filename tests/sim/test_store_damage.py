"""One byte that flips anywhere in a store is found when it is read; what is intact stays, and is never changed."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_link
import numpy as np
import pytest
from in_process import run_here

from ran.errors import InputError
from ran.report import write_report
from ran.sim.results import RunResults, load_results
from ran.sim.segment import Content, Segment, Task
from ran.sim.store import Store
from ran.sim.store_rows import TABLES, scan
from ran.stats.counts import Counts

TASKS = [Task(c * 64, "s" * 64, f"receiver {c}", 2.5 + i, "r" * 64) for i, c in enumerate("ab")]


def segment(first: int, drops: int = 3) -> Segment:
    """With HARQ, a second codeword and the state of two users."""
    numbers = np.arange(first, first + drops)
    received = np.random.default_rng(first).normal(size=(drops, 2, 5)).astype(np.float32)
    received[..., -1] = np.stack([numbers % 3, 0 * numbers], 1)  # blocks in error of every user
    earlier, second = np.stack([numbers % 2, numbers % 3], 1), np.stack([numbers % 2] * 3, 1)
    counts = Counts.of(numbers % 3, numbers * 70_000, earlier, second, received)
    return Segment(first, counts.counting({"fallbacks": numbers, "iterations": numbers * 3}), "znver4 torch:AVX512")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.create(tmp_path / "results.sqlite", {"experiment": '{"name": "é"}', "started": "today"}, jobs=True)
    store.add_jobs({"key one": b"abc", "key two": b"\0\1"}, {})
    for first in (0, 3, 6):
        store.add({task: segment(first) for task in TASKS}, {"finished": f"after {first}"})
    yield store
    store.close()


def flipped(value: Any) -> Iterator[Any]:
    """The value with each of its bytes flipped in turn: every bit, and one bit."""
    for mask in (0xFF, 0x01):
        if isinstance(value, bytes):
            for place in range(len(value)):
                yield value[:place] + bytes([value[place] ^ mask]) + value[place + 1 :]
        else:
            kind = "<d" if isinstance(value, float) else "<q"
            whole = struct.pack(kind, value)
            for place in range(8):
                changed = whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :]
                yield struct.unpack(kind, changed)[0]


def test_every_byte_of_every_column(store: Store) -> None:
    """Each row that was changed is set aside, alone; keys, counts, blobs and the hash itself."""
    db = sqlite3.connect(store.path, isolation_level=None)
    db.text_factory = bytes
    tried = 0
    for table, columns in TABLES.items():
        intact = scan(db, table)
        assert len(intact.rows) >= 2
        assert not intact.damaged
        number = list(intact.rows)[1]
        for column in (*columns, "content"):
            [value] = db.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", (number,)).fetchone()
            is_text = columns.get(column) == "TEXT"
            for changed in flipped(value):
                stored = changed if not is_text else changed.decode("latin-1").encode("latin-1")
                db.execute("BEGIN")
                given = "CAST(? AS TEXT)" if is_text else "?"
                db.execute(f"UPDATE {table} SET {column} = {given} WHERE rowid = ?", (stored, number))
                found = scan(db, table)
                db.execute("ROLLBACK")
                assert list(found.damaged) == [number], (table, column, changed)
                assert found.rows == {n: row for n, row in intact.rows.items() if n != number}
                tried += 1
    db.close()
    assert tried > 1000


def in_pieces(content: Content) -> dict[Any, Any]:
    """Everything that a store holds, by what it is."""
    pieces: dict[Any, Any] = {("meta", key): value for key, value in content.meta.items()}
    pieces |= {("job", key): blob for key, blob in (content.jobs or {}).items()}
    pieces |= {("task", name): task for name, task in content.tasks.items()}
    for name, segments in content.segments.items():
        for s in segments:
            arrays = (s.counts.errors, *s.counts.counters.values(), s.counts.received)
            own = (*(a.tobytes() for a in arrays), *(a.shape for a in arrays))
            pieces[name, s.first_drop] = (*own, *s.counts.counters, s.processor)
    return pieces


def flip_bytes_of_the_file(path: Path, stride: int) -> None:
    """Flip a byte of the file at a time. What is read is what was stored, less what a line says is damaged.

    Only a byte of SQLite's header or of the tables' definitions may make the file unreadable as a whole.
    """
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA page_size = 512")  # many pages with little unused space between
    db.execute("VACUUM")
    [definitions] = db.execute("SELECT sum(length(sql) + 100) FROM sqlite_master").fetchone()
    db.close()
    store = Store(path)
    wanted = in_pieces(store.content())
    store.close()
    whole = path.read_bytes()
    masks = np.random.default_rng(1).integers(1, 256, len(whole))
    refused = lost = 0
    for place in range(0, len(whole), stride):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ int(masks[place])]) + whole[place + 1 :])
        try:
            store = Store(path)
            try:
                content = store.content()
            finally:
                store.close()
        except InputError:
            refused += 1
            continue
        found = in_pieces(content)
        assert found.items() <= wanted.items(), f"byte {place} changed what was stored"
        if len(found) < len(wanted):
            assert content.damage, f"byte {place}: {wanted.keys() - found.keys()} disappeared without a word"
            assert all("\n" not in line for line in content.damage)
            lost += 1
    assert refused * stride <= 100 + definitions
    assert lost * stride > len(whole) / 4


def test_bytes_of_the_file(store: Store) -> None:
    store.close()
    flip_bytes_of_the_file(store.path, stride=11)


@pytest.mark.slow
def test_all_bytes_of_the_file(store: Store) -> None:
    store.close()
    flip_bytes_of_the_file(store.path, stride=1)


# --- runs

SMALL = {"esn0_db": [0, 2, 4], "stopping": {"min_block_errors": 20, "max_slots": 120, "min_bler": 0.01}}


def small_run(out: Path) -> RunResults:
    return run_here(fake_link.experiment(**SMALL), out).results


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    small_run(out)
    return out


def damaged_copy(finished: Path, tmp_path: Path, statement: str) -> Path:
    out = tmp_path / "run"
    out.mkdir()
    for name in ("results.sqlite", "experiment.yaml"):
        (out / name).write_bytes((finished / name).read_bytes())
    with sqlite3.connect(out / "results.sqlite") as db:
        assert db.execute(statement).rowcount == 1
    db.close()
    return out


OUTCOME = "(SELECT o.rowid FROM outcomes o JOIN tasks USING (task_id) WHERE receiver = 'one' AND esn0_db = {} LIMIT 1)"
#: Damage, and what the report names.
DAMAGE = {
    "first drop": (
        f"UPDATE outcomes SET first_drop = first_drop + 256 WHERE rowid = {OUTCOME.format(2)}",
        "(one at 2, drops 256 to 295 as it reads)",
    ),
    "key": (
        f"UPDATE outcomes SET task_id = 'x' || substr(task_id, 2) WHERE rowid = {OUTCOME.format(0)}",
        "(of an unknown task, drops 0 to 19 as it reads)",
    ),
    "count": (
        f"UPDATE outcomes SET block_errors = block_errors + 1 WHERE rowid = {OUTCOME.format(2)}",
        "(one at 2, drops 0 to 39 as it reads)",
    ),
    "name": (
        "UPDATE tasks SET receiver = 'ond' WHERE receiver = 'one' AND esn0_db = 2",
        "of tasks (ond at 2.0, as it reads)",
    ),
    "point": (
        "UPDATE tasks SET esn0_db = 66 WHERE receiver = 'one' AND esn0_db = 2",
        "of tasks (one at 66.0, as it reads)",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_row_is_named_and_simulated_again(kind: str, finished: Path, tmp_path: Path, capsys: Any) -> None:
    from ran.cli.main import main

    statement, name = DAMAGE[kind]
    out = damaged_copy(finished, tmp_path, statement)
    whole, found = load_results(finished), load_results(out)
    assert any(name in text for text in found.warnings), found.warnings
    assert found.meta["complete"] == "no"
    # points that are not damaged are all there, with their whole counts
    point = 0.0 if kind == "key" else 2.0
    counts = {(p.receiver, p.esn0_db): (p.drops, p.block_errors) for p in found.points}
    lost = {(p.receiver, p.esn0_db) for p in whole.points} - counts.keys()
    assert lost == {("one", point)}
    assert kind in ("name", "point") or any(f"one at {point:g}" in text for text in found.warnings)
    for p in whole.points:
        assert (p.receiver, p.esn0_db) in lost or counts[p.receiver, p.esn0_db] == (p.drops, p.block_errors)
    assert main(["report", str(out)]) == 0
    assert "warning: results.sqlite: damaged, and not counted: row" in capsys.readouterr().out
    assert "damaged, and not counted" in (out / "report.html").read_text()

    before = (out / "results.sqlite").read_bytes()
    again = run_here(fake_link.experiment(**SMALL), out)
    assert again.results.warnings == ()
    assert any(name in text for text in again.said), again.said
    assert (out / "results.csv").read_bytes() == (finished / "results.csv").read_bytes()
    assert (out / "results.damaged-1.sqlite").read_bytes() == before
    # what was damaged and no more: a name is written again without simulating anything
    assert [(c.esn0_db, c.receivers) for c in again.chunks] == (
        [] if kind in ("name", "point") else [(point, ("one",))]
    )


@pytest.mark.parametrize("key", ["experiment", "receivers", "run_identity", "versions", "finished", "past_receivers"])
def test_damaged_text_about_the_run(key: str, finished: Path, tmp_path: Path) -> None:
    out = damaged_copy(finished, tmp_path, f"UPDATE meta SET value = value || ' ' WHERE key = '{key}'")
    if key in ("finished", "past_receivers"):
        assert any("row" in text and f"({key})" in text for text in load_results(out).warnings)
    else:
        with pytest.raises(
            InputError, match=rf"damaged: row \d+ of meta \({key}\); allowed: to run the same `ran sim`"
        ):
            load_results(out)
    assert small_run(out).warnings == ()
    assert (out / "results.csv").read_bytes() == (finished / "results.csv").read_bytes()


def test_a_damaged_identity_is_no_licence(finished: Path, tmp_path: Path) -> None:
    """Without it another experiment is still told from the one that is stored: by the names of its tasks."""
    out = damaged_copy(finished, tmp_path, "UPDATE meta SET value = '{}' WHERE key = 'run_identity'")
    other = fake_link.experiment(**{**SMALL, "seed": 2})
    with pytest.raises(InputError, match=r"damaged: row \d+ of meta \(run_identity\); allowed: another folder"):
        run_here(other, out)
    assert sorted(p.name for p in out.iterdir()) == ["experiment.yaml", "results.sqlite"]


def test_damage_of_a_second_time_replaces_nothing(finished: Path, tmp_path: Path) -> None:
    out = damaged_copy(finished, tmp_path, DAMAGE["name"][0])
    (out / "results.damaged-1.sqlite").write_text("of the first time")
    small_run(out)
    assert (out / "results.damaged-1.sqlite").read_text() == "of the first time"
    assert (out / "results.damaged-2.sqlite").is_file()


def test_an_unreadable_report_is_not_written(finished: Path, tmp_path: Path) -> None:
    """All chunks of the run damaged: the line says why there is no point."""
    out = damaged_copy(finished, tmp_path, "UPDATE meta SET value = value || ' ' WHERE key = 'finished'")
    with sqlite3.connect(out / "results.sqlite") as db:
        db.execute("UPDATE outcomes SET bit_errors = bit_errors + 1")
    db.close()
    found = load_results(out)
    assert found.points == ()
    assert any("without a result" in text for text in found.warnings)
    with pytest.raises(
        InputError, match=r"points of run 'fake': got none \(results.sqlite: damaged, .*; allowed: one or more"
    ):
        write_report([found], tmp_path / "page")


def test_past_receivers_are_text_of_the_store(finished: Path) -> None:
    store = Store(finished / "results.sqlite")
    assert json.loads(store.meta()["past_receivers"]) == {}
    store.close()
