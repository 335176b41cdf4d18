"""A Ray cluster of two nodes on this machine: one is lost, one stands still, the driver goes elsewhere, every study.

`pytest -m cluster tests/test_two_nodes.py -s` where ray is installed. Whatever happens, the table of results is the one
that a worker process alone writes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from test_random_kills import VERBS, digests

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

#: Some hundred chunks, so that something happens while there is work left.
_RUN = (
    *("sim", "pusch-receivers", "--set", "carrier.num_prb=4", "--set", "receivers=[ls-linear,lmmse]"),
    *("--set", "esn0_db=[0,4]", "--set", "stopping={min_block_errors: null, min_bler: null, max_slots: 16000}"),
)
_STUDIES = [name for name in VERBS if name not in ("data", "train", "bench")]


@dataclass
class Nodes:
    address: str
    head: subprocess.Popen[bytes]
    second: subprocess.Popen[bytes]


def _start(*options: str, log: Path) -> subprocess.Popen[bytes]:
    ray = Path(sys.executable).with_name("ray")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    environment |= {"RAY_DISABLE_USAGE_STATS": "1", "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"}
    environment["RAY_worker_niceness"] = "0"  # else they wait for whatever else this machine does
    with log.open("wb") as out:
        return subprocess.Popen(
            [str(ray), "start", *options, "--num-cpus", "1", "--block"],
            env=environment,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


def _end(node: subprocess.Popen[bytes], how: signal.Signals = signal.SIGKILL) -> None:
    """A machine that is switched off: its raylet and all that runs on it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in [*psutil.Process(node.pid).children(recursive=True), psutil.Process(node.pid)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(how)
    node.wait(timeout=60)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    short = tempfile.mkdtemp(prefix="ray")  # sockets have paths of at most 107 characters
    head = _start(
        *("--head", "--port", str(port), "--include-dashboard=false", "--temp-dir", short), log=tmp_path / "head.log"
    )
    address = f"127.0.0.1:{port}"
    for _ in range(240):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        time.sleep(0.5)
    time.sleep(5)
    second = _start("--address", address, log=tmp_path / "second.log")
    time.sleep(10)
    try:
        yield Nodes(address, head, second)
    finally:
        _end(second)
        _end(head)
        shutil.rmtree(short, ignore_errors=True)


def _command(arguments: tuple[str, ...], out: Path, *more: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "RAN_CACHE_DIR": str(out.parent / "cache"), "OMP_NUM_THREADS": "1"}
    environment |= {"RAY_AUTH_MODE": "disabled"}
    return subprocess.Popen(
        [sys.executable, "-m", "ran.cli.main", *arguments, "--out", str(out), *more],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=environment,
        process_group=0,
    )


def _finished(process: subprocess.Popen[str]) -> str:
    _, said = process.communicate(timeout=1500)
    assert process.returncode in (0, 1), said[-2000:]
    assert "Traceback" not in said, said[-2000:]
    return said


def _chunks(folder: Path) -> int:
    """Rows that the store holds so far."""
    with contextlib.suppress(sqlite3.Error):
        store = sqlite3.connect(f"file:{folder / 'results.sqlite'}?mode=ro", uri=True)
        try:
            return int(store.execute("select count(*) from outcomes").fetchone()[0])
        finally:
            store.close()
    return 0


def _until(process: subprocess.Popen[str], folder: Path, rows: int) -> None:
    while _chunks(folder) < rows:
        assert process.poll() is None, "it ended before anything could happen to it"
        time.sleep(0.2)


@pytest.fixture
def alone(tmp_path: Path) -> bytes:
    """results.csv of the same run with one worker process and no cluster."""
    folder = tmp_path / "alone" / "run"
    folder.parent.mkdir()
    _finished(_command(_RUN, folder, "--workers", "1"))
    return (folder / "results.csv").read_bytes()


def test_a_node_that_is_lost(nodes: Nodes, alone: bytes, tmp_path: Path) -> None:
    out = tmp_path / "there" / "run"
    out.parent.mkdir()
    process = _command(_RUN, out, "--cluster", nodes.address)
    _until(process, out, 4)
    before = _chunks(out)
    _end(nodes.second)
    _finished(process)
    print(f"\nnode lost: after {before} of {_chunks(out)} rows")
    assert _chunks(out) > before
    assert (out / "results.csv").read_bytes() == alone


def test_a_node_that_stands_still(nodes: Nodes, alone: bytes, tmp_path: Path) -> None:
    """Half a minute without a processor, as a straggler has it; the other node works on."""
    out = tmp_path / "there" / "run"
    out.parent.mkdir()
    process = _command(_RUN, out, "--cluster", nodes.address)
    _until(process, out, 4)
    workers = [p for p in psutil.Process(nodes.second.pid).children(recursive=True) if "ray::" in " ".join(p.cmdline())]
    assert workers
    for worker in workers:
        worker.suspend()
    before = _chunks(out)
    time.sleep(30)
    meanwhile = _chunks(out)
    for worker in workers:
        worker.resume()
    _finished(process)
    print(f"\nnode stood still: {meanwhile - before} rows came meanwhile from the other, {_chunks(out)} in all")
    assert meanwhile > before
    assert (out / "results.csv").read_bytes() == alone


def test_a_driver_that_goes_on_elsewhere(nodes: Nodes, alone: bytes, tmp_path: Path) -> None:
    """Killed, its folder copied, the same command from another process on the copy."""
    out, copy = tmp_path / "there" / "run", tmp_path / "elsewhere" / "run"
    out.parent.mkdir()
    process = _command(_RUN, out, "--cluster", nodes.address)
    _until(process, out, 4)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    shutil.copytree(out, copy)
    kept = _chunks(copy)
    _finished(_command(_RUN, copy, "--cluster", nodes.address))
    print(f"\ndriver elsewhere: began with {kept} of {_chunks(copy)} rows")
    assert kept >= 4
    assert (copy / "results.csv").read_bytes() == alone


def test_every_study_on_two_nodes(nodes: Nodes, tmp_path: Path) -> None:
    different = []
    for verb in _STUDIES:
        arguments, name, files = VERBS[verb]
        here, there = tmp_path / verb / "here" / name, tmp_path / verb / "there" / name
        for out, more in ((here, ("--workers", "1")), (there, ("--cluster", nodes.address))):
            out.parent.mkdir(parents=True)
            began = time.monotonic()
            _finished(_command(arguments, out, *more))
            print(f"\n{verb} {more[0]}: {time.monotonic() - began:.1f} s")
        if digests(here, files) != digests(there, files):
            different.append(verb)
    assert not different
