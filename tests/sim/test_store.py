"""The store keeps whole chunks whatever happens, and touches nothing that is not its own."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ran.errors import InputError
from ran.sim.store import Segment, Store, Task
from ran.stats.counts import Counts

TASK = Task("t" * 64, "s" * 64, "receiver", 3.5)


def segment(first: int, drops: int = 5) -> Segment:
    numbers = np.arange(first, first + drops)
    return Segment(first, Counts.of(numbers % 3, numbers * 1000))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "results.sqlite", {"a": "1"})


def test_what_is_stored_comes_back(store: Store) -> None:
    store.add({TASK: segment(5)}, {"b": "2"})
    store.add({TASK: segment(0)}, {"b": "3"})
    store.close()
    again = Store(store.path)
    assert again.meta() == {"a": "1", "b": "3"}
    for found, first in zip(again.load(TASK.task_id), (0, 5), strict=True):
        assert found.first_drop == first
        np.testing.assert_array_equal(found.counts.block_errors, segment(first).counts.block_errors)
        np.testing.assert_array_equal(found.counts.bit_errors, segment(first).counts.bit_errors)
    assert again.load("another") == []


@pytest.mark.parametrize("first", [0, 3, 5, 8, 9])
def test_drops_enter_once(store: Store, first: int) -> None:
    store.add({TASK: segment(5)}, {})
    with pytest.raises(ValueError, match="stored already"):
        store.add({TASK: segment(first, 7)}, {"b": "2"})
    assert [s.first_drop for s in store.load(TASK.task_id)] == [5]
    assert "b" not in store.meta(), "the whole transaction is undone"


def test_drops_of_many_chunks_enter_once(tmp_path: Path) -> None:
    """Against a set of numbers, in any order of chunks of any length."""
    generator = np.random.default_rng(3)
    store, known = Store.create(tmp_path / "results.sqlite", {}), set()
    refused = 0
    for _ in range(200):
        first, drops = int(generator.integers(0, 200)), int(generator.integers(1, 9))
        new = set(range(first, first + drops))
        if known & new:
            refused += 1
            with pytest.raises(ValueError, match="stored already"):
                store.add({TASK: segment(first, drops)}, {})
        else:
            store.add({TASK: segment(first, drops)}, {})
            known |= new
    stored = [range(s.first_drop, s.last_drop + 1) for s in store.load(TASK.task_id)]
    assert sorted(drop for part in stored for drop in part) == sorted(known)
    assert refused > 50


def test_a_chunk_more_costs_the_same_however_many_there_are(store: Store) -> None:
    """Steps of SQLite's virtual machine, which are counted and not timed."""

    def steps(first: int) -> int:
        count = 0

        def step() -> None:
            nonlocal count
            count += 1

        store._db.set_progress_handler(step, 1)
        store.add({TASK: segment(first)}, {"a": "1"})
        store._db.set_progress_handler(None, 1)
        return count

    store._db.execute("PRAGMA synchronous = OFF")
    store.add({TASK: segment(0)}, {})
    early = steps(5)
    for first in range(10, 2000, 5):
        store.add({TASK: segment(first)}, {})
    assert steps(2000) <= early + 5


@pytest.mark.parametrize("moved", [True, False])
def test_a_store_that_goes_away_while_it_is_in_use(store: Store, moved: bool) -> None:
    store.add({TASK: segment(0)}, {})
    if moved:
        store.path.rename(store.path.with_name("elsewhere.sqlite"))
    else:
        store.path.unlink()
    with pytest.raises(InputError, match=r"was moved or removed while it was in use$"):
        store.add({TASK: segment(8)}, {})


def test_a_store_never_replaces_a_file(store: Store) -> None:
    before = store.path.read_bytes()
    with pytest.raises(InputError, match="exists already"):
        Store.create(store.path, {})
    assert store.path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"hello", b"SQLite format 3\0", bytes(4096)])
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "results.sqlite"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"not a SQLite file|another program"):
        Store(path)
    assert path.read_bytes() == content


def test_the_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE meta (key, value)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(InputError, match="another program"):
        Store(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["cut", "zeros", "noise"])
def test_damage_is_noticed(store: Store, damage: str) -> None:
    for first in range(0, 5000, 500):
        store.add({TASK: segment(first, 500)}, {})
    store.close()
    content = store.path.read_bytes()
    middle = len(content) // 2
    broken = {
        "cut": content[:middle],
        "zeros": content[:middle] + bytes(8192) + content[middle + 8192 :],
        "noise": content[:middle] + np.random.default_rng(0).bytes(8192) + content[middle + 8192 :],
    }[damage]
    store.path.write_bytes(broken)
    if damage == "cut":
        with pytest.raises(InputError, match=r"damaged|cannot be"):
            Store(store.path).content()
        return
    content = Store(store.path).content()
    assert content.damage
    kept = content.segments[TASK.task_id]
    assert 0 < len(kept) < 10
    for found in kept:
        np.testing.assert_array_equal(found.counts.bit_errors, segment(found.first_drop, 500).counts.bit_errors)


def test_a_record_that_contradicts_itself_is_noticed(store: Store) -> None:
    store.add({TASK: segment(0)}, {})
    store.close()
    with sqlite3.connect(store.path) as db:
        db.execute("UPDATE outcomes SET block_errors = block_errors + 1")
    db.close()
    content = Store(store.path).content()
    assert content.segments == {}
    assert content.damage == ("row 1 of outcomes (receiver at 3.5, drops 0 to 4 as it reads)",)


def test_another_format_is_refused(store: Store) -> None:
    store.close()
    with sqlite3.connect(store.path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(InputError, match="got format 99; allowed: up to 3"):
        Store(store.path)


WRITER = """
import sys
from pathlib import Path
import numpy as np
from ran.sim.store import Segment, Store, Task
from ran.stats.counts import Counts
store = Store(Path(sys.argv[1]))
tasks = [Task(c * 64, "s", c, 0.0) for c in "abc"]
first = max((s.first_drop + 50 for s in store.load(tasks[0].task_id)), default=0)
print("ready", flush=True)
while True:
    store.add({t: Segment(first, Counts.of(np.full(50, 1), np.full(50, first))) for t in tasks}, {"last": str(first)})
    first += 50
"""


def test_kill_leaves_whole_chunks(store: Store) -> None:
    store.close()
    delays = np.random.default_rng(5).uniform(0.0, 0.15, 8)
    for delay in delays:
        with subprocess.Popen([sys.executable, "-c", WRITER, str(store.path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(delay)
            writer.send_signal(signal.SIGKILL)
        again = Store(store.path)
        counts = {c: [s.first_drop for s in again.load(c * 64)] for c in "abc"}
        assert counts["a"] == counts["b"] == counts["c"]
        assert counts["a"] == [50 * i for i in range(len(counts["a"]))]
        if counts["a"]:
            assert again.meta()["last"] == str(counts["a"][-1])
        again.close()
    assert len(counts["a"]) > 5


def test_chunks_that_arrive_together_are_stored_together_or_not_at_all(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "results.sqlite", {})
    task = Task("a" * 64, "scenario", "lmmse", 0.0)
    first, second = (Segment(start, Counts.of([1, 0], [3, 0])) for start in (0, 2))
    store.add_chunks([{task: first}, {task: second}], {"finished": "now"})
    assert [segment.first_drop for segment in store.load(task.task_id)] == [0, 2]
    with pytest.raises(ValueError, match="stored already"):
        store.add_chunks([{task: Segment(4, Counts.of([1], [3]))}, {task: first}], {})
    assert [segment.first_drop for segment in store.load(task.task_id)] == [0, 2]
    store.close()
