"""`results.sqlite`: the outcome of every drop, written chunk by chunk."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ran.config.doors import check_regular
from ran.config.storage import refused_by_disk
from ran.errors import InputError
from ran.sim.segment import Content, Segment, Task
from ran.sim.store_format_1 import read_format_1
from ran.sim.store_rows import (
    TABLES,
    Scan,
    insert,
    is_damage,
    row_segment,
    scan,
    schema,
    segment_row,
    task_row,
)
from ran.stats.counts import NUM_RECEIVED

__all__ = ["NUM_RECEIVED", "Content", "Segment", "Store", "Task"]

_APPLICATION_ID = 0x52414E36  # "RAN6" in the header of the file: tells our files from any other SQLite file
#: Format 2 had no counters but bit errors, format 1 (`ran.sim.store_format_1`) no hashes.
_FORMAT = 3

#: Key of the text of a store of jobs that says so: damage to the name of their table is noticed by it.
_JOBS = "jobs"
#: Lines of damage that are listed one by one.
_MOST_LINES = 20


class Store:
    """The outcomes of a run on disk.

    Chunks are written in transactions of SQLite's rollback journal, so a process that is killed at any moment leaves
    whole chunks. A range of drops enters a task once: ranges that overlap are refused. Every row holds a hash of itself
    (`ran.sim.store_rows`), so damage is found when the store is read; `rebuild` keeps what is intact.
    """

    def __init__(self, path: Path) -> None:
        """Open an existing store. InputError when `path` is not one of ours, cannot be read or is of a later format."""
        self.path = path
        _check_header(path)
        try:
            # mode=rw never creates a file, and falls back to reading where writing is not allowed.
            self._db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=30, isolation_level=None)
        except sqlite3.Error as error:
            raise InputError(f"{path}: cannot be opened: {error}") from refused_by_disk(error, path)
        self._db.text_factory = bytes  # damaged text need not be text
        with self._errors():
            self.format = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if not 1 <= self.format <= _FORMAT:
            self._db.close()
            raise InputError(f"{path}: got format {self.format}; allowed: up to {_FORMAT}")

    @classmethod
    def create(cls, path: Path, meta: Mapping[str, str], jobs: bool = False) -> Store:
        """A new store. It appears under its name only when it is complete, and never replaces a file.

        jobs: of a study that is made of jobs.
        """
        try:
            mark = {_JOBS: "yes"} if jobs else {}
            new = _written(path, Content({**meta, **mark}, {}, {}, jobs={} if jobs else None))
            if path.exists():
                raise InputError(f"{path}: exists already; allowed: a new name")
            os.replace(new, path)
        except (sqlite3.Error, OSError) as error:
            raise InputError(f"{path}: cannot be written: {error}") from refused_by_disk(error, path)
        return cls(path)

    @property
    def is_old(self) -> bool:
        """Whether it can be read, and has to be rebuilt before anything is added."""
        return self.format < _FORMAT

    def close(self) -> None:
        self._db.close()

    def meta(self) -> dict[str, str]:
        """All key-value pairs that are intact."""
        return self.content().meta if self.format == 1 else self._meta()

    def _meta(self) -> dict[str, str]:
        with self._errors():
            return dict(sorted(scan(self._db, "meta", self.format).rows.values()))

    def content(self) -> Content:
        """Everything that is intact, and a line for each thing that is damaged; of one moment, while others write.

        A store of format 1, whose rows have no hash, is refused when SQLite itself finds it damaged.
        """
        with self._errors(), self._snapshot():
            if self.format == 1:
                return read_format_1(self._db, self.path)
            holds_jobs = self._holds_jobs()
            tables = {table: scan(self._db, table, self.format) for table in TABLES if table != "jobs" or holds_jobs}
            problem = self._problem()
        meta = dict(sorted(tables["meta"].rows.values()))
        named = sorted((Task(*row) for row in tables["tasks"].rows.values()), key=_order)
        tasks = {task.task_id: task for task in named}
        segments: dict[str, list[Segment]] = {}
        for row in tables["outcomes"].rows.values():
            segments.setdefault(row[0], []).append(row_segment(row))
        for of_task in segments.values():
            of_task.sort(key=lambda segment: segment.first_drop)
        damage = _damage(tables, tasks)
        damage += [
            f"the row of tasks that names {sum(s.counts.drops for s in of_task)} drops of task {task_id[:12]} is "
            "missing"
            for task_id, of_task in segments.items()
            if task_id not in tasks
        ]
        if problem and not damage:
            damage.append(f"SQLite: {problem}")
        if len(damage) > _MOST_LINES:
            damage[_MOST_LINES:] = [f"{len(damage) - _MOST_LINES} more rows"]
        jobs = dict(tables["jobs"].rows.values()) if holds_jobs else None
        if jobs is None and _JOBS in meta:
            jobs = {}
            damage.insert(0, "the table of jobs is missing")
        return Content(meta, tasks, segments, tuple(damage), jobs)

    def _holds_jobs(self) -> bool:
        query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'jobs'"
        return bool(self._db.execute(query).fetchone()[0])

    def load(self, task_id: str) -> list[Segment]:
        """What is known of a task and intact, ascending in `first_drop`."""
        return self.content().segments.get(task_id, [])

    def tasks(self) -> list[Task]:
        """All tasks of which something is stored, by receiver and Es/N0."""
        return list(self.content().tasks.values())

    def set_meta(self, values: Mapping[str, str]) -> None:
        """Set some key-value pairs, in one transaction."""
        with self._errors(), self._transaction():
            self._set_meta(values)

    def name(self, tasks: Mapping[str, Task]) -> None:
        """Write the rows of some tasks, by task_id, in one transaction."""
        with self._errors(), self._transaction():
            for task in tasks.values():
                insert(self._db, "tasks", task_row(task))

    def add(self, segments: Mapping[Task, Segment], meta: Mapping[str, str]) -> None:
        """Store what one chunk brought for its tasks, and some key-value pairs, in one transaction."""
        self.add_chunks([segments], meta)

    def add_chunks(self, chunks: Sequence[Mapping[Task, Segment]], meta: Mapping[str, str]) -> None:
        """Store what several chunks brought in one transaction: the disk is waited for once."""
        with self._errors(), self._transaction():
            for segments in chunks:
                for task, segment in segments.items():
                    self._add_one(task, segment)
            self._set_meta(meta)

    def add_jobs(self, results: Mapping[str, bytes], meta: Mapping[str, str]) -> None:
        """Store what one job of a study brought, by key, and some key-value pairs, in one transaction."""
        with self._errors(), self._transaction():
            for row in results.items():
                insert(self._db, "jobs", row)
            self._set_meta(meta)

    def rebuild(self, content: Content) -> tuple[Store, Path | None]:
        """A store under the same name with `content` alone, all that is intact; this one is closed.

        A damaged file is kept beside it, and its path returned.
        """
        aside = _free_name(self.path) if content.damage else None
        try:
            new = _written(self.path, content)
            if aside is not None:
                shutil.copy2(self.path, aside)
            self.close()
            os.replace(new, self.path)
        except (sqlite3.Error, OSError) as error:
            raise InputError(f"{self.path}: cannot be written: {error}") from refused_by_disk(error, self.path)
        return Store(self.path), aside

    def _add_one(self, task: Task, segment: Segment) -> None:
        first, stop = segment.first_drop, segment.last_drop + 1
        insert(self._db, "tasks", task_row(task))
        # what is stored does not overlap, so the last range that begins before `stop` ends last
        last = self._db.execute(
            "SELECT first_drop + num_drops FROM outcomes WHERE task_id = ? AND first_drop < ? "
            "ORDER BY first_drop DESC LIMIT 1",
            (task.task_id, stop),
        ).fetchone()
        if last is not None and last[0] > first:
            raise ValueError(f"drops {first} to {stop - 1} of task {task.task_id} are stored already")
        insert(self._db, "outcomes", segment_row(task.task_id, segment))

    def _set_meta(self, values: Mapping[str, str]) -> None:
        for row in values.items():
            insert(self._db, "meta", row)

    def _problem(self) -> str:
        """What SQLite finds wrong with the structure of the file and with its indices; empty for nothing."""
        try:
            found: bytes = self._db.execute("PRAGMA integrity_check(1)").fetchone()[0]
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            return str(error)
        text = found.decode(errors="replace")
        return "" if text == "ok" else text.splitlines()[-1]

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")

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
            if error.sqlite_errorname == "SQLITE_READONLY_DBMOVED" or not self.path.exists():
                raise InputError(f"{self.path}: was moved or removed while it was in use") from None
            what = f"{self.path}: cannot be read or written: {error}"
            raise InputError(what) from refused_by_disk(error, self.path)
        except sqlite3.DatabaseError as error:
            raise InputError(f"{self.path}: damaged: {error}; allowed: a results.sqlite that ran wrote") from None
        except UnicodeDecodeError:  # SQLite says which name in the schema is damaged, in its damaged letters
            raise InputError(f"{self.path}: damaged: its schema; allowed: a results.sqlite that ran wrote") from None


def _order(task: Task) -> tuple[str, float, str]:
    return task.receiver, task.esn0_db, task.task_id


def _damage(tables: Mapping[str, Scan], tasks: Mapping[str, Task]) -> list[str]:
    """A line for every damaged row, with what it is as far as that can be told."""
    found = []
    for table, read in tables.items():
        found += [f"row {number} of {table}{_what(table, row, tasks)}" for number, row in read.damaged.items()]
        if read.problem:
            found.append(f"a part of {table} that cannot be read ({read.problem})")
    return found


def _what(table: str, row: tuple[Any, ...], tasks: Mapping[str, Task]) -> str:
    if table in ("meta", "jobs"):
        return f" ({_text(row[0])})"
    if table == "tasks":
        return f" ({_text(row[2])} at {row[3]}, as it reads)"
    task = tasks.get(_text(row[0]))
    first, drops = row[1], row[2]
    if not isinstance(first, int) or not isinstance(drops, int):
        which = "of unknown drops"
    else:
        which = f"drops {first} to {first + drops - 1}"
    if task is None:
        return f" (of an unknown task, {which} as it reads)"
    return f" ({task.receiver} at {task.esn0_db:g}, {which} as it reads)"


def _text(value: Any) -> str:
    """A value of a damaged row, printable and short."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    short = text if len(text) <= 80 else text[:80] + "…"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in short)


def _written(path: Path, content: Content) -> Path:
    """A new store beside `path` with this content."""
    new = path.with_name(path.name + ".new")
    for leftover in (new, path.with_name(new.name + "-journal")):
        leftover.unlink(missing_ok=True)
    db = sqlite3.connect(new)
    try:
        db.executescript(f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {_FORMAT};")
        db.executescript(schema(jobs=content.jobs is not None))
        for row in content.meta.items():
            insert(db, "meta", row)
        for task in content.tasks.values():
            insert(db, "tasks", task_row(task))
        for task_id, segments in content.segments.items():
            for segment in segments:
                insert(db, "outcomes", segment_row(task_id, segment))
        for result in (content.jobs or {}).items():
            insert(db, "jobs", result)
        db.commit()
    finally:
        db.close()
    return new


def _free_name(path: Path) -> Path:
    """Name for a damaged store beside `path` that is not taken."""
    number = 1
    while (aside := path.with_name(f"{path.stem}.damaged-{number}{path.suffix}")).exists():
        number += 1
    return aside


def _check_header(path: Path) -> None:
    """Look at the file's first bytes before SQLite does: a foreign file is not touched."""
    check_regular(path)
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        raise InputError(f"{path}: not a SQLite file; allowed: a results.sqlite that ran wrote")
    if int.from_bytes(header[68:72], "big") != _APPLICATION_ID:
        raise InputError(f"{path}: a SQLite file of another program; allowed: a results.sqlite that ran wrote")
