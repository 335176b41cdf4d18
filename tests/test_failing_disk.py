"""A disk that is full, or fails, at each of the writes of a command: one line, exit status 1, nothing lost.

A library that is loaded before all others (tests/failing_disk.c) lets the n-th call fail that changes what lies in the
folder of a run: from then on with ENOSPC, as a full disk does, or once with EIO. Every n of a small run is tried.
`pytest -m slow tests/test_failing_disk.py -s` prints how many there were; FAILING_DISK_STRIDE=7 tries every 7th, and
at least eight of them.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("gcc") is None or sys.platform != "linux", reason="needs gcc and Linux"),
]

_STRIDE = int(os.environ.get("FAILING_DISK_STRIDE", "1"))
_SMALL = ("--set", "carrier.num_prb=1", "--set", "receivers=[ls-linear]", "--set", "esn0_db=[0]")
_STOP = ("--set", "stopping={min_block_errors: null, min_bler: null, max_slots: 128}", "--workers", "1")
_DATA = ("data", "pusch-receivers", *_SMALL[:2], *_SMALL[4:], "--drops", "16", "--chunk-drops", "8")
_TRAIN = (
    *("train", "pusch-hybrid", "--set", "schedule.steps=4", "--set", "schedule.checkpoint_every=2"),
    *("--set", "evaluate=[]", "--set", "model.num_channels=4"),
)
#: By name: the command, what its output is called, and the file to compare in it ("" the output itself).
CASES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "sim": (("sim", "pusch-receivers", *_SMALL, *_STOP), "run", "results.csv"),
    "data-h5": (_DATA, "set.h5", ""),
    "data-zarr": (_DATA, "set.zarr", "y/c/0/0/0/0"),
    "data-csi": (
        (
            *("data", "csi", "csi-uma-32ports", "--drops", "8", "--set", "num_drops=8", "--set", "num_fit_drops=8"),
            *("--set", "feedback=[ideal]"),
        ),
        "set.h5",
        "",
    ),
    "train": (_TRAIN, "run", "pusch-hybrid.safetensors"),
    "calibrate": (("calibrate", "umi-30ghz", "--drops", "2", "--workers", "1"), "run", "calibration.csv"),
}

#: Runs commands in children of a process that has everything loaded; a job per line.
_SERVER = """\
import ctypes, json, os, sys

import torch

from ran.cli.main import main

def ran(arguments):
    try:
        return main(arguments) or 0
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 1

if __name__ == "__main__":
    torch.set_num_threads(1)
    disk = ctypes.CDLL(None)
    disk.failing_disk_count.restype = ctypes.c_long
    disk.failing_disk_begin.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int]
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            log = os.open(job["log"], os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
            os.dup2(log, 1)
            os.dup2(log, 2)
            sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
            disk.failing_disk_begin(job["folder"].encode(), job["at"], job["error"], job["lasting"])
            code = ran(job["arguments"])
            sys.stdout.flush()
            sys.stderr.flush()
            with open(job["log"] + ".count", "w") as file:
                file.write(str(disk.failing_disk_count()))
            os._exit(code)
        _, status = os.waitpid(child, 0)
        print(json.dumps(os.waitstatus_to_exitcode(status)), flush=True)
"""


class Server:
    def __init__(self, folder: Path) -> None:
        library, program = folder / "failing_disk.so", folder / "server.py"
        source = Path(__file__).with_name("failing_disk.c")
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
        program.write_text(_SERVER)
        environment = {**os.environ, "LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1", "RAN_CACHE_DIR": str(folder)}
        self._log = folder / "log"
        self._process = subprocess.Popen(
            [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ran(self, arguments: tuple[str, ...], out: Path, at: int = 0, error: int = 0, lasting: bool = False) -> Any:
        """Exit status, what it said, and how many calls changed something."""
        job = {"arguments": [*arguments, "--out", str(out)], "folder": str(out.parent), "log": str(self._log)}
        job |= {"at": at, "error": error, "lasting": int(lasting)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        code = json.loads(self._process.stdout.readline())
        said = self._log.read_text(errors="replace")
        return code, said, int(Path(f"{self._log}.count").read_text() or 0)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("server"))
    yield started
    started.close()


@pytest.mark.parametrize(("error", "lasting"), [(errno.ENOSPC, True), (errno.EIO, False)], ids=["full", "fails-once"])
@pytest.mark.parametrize("case", CASES)
def test_every_write_may_fail(case: str, error: int, lasting: bool, server: Server, tmp_path: Path) -> None:
    arguments, name, compared = CASES[case]
    whole = tmp_path / "whole" / name
    whole.parent.mkdir()
    ends_with, said, calls = server.ran(arguments, whole)
    # 1: a verdict, as so few drops of a calibration get it
    assert ends_with in (0, 1), said[-2000:]
    assert "ran: stopped:" not in said
    expected = (whole / compared if compared else whole).read_bytes()
    ends: Counter[int] = Counter()
    wrong, stops = [], 0
    for at in range(1, calls + 1, min(_STRIDE, max(1, calls // 8))):
        out = tmp_path / f"at{at}" / name
        out.parent.mkdir()
        code, said, _ = server.ran(arguments, out, at, error, lasting)
        ends[code] += 1
        stops += (stopped := any(line.startswith("ran: stopped:") for line in said.splitlines()))
        if "Traceback" in said or code not in (0, 1) or (code == 1 and not stopped and ends_with == 0):
            wrong.append((at, code, said[-1500:]))
        again, told, _ = server.ran(arguments, out)
        if again != ends_with:
            wrong.append((at, again, f"again: {told[-1500:]}"))
        elif (out / compared if compared else out).read_bytes() != expected:
            wrong.append((at, again, "another result"))
        shutil.rmtree(out.parent)
    print(f"\n{case}, {errno.errorcode[error]}: {sum(ends.values())} of {calls} calls, ended with {dict(ends)}")
    assert not wrong, f"{len(wrong)} wrong: {wrong[:3]}"
    # what fails once may be written again, and pictures and caches may be left out; the result was there in each case
    assert stops
