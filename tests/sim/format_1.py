"""Writes stores of format 1, as versions before the hash per row wrote them."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path

from ran.sim.segment import Segment
from ran.sim.store import Store

_SCHEMA = """
PRAGMA application_id = 1380011574;
PRAGMA user_version = 1;
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
_PER_TRANSMISSION = """
CREATE TABLE IF NOT EXISTS {} (
    task_id TEXT NOT NULL REFERENCES tasks,
    first_drop INTEGER NOT NULL,
    transmission INTEGER NOT NULL,
    block_errors INTEGER NOT NULL,
    block_errors_per_drop BLOB NOT NULL,
    UNIQUE (task_id, first_drop, transmission)
)
"""
_RECEIVED = """
CREATE TABLE IF NOT EXISTS received_outcomes (
    task_id TEXT NOT NULL REFERENCES tasks,
    first_drop INTEGER NOT NULL,
    num_users INTEGER NOT NULL,
    values_per_user BLOB NOT NULL,
    content BLOB NOT NULL,
    UNIQUE (task_id, first_drop)
)
"""


def rewrite_in_format_1(path: Path, version: int | None = None) -> None:
    """The store at `path` as format 1 had it. version: of the simulation, if it is to be another one."""
    store = Store(path)
    content = store.content()
    store.close()
    assert not content.damage
    path.unlink()
    meta = {key: value for key, value in content.meta.items() if key != "past_receivers"}
    prefix = ""
    if version is not None:
        meta["run_identity"] = json.dumps(json.loads(meta["run_identity"]) | {"simulation_version": version})
        prefix = f"v{version}"  # tasks of another version have other names
    db = sqlite3.connect(path)
    db.executescript(_SCHEMA)
    db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
    for task in content.tasks.values():
        name = prefix + task.task_id[len(prefix) :]
        db.execute("INSERT INTO tasks VALUES (?, ?, ?, ?)", (name, task.scenario_id, task.receiver, task.esn0_db))
        for segment in content.segments[task.task_id]:
            _write(db, name, segment)
    db.commit()
    db.close()


def _write(db: sqlite3.Connection, name: str, segment: Segment) -> None:
    sums = int(segment.counts.block_errors.sum()), int(segment.counts.bit_errors.sum())
    blobs = segment.counts.block_errors.astype("<u2").tobytes(), segment.counts.bit_errors.astype("<u4").tobytes()
    row = (name, segment.first_drop, len(segment.counts.block_errors), *sums, *blobs)
    db.execute("INSERT INTO outcomes VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    for table, errors in (
        ("earlier_outcomes", segment.counts.earlier_errors),
        ("second_codeword_outcomes", segment.counts.second_errors),
    ):
        for transmission, column in enumerate(errors.T):
            db.execute(_PER_TRANSMISSION.format(table))
            record = (name, segment.first_drop, transmission, int(column.sum()), column.astype("<u2").tobytes())
            db.execute(f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?)", record)
    if segment.counts.received.shape[1]:
        db.execute(_RECEIVED)
        blob = segment.counts.received.astype("<f4").tobytes()
        state = (name, segment.first_drop, segment.counts.received.shape[1], blob, hashlib.sha256(blob).digest())
        db.execute("INSERT INTO received_outcomes VALUES (?, ?, ?, ?, ?)", state)
