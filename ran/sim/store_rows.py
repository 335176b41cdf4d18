"""Rows of `results.sqlite`: every row ends in a hash of its table and of all its values, by which damage is found.

SQLite keeps no sums of its pages: a byte that flips on the way to the disk or back changes a number, or moves a row to
another key, and nothing would notice. The tables are read in the order of the file and never through an index, so a
row whose key was damaged is found too.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ran.sim.segment import Segment, Task
from ran.stats.counts import NUM_RECEIVED, Counts, check_counter_names

#: Columns of every table, without `content`, the row's hash; the first `_KEYS` of them are its key.
TABLES: dict[str, dict[str, str]] = {
    "meta": {"key": "TEXT", "value": "TEXT"},
    "tasks": {
        "task_id": "TEXT",
        "scenario_id": "TEXT",
        "receiver": "TEXT",
        "esn0_db": "REAL",
        "receiver_id": "TEXT",
    },
    # Per drop: errors of blocks and bits; with HARQ of blocks after every transmission but the last; with two
    # codewords of the second one's after every transmission; with a link budget the state of every user.
    # What receivers and studies count: sums by name as JSON, and values per drop in the order of the names.
    "outcomes": {
        "task_id": "TEXT",
        "first_drop": "INTEGER",
        "num_drops": "INTEGER",
        "block_errors": "INTEGER",
        "bit_errors": "INTEGER",
        "processor": "TEXT",
        "block_errors_per_drop": "BLOB",
        "bit_errors_per_drop": "BLOB",
        "earlier_errors": "BLOB",
        "second_errors": "BLOB",
        "received": "BLOB",
        "counters": "TEXT",
        "counters_per_drop": "BLOB",
    },
    # Of a study that is made of jobs: the arrays of a result. Other stores have no such table.
    "jobs": {"key": "TEXT", "result": "BLOB"},
}
#: Columns that format 2 had not.
_SINCE_FORMAT_3 = ("counters", "counters_per_drop")
_KEYS = {"meta": 1, "tasks": 1, "outcomes": 2, "jobs": 1}


def schema(jobs: bool = False) -> str:
    """Statements that create the tables. No constraints but the keys: the hash covers the rest.

    jobs: with the table of jobs.
    """
    text = ""
    for table, columns in TABLES.items():
        if table == "jobs" and not jobs:
            continue
        typed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        key = ", ".join(list(columns)[: _KEYS[table]])
        text += f"CREATE TABLE {table} ({typed}, content BLOB, UNIQUE ({key}));\n"
    return text


def insert(db: sqlite3.Connection, table: str, values: Sequence[Any]) -> None:
    """Write a row with its hash, in the place of one with the same key."""
    places = ", ".join("?" * (len(values) + 1))
    db.execute(f"INSERT OR REPLACE INTO {table} VALUES ({places})", (*values, content_hash(table, values)))


def content_hash(table: str, values: Sequence[Any]) -> bytes:
    """SHA-256 of a row: of the table's name, and of the kind, length and bytes of every value."""
    whole = hashlib.sha256(table.encode())
    for value in values:
        kind, content = _bytes(value)
        whole.update(b"%s%d:" % (kind, len(content)))
        whole.update(content)
    return whole.digest()


def _bytes(value: Any) -> tuple[bytes, bytes]:
    if isinstance(value, str):
        return b"b", value.encode()
    if isinstance(value, bytes):
        return b"b", value
    if isinstance(value, float):
        return b"f", struct.pack("<d", value + 0.0)  # SQLite reads -0.0 back as 0.0
    return b"i", str(value).encode()


@dataclass(frozen=True)
class Scan:
    """A table as it is in the file. rows: intact ones by row number; damaged: the others, as far as they can be read.

    problem: why SQLite could not read all of it; empty when it could.
    """

    rows: dict[int, tuple[Any, ...]]
    damaged: dict[int, tuple[Any, ...]]
    problem: str = ""


def scan(db: sqlite3.Connection, table: str, form: int = 3) -> Scan:
    """Read a table from its beginning, and where SQLite stops at a damaged page also from its end.

    `db` hands out text as bytes, so that damaged text can be read. Raises what is no damage, such as a locked file.
    form: format of the store, 2 or 3.
    """
    columns = TABLES[table]
    if form == 2:
        columns = {name: kind for name, kind in columns.items() if name not in _SINCE_FORMAT_3}
    rows: dict[int, tuple[Any, ...]] = {}
    damaged: dict[int, tuple[Any, ...]] = {}
    problem = ""
    query = f"SELECT rowid, {', '.join(columns)}, content FROM {table} NOT INDEXED ORDER BY rowid"
    for order in ("ASC", "DESC"):
        try:
            for number, *values, content in db.execute(f"{query} {order}"):
                if number in rows or number in damaged:
                    break  # from here on it was read from the other end
                if content_hash(table, values) == content:
                    rows[number] = _decoded(columns, values)
                else:
                    damaged[number] = tuple(values)
            else:
                break
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            problem = str(error)
    return Scan(dict(sorted(rows.items())), dict(sorted(damaged.items())), problem)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file is damaged, and not that it is locked or cannot be read."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _decoded(columns: Mapping[str, str], values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(v.decode() if kind == "TEXT" else v for v, kind in zip(values, columns.values(), strict=True))


def task_row(task: Task) -> tuple[Any, ...]:
    return task.task_id, task.scenario_id, task.receiver, float(task.esn0_db), task.receiver_id


def segment_row(task_id: str, segment: Segment) -> tuple[Any, ...]:
    """Values of a row of `outcomes`. ValueError for counters that may not be called so."""
    counts, counters = segment.counts, segment.counts.own_counters
    check_counter_names(counters)
    return (
        task_id,
        int(segment.first_drop),
        counts.drops,
        int(counts.block_errors.sum()),
        int(counts.bit_errors.sum()),
        segment.processor,
        counts.block_errors.astype("<u2").tobytes(),
        counts.bit_errors.astype("<u4").tobytes(),
        counts.earlier_errors.astype("<u2").tobytes(),
        counts.second_errors.astype("<u2").tobytes(),
        counts.received.astype("<f4").tobytes(),
        json.dumps({name: int(values.sum()) for name, values in counters.items()}),
        b"".join(values.astype("<i8").tobytes() for values in counters.values()),
    )


def row_segment(values: Sequence[Any]) -> Segment:
    """The segment of an intact row of `outcomes`, of format 2 or 3."""
    _, first, drops, _, _, processor, blocks, bits, earlier, second, received, *more = values
    shape = (drops, -1) if drops else (0, 0)
    counts = Counts.of(
        np.frombuffer(blocks, "<u2"),
        np.frombuffer(bits, "<u4"),
        np.frombuffer(earlier, "<u2").reshape(shape),
        np.frombuffer(second, "<u2").reshape(shape),
        np.frombuffer(received, "<f4").astype(np.float32).reshape(*shape, NUM_RECEIVED),
    )
    if more:
        names, per_drop = json.loads(more[0]), np.frombuffer(more[1], "<i8").reshape(-1, drops)
        counts = counts.counting(dict(zip(names, per_drop, strict=True)))
    return Segment(first, counts, processor)
