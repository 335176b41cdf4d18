"""`results.sqlite`: the outcome of every drop, written one chunk per transaction."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ran.errors import InputError

_APPLICATION_ID = 0x52414E36  # "RAN6" in the header of the file: tells our files from any other SQLite file
_FORMAT = 1

_SCHEMA = f"""
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_FORMAT};
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tasks (
    task_id TEXT PRIMARY KEY, scenario_id TEXT NOT NULL, receiver TEXT NOT NULL, esn0_db REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE outcomes (
    task_id TEXT NOT NULL REFERENCES tasks,
    first_drop INTEGER NOT NULL,
    num_drops INTEGER NOT NULL,
    block_errors INTEGER NOT NULL,
    bit_errors INTEGER NOT NULL,
    block_errors_per_drop BLOB NOT NULL,
    bit_errors_per_drop BLOB NOT NULL,
    UNIQUE (task_id, first_drop)
);
"""


#: Only in runs with HARQ: one row per chunk and transmission (from 0) but the last, whose errors are in `outcomes`.
_HARQ_SCHEMA = """
CREATE TABLE IF NOT EXISTS earlier_outcomes (
    task_id TEXT NOT NULL REFERENCES tasks,
    first_drop INTEGER NOT NULL,
    transmission INTEGER NOT NULL,
    block_errors INTEGER NOT NULL,
    block_errors_per_drop BLOB NOT NULL,
    UNIQUE (task_id, first_drop, transmission)
)
"""


#: Only in runs with two codewords: one row per chunk and transmission (from 0), of the second codeword's blocks.
_SECOND_SCHEMA = """
CREATE TABLE IF NOT EXISTS second_codeword_outcomes (
    task_id TEXT NOT NULL REFERENCES tasks,
    first_drop INTEGER NOT NULL,
    transmission INTEGER NOT NULL,
    block_errors INTEGER NOT NULL,
    block_errors_per_drop BLOB NOT NULL,
    UNIQUE (task_id, first_drop, transmission)
)
"""


#: Only in runs with a link budget: one row per chunk, with the SHA-256 of its values.
_RECEIVED_SCHEMA = """
CREATE TABLE IF NOT EXISTS received_outcomes (
    task_id TEXT NOT NULL REFERENCES tasks,
    first_drop INTEGER NOT NULL,
    num_users INTEGER NOT NULL,
    values_per_user BLOB NOT NULL,
    content BLOB NOT NULL,
    UNIQUE (task_id, first_drop)
)
"""
#: Columns of `Segment.received`.
NUM_RECEIVED = 5


@dataclass(frozen=True)
class Task:
    """One receiver at one SNR point, by the names of `ran.sim.identity`."""

    task_id: str
    scenario_id: str
    receiver: str
    esn0_db: float


@dataclass(frozen=True)
class Segment:
    """Outcomes of consecutive drops of a task: block_errors and bit_errors int64 [drops], of all users or codewords.

    earlier_errors int64 [drops, transmissions - 1]: with HARQ, blocks in error after every transmission but the last.
    second_errors int64 [drops, transmissions]: with two codewords, the second's part in the errors after each.
    received float32 [drops, users, 5]: with a link budget, of every user the received Es/N0 in dB, path gain in dB,
    horizontal distance in m (NaN: unknown), condition (0 LOS, 1 NLOS, 2 O2I, -1 unknown) and blocks in error.
    """

    first_drop: int
    block_errors: np.ndarray
    bit_errors: np.ndarray
    earlier_errors: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    second_errors: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    received: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, NUM_RECEIVED), np.float32))

    def __post_init__(self) -> None:
        for name in ("earlier_errors", "second_errors"):
            if getattr(self, name).size == 0:
                object.__setattr__(self, name, np.zeros((len(self.block_errors), 0), np.int64))
        if self.received.size == 0:
            object.__setattr__(self, "received", np.zeros((len(self.block_errors), 0, NUM_RECEIVED), np.float32))


class Store:
    """The outcomes of a run on disk.

    A chunk is one transaction of SQLite's rollback journal, so a process that is killed at any moment leaves whole
    chunks. A range of drops enters a task once: ranges that overlap are refused.
    """

    def __init__(self, path: Path) -> None:
        """Open an existing store. InputError when `path` is not one of ours, damaged or of another format."""
        self.path = path
        _check_header(path)
        try:
            # mode=rw never creates a file, and falls back to reading where writing is not allowed.
            self._db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=30, isolation_level=None)
            with self._errors():
                problem = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
                version = self._db.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error as error:
            raise InputError(f"{path}: cannot be opened: {error}") from None
        if problem != "ok":
            raise InputError(f"{path}: damaged: {problem.splitlines()[-1]}; allowed: a results.sqlite that ran wrote")
        if version != _FORMAT:
            raise InputError(f"{path}: got format {version}; allowed: {_FORMAT}")

    @classmethod
    def create(cls, path: Path, meta: Mapping[str, str]) -> Store:
        """A new store. It appears under its name only when it is complete, and never replaces a file."""
        new = path.with_name(path.name + ".new")
        try:
            for leftover in (new, path.with_name(new.name + "-journal")):
                leftover.unlink(missing_ok=True)
            db = sqlite3.connect(new)
            try:
                db.executescript(_SCHEMA)
                db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
                db.commit()
            finally:
                db.close()
            if path.exists():
                raise InputError(f"{path}: exists already; allowed: a new name")
            os.replace(new, path)
        except (sqlite3.Error, OSError) as error:
            raise InputError(f"{path}: cannot be written: {error}") from None
        return cls(path)

    def close(self) -> None:
        self._db.close()

    def meta(self) -> dict[str, str]:
        """All key-value pairs."""
        with self._errors():
            return dict(self._db.execute("SELECT key, value FROM meta ORDER BY key"))

    def set_meta(self, values: Mapping[str, str]) -> None:
        """Set some key-value pairs, in one transaction."""
        with self._errors(), self._transaction():
            self._set_meta(values)

    def add(self, segments: Mapping[Task, Segment], meta: Mapping[str, str]) -> None:
        """Store what one chunk brought for its tasks, and some key-value pairs, in one transaction."""
        with self._errors(), self._transaction():
            for task, segment in segments.items():
                self._add_one(task, segment)
            self._set_meta(meta)

    def tasks(self) -> list[Task]:
        """All tasks of which something is stored, by receiver and Es/N0."""
        query = "SELECT task_id, scenario_id, receiver, esn0_db FROM tasks ORDER BY receiver, esn0_db, task_id"
        with self._errors():
            return [Task(*row) for row in self._db.execute(query)]

    def load(self, task_id: str) -> list[Segment]:
        """What is known of a task, ascending in `first_drop`. InputError when a record contradicts itself."""
        query = (
            "SELECT first_drop, num_drops, block_errors, bit_errors, block_errors_per_drop, bit_errors_per_drop "
            "FROM outcomes WHERE task_id = ? ORDER BY first_drop"
        )
        with self._errors():
            segments = [self._segment(*row) for row in self._db.execute(query, (task_id,))]
            earlier = self._by_transmission("earlier_outcomes", task_id)
            second = self._by_transmission("second_codeword_outcomes", task_id)
            received = self._received(task_id)
        if earlier:
            segments = [replace(s, earlier_errors=self._stacked(s, earlier.get(s.first_drop, {}))) for s in segments]
        if second:
            segments = [replace(s, second_errors=self._stacked(s, second.get(s.first_drop, {}))) for s in segments]
        if received:
            segments = [replace(s, received=self._of_segment(s, received)) for s in segments]
        return segments

    def _received(self, task_id: str) -> dict[int, np.ndarray]:
        """Large-scale state by first drop; nothing where the run has no such table."""
        exists = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'received_outcomes'"
        if not self._db.execute(exists).fetchone()[0]:
            return {}
        query = "SELECT first_drop, num_users, values_per_user, content FROM received_outcomes WHERE task_id = ?"
        found = {}
        for first, users, blob, content in self._db.execute(query, (task_id,)):
            if hashlib.sha256(blob).digest() != content or users < 1 or len(blob) % (4 * NUM_RECEIVED * users):
                raise InputError(f"{self.path}: damaged: the link budget of drops from {first} contradicts itself")
            found[first] = np.frombuffer(blob, "<f4").reshape(-1, users, NUM_RECEIVED).astype(np.float32)
        return found

    def _of_segment(self, segment: Segment, received: Mapping[int, np.ndarray]) -> np.ndarray:
        """The state of a segment's users. InputError where it is missing or does not fit to the block errors."""
        found = received.get(segment.first_drop)
        if found is None or len(found) != len(segment.block_errors):
            raise InputError(f"{self.path}: damaged: the link budget of drops from {segment.first_drop} is missing")
        if not np.array_equal(found[..., -1].sum(1), segment.block_errors):
            raise InputError(
                f"{self.path}: damaged: the record of drops from {segment.first_drop} contradicts its link budget"
            )
        return found

    def _by_transmission(self, table: str, task_id: str) -> dict[int, dict[int, np.ndarray]]:
        """Errors per drop by first drop and transmission; nothing where the run has no such table."""
        exists = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
        if not self._db.execute(exists, (table,)).fetchone()[0]:
            return {}
        query = f"SELECT first_drop, transmission, block_errors, block_errors_per_drop FROM {table} WHERE task_id = ?"
        found: dict[int, dict[int, np.ndarray]] = {}
        for first, transmission, total, blob in self._db.execute(query, (task_id,)):
            per_drop = np.frombuffer(blob, "<u2").astype(np.int64) if len(blob) % 2 == 0 else np.zeros(0, np.int64)
            if per_drop.sum() != total:
                raise InputError(f"{self.path}: damaged: the record of drops from {first} contradicts itself")
            found.setdefault(first, {})[transmission] = per_drop
        return found

    def _stacked(self, segment: Segment, errors: Mapping[int, np.ndarray]) -> np.ndarray:
        """Errors per drop and transmission of a segment, int64 [drops, transmissions]."""
        drops = len(segment.block_errors)
        whole = sorted(errors) == list(range(len(errors))) and all(len(e) == drops for e in errors.values())
        if not whole or not errors:
            raise InputError(f"{self.path}: damaged: transmissions of the drops from {segment.first_drop} are missing")
        return np.stack([errors[i] for i in sorted(errors)], axis=1)

    def _segment(
        self, first: int, drops: int, blocks: int, bits: int, per_drop: bytes, bits_per_drop: bytes
    ) -> Segment:
        sizes_fit = len(per_drop) == 2 * drops and len(bits_per_drop) == 4 * drops
        if sizes_fit:
            segment = Segment(
                first,
                np.frombuffer(per_drop, "<u2").astype(np.int64),
                np.frombuffer(bits_per_drop, "<u4").astype(np.int64),
            )
            if segment.block_errors.sum() == blocks and segment.bit_errors.sum() == bits:
                return segment
        raise InputError(f"{self.path}: damaged: the record of drops {first} to {first + drops - 1} contradicts itself")

    def _add_one(self, task: Task, segment: Segment) -> None:
        first, drops = segment.first_drop, len(segment.block_errors)
        row = (task.task_id, task.scenario_id, task.receiver, task.esn0_db)
        self._db.execute("INSERT OR REPLACE INTO tasks VALUES (?, ?, ?, ?)", row)
        overlap = self._db.execute(
            "SELECT count(*) FROM outcomes WHERE task_id = ? AND first_drop < ? AND first_drop + num_drops > ?",
            (task.task_id, first + drops, first),
        ).fetchone()[0]
        if overlap:
            raise ValueError(f"drops {first} to {first + drops - 1} of task {task.task_id} are stored already")
        self._db.execute(
            "INSERT INTO outcomes VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                task.task_id,
                first,
                drops,
                int(segment.block_errors.sum()),
                int(segment.bit_errors.sum()),
                segment.block_errors.astype("<u2").tobytes(),
                segment.bit_errors.astype("<u4").tobytes(),
            ),
        )
        for table, schema, per_transmission in (
            ("earlier_outcomes", _HARQ_SCHEMA, segment.earlier_errors),
            ("second_codeword_outcomes", _SECOND_SCHEMA, segment.second_errors),
        ):
            if per_transmission.shape[1]:
                self._db.execute(schema)
            for transmission, errors in enumerate(per_transmission.T):
                record = (task.task_id, first, transmission, int(errors.sum()), errors.astype("<u2").tobytes())
                self._db.execute(f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?)", record)

        if segment.received.shape[1]:
            self._db.execute(_RECEIVED_SCHEMA)
            blob = np.ascontiguousarray(segment.received, "<f4").tobytes()
            state = (task.task_id, first, segment.received.shape[1], blob, hashlib.sha256(blob).digest())
            self._db.execute("INSERT INTO received_outcomes VALUES (?, ?, ?, ?, ?)", state)

    def _set_meta(self, values: Mapping[str, str]) -> None:
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise InputError(f"{self.path}: cannot be read or written: {error}") from None
        except sqlite3.DatabaseError as error:
            raise InputError(f"{self.path}: damaged: {error}; allowed: a results.sqlite that ran wrote") from None


def _check_header(path: Path) -> None:
    """Look at the file's first bytes before SQLite does: a foreign file is not touched."""
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        raise InputError(f"{path}: not a SQLite file; allowed: a results.sqlite that ran wrote")
    if int.from_bytes(header[68:72], "big") != _APPLICATION_ID:
        raise InputError(f"{path}: a SQLite file of another program; allowed: a results.sqlite that ran wrote")
