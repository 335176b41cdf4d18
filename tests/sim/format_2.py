"""Writes stores of format 2, as versions before counters of receivers wrote them."""

from __future__ import annotations

import hashlib
import sqlite3
import struct
from pathlib import Path

from ran.sim.store import Store

_SCHEMA = """
PRAGMA application_id = 1380011574;
PRAGMA user_version = 2;
CREATE TABLE meta (key TEXT, value TEXT, content BLOB, UNIQUE (key));
CREATE TABLE tasks (task_id TEXT, scenario_id TEXT, receiver TEXT, esn0_db REAL, receiver_id TEXT, content BLOB,
    UNIQUE (task_id));
CREATE TABLE outcomes (task_id TEXT, first_drop INTEGER, num_drops INTEGER, block_errors INTEGER, bit_errors INTEGER,
    processor TEXT, block_errors_per_drop BLOB, bit_errors_per_drop BLOB, earlier_errors BLOB, second_errors BLOB,
    received BLOB, content BLOB, UNIQUE (task_id, first_drop));
"""
_JOBS = "CREATE TABLE jobs (key TEXT, result BLOB, content BLOB, UNIQUE (key));"


def rewrite_in_format_2(path: Path) -> None:
    """The store at `path` as format 2 had it."""
    store = Store(path)
    content = store.content()
    store.close()
    assert not content.damage
    path.unlink()
    db = sqlite3.connect(path)
    db.executescript(_SCHEMA + (_JOBS if content.jobs is not None else ""))
    for row in content.meta.items():
        _write(db, "meta", row)
    for task in content.tasks.values():
        row = (task.task_id, task.scenario_id, task.receiver, float(task.esn0_db), task.receiver_id)
        _write(db, "tasks", row)
        for segment in content.segments[task.task_id]:
            counts = segment.counts
            assert set(counts.counters) == {"bit_errors"}
            sums = len(counts.errors), int(counts.block_errors.sum()), int(counts.bit_errors.sum())
            blobs = (
                counts.block_errors.astype("<u2"),
                counts.bit_errors.astype("<u4"),
                counts.earlier_errors.astype("<u2"),
                counts.second_errors.astype("<u2"),
                counts.received.astype("<f4"),
            )
            of_drops = (segment.first_drop, *sums, segment.processor, *(blob.tobytes() for blob in blobs))
            _write(db, "outcomes", (task.task_id, *of_drops))
    for row in (content.jobs or {}).items():
        _write(db, "jobs", row)
    db.commit()
    db.close()


def _write(db: sqlite3.Connection, table: str, values: tuple[object, ...]) -> None:
    whole = hashlib.sha256(table.encode())
    for value in values:
        if isinstance(value, float):
            kind, content = b"f", struct.pack("<d", value)
        elif isinstance(value, int):
            kind, content = b"i", str(value).encode()
        else:
            kind, content = b"b", value if isinstance(value, bytes) else str(value).encode()
        whole.update(b"%s%d:" % (kind, len(content)))
        whole.update(content)
    places = ", ".join("?" * (len(values) + 1))
    db.execute(f"INSERT INTO {table} VALUES ({places})", (*values, whole.digest()))
