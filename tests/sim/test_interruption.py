"""Ctrl-C and kill -9 on the command line: no process stays, nothing is lost, the same command resumes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("fake_ran.py")

EXPERIMENT = """
channel: {name: fake, slot_s: %s}
receivers: [{name: genie, at_db: 0}, {name: one, at_db: 1.0}]
esn0_db: [-1, 0, 1, 2, 3]
stopping: {min_block_errors: 30, max_slots: 200}
"""


def command(tmp_path: Path, out: str, workers: int = 2) -> list[str]:
    file = tmp_path / "experiment.yaml"
    if not file.exists():
        file.write_text(EXPERIMENT % 0.01)
    return [
        *(sys.executable, str(PROGRAM), "sim", str(file), "--out", str(tmp_path / out)),
        *("--workers", str(workers), "--chunk-slots", "8"),
    ]


def start(arguments: list[str]) -> subprocess.Popen[str]:
    """In a process group of its own, as a shell would start it, so that Ctrl-C can be sent to all of it.

    Where the tests themselves run in the background of a script, they ignore Ctrl-C, and what they start would, too.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0)
    finally:
        signal.signal(signal.SIGINT, before)


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def stored_chunks(folder: Path) -> int:
    try:
        with sqlite3.connect(f"file:{folder / 'results.sqlite'}?mode=ro", uri=True) as db:
            return int(db.execute("SELECT count(*) FROM outcomes").fetchone()[0])
    except sqlite3.Error:
        return 0


def group_members(group: int) -> list[int]:
    """Living processes of a process group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                state, _, pgrp = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:3]
            except OSError:
                continue
            if int(pgrp) == group and state != "Z":
                found.append(int(entry.name))
    return found


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("uninterrupted")
    done = subprocess.run(command(folder, "run", workers=1), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "report.html" in done.stdout
    return (folder / "run" / "results.csv").read_bytes()


def finish(tmp_path: Path, reference: bytes) -> None:
    """The same command, with other workers, ends with the same results."""
    done = subprocess.run(command(tmp_path, "run", workers=3), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "results.csv").read_bytes() == reference


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c(tmp_path: Path, reference: bytes, how: signal.Signals) -> None:
    process = start(command(tmp_path, "run"))
    wait_for(lambda: stored_chunks(tmp_path / "run") > 3)
    if how == signal.SIGINT:
        os.killpg(process.pid, how)
    else:
        process.send_signal(how)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "ran: stopped: the same command resumes"
    assert "Traceback" not in stderr
    wait_for(lambda: not group_members(process.pid), 5)
    assert not (tmp_path / "run" / "results.csv").exists()
    finish(tmp_path, reference)


def test_kill(tmp_path: Path, reference: bytes) -> None:
    for chunks in (2, 9):
        process = start(command(tmp_path, "run"))
        wait_for(lambda chunks=chunks: stored_chunks(tmp_path / "run") > chunks)  # type: ignore[misc]
        process.kill()
        process.communicate(timeout=20)
        wait_for(lambda: not group_members(process.pid), 10)  # noqa: B023
    finish(tmp_path, reference)
