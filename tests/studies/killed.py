"""Commands that are killed again and again, and resumed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path


def stored_rows(out: Path) -> int:
    """Results of jobs that a folder holds."""
    try:
        with sqlite3.connect(f"file:{out / 'results.sqlite'}?mode=ro", uri=True) as db:
            return int(db.execute("SELECT count(*) FROM jobs").fetchone()[0])
    except sqlite3.Error:
        return 0


def rows(out: Path) -> list[tuple[str, bytes]]:
    """All results of jobs that a folder holds."""
    with sqlite3.connect(out / "results.sqlite") as db:
        return sorted(db.execute("SELECT key, result FROM jobs"))


def killed(arguments: list[str], out: Path, times: int = 3, more: int = 2) -> int:
    """Start a program `times` times, and kill it with `kill -9` as soon as `more` results were stored.

    Returns how many results are stored then. The program must not end by itself before.
    """
    stored = 0
    for _ in range(times):
        process = subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
        )
        while stored_rows(out) < stored + more:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        stored = stored_rows(out)
    return stored
