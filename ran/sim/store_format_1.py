"""Stores of format 1, up to simulation version 3: read for their reports, and rewritten when a run continues.

Their rows have no hash. A row that contradicts its sums is damage; what else has changed cannot be told.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from ran.errors import InputError
from ran.sim.segment import Content, Segment, Task
from ran.stats.counts import NUM_RECEIVED, Counts

_Parts = Mapping[tuple[str, int], list[np.ndarray] | None]


def read_format_1(db: sqlite3.Connection, path: Path) -> Content:
    """What the store at `path` holds; `db` hands out text as bytes. InputError when SQLite finds it damaged."""
    problem = db.execute("PRAGMA integrity_check(1)").fetchone()[0].decode(errors="replace")
    if problem != "ok":
        raise InputError(f"{path}: damaged: {problem.splitlines()[-1]}; allowed: a results.sqlite that ran wrote")
    try:
        meta = {key.decode(): value.decode() for key, value in db.execute("SELECT key, value FROM meta ORDER BY key")}
        receiver_ids = _receiver_ids(meta)
        query = "SELECT task_id, scenario_id, receiver, esn0_db FROM tasks ORDER BY receiver, esn0_db, task_id"
        tasks = {}
        for *names, esn0_db in db.execute(query):
            task_id, scenario, receiver = (name.decode() for name in names)
            tasks[task_id] = Task(task_id, scenario, receiver, esn0_db, receiver_ids.get(receiver, ""))
    except UnicodeDecodeError:
        raise InputError(f"{path}: damaged: text that is none; allowed: a results.sqlite that ran wrote") from None
    earlier = _by_transmission(db, "earlier_outcomes")
    second = _by_transmission(db, "second_codeword_outcomes")
    received = _received(db)
    segments: dict[str, list[Segment]] = {}
    damage = []
    query = (
        "SELECT task_id, first_drop, num_drops, block_errors, bit_errors, block_errors_per_drop, bit_errors_per_drop "
        "FROM outcomes NOT INDEXED ORDER BY first_drop"
    )
    for name, first, drops, *row in db.execute(query):
        task_id = name.decode(errors="replace")
        segment = _segment(first, drops, *row, earlier=earlier, second=second, received=received, task_id=task_id)
        if segment is None:
            task = tasks.get(task_id)
            whose = "an unknown task" if task is None else f"{task.receiver} at {task.esn0_db:g}"
            damage.append(f"the record of drops {first} to {first + drops - 1} of {whose}, which contradicts itself")
        else:
            segments.setdefault(task_id, []).append(segment)
    return Content(meta, tasks, segments, tuple(damage))


def _receiver_ids(meta: Mapping[str, str]) -> dict[str, str]:
    """Names of the receivers' tasks by title."""
    from ran.sim.identity import digest

    with suppress(KeyError, ValueError, AttributeError):
        return {title: digest(identity) for title, identity in json.loads(meta["receivers"]).items()}
    return {}


def _exists(db: sqlite3.Connection, table: str) -> bool:
    query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
    return bool(db.execute(query, (table,)).fetchone()[0])


def _by_transmission(db: sqlite3.Connection, table: str) -> _Parts | None:
    """Errors per drop of every transmission, by task and first drop; None for a damaged one, and without the table."""
    if not _exists(db, table):
        return None
    found: dict[tuple[str, int], list[np.ndarray] | None] = {}
    query = (
        f"SELECT task_id, first_drop, transmission, block_errors, block_errors_per_drop FROM {table} NOT INDEXED "
        "ORDER BY transmission"
    )
    for name, first, transmission, total, blob in db.execute(query):
        key = name.decode(errors="replace"), first
        parts = found.setdefault(key, [])
        errors = np.frombuffer(blob, "<u2").astype(np.int64) if len(blob) % 2 == 0 else np.zeros(0, np.int64)
        if parts is None or transmission != len(parts) or errors.sum() != total:
            found[key] = None
        else:
            parts.append(errors)
    return found


def _received(db: sqlite3.Connection) -> dict[tuple[str, int], np.ndarray] | None:
    """State of the users, float32 [drops, users, NUM_RECEIVED], by task and first drop; None without the table."""
    if not _exists(db, "received_outcomes"):
        return None
    query = "SELECT task_id, first_drop, num_users, values_per_user, content FROM received_outcomes NOT INDEXED"
    found = {}
    for name, first, users, blob, content in db.execute(query):
        fits = users >= 1 and len(blob) % (4 * NUM_RECEIVED * users) == 0
        if fits and hashlib.sha256(blob).digest() == content:
            state = np.frombuffer(blob, "<f4").reshape(-1, users, NUM_RECEIVED).astype(np.float32)
            found[name.decode(errors="replace"), first] = state
    return found


def _segment(
    first: int,
    drops: int,
    blocks: int,
    bits: int,
    per_drop: bytes,
    bits_per_drop: bytes,
    *,
    earlier: _Parts | None,
    second: _Parts | None,
    received: Mapping[tuple[str, int], np.ndarray] | None,
    task_id: str,
) -> Segment | None:
    """The segment of a row of `outcomes` and of the rows that belong to it; None when they contradict each other."""
    if len(per_drop) != 2 * drops or len(bits_per_drop) != 4 * drops:
        return None
    block_errors = np.frombuffer(per_drop, "<u2").astype(np.int64)
    bit_errors = np.frombuffer(bits_per_drop, "<u4").astype(np.int64)
    if block_errors.sum() != blocks or bit_errors.sum() != bits:
        return None
    stacked = []
    for table in (earlier, second):
        parts = [] if table is None else table.get((task_id, first))
        if parts is None or any(len(part) != drops for part in parts) or (table is not None and not parts):
            return None
        stacked.append(np.stack(parts, axis=1) if parts else np.zeros((drops, 0), np.int64))
    if stacked[1].shape[1] not in (0, stacked[0].shape[1] + 1):
        return None
    state = np.zeros((drops, 0, NUM_RECEIVED), np.float32)
    if received is not None:
        found = received.get((task_id, first))
        if found is None or len(found) != drops or not np.array_equal(found[..., -1].sum(1), block_errors):
            return None
        state = found
    return Segment(first, Counts.of(block_errors, bit_errors, stacked[0], stacked[1], state))
