"""Every verb killed at random moments and resumed: it ends with what an undisturbed one ends with.

`RANDOM_KILLS=20 pytest -m slow tests/test_random_kills.py -s` kills each verb 20 times; 3 by default.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("RANDOM_KILLS", "3"))

_LINK = ("--set", "carrier.num_prb=4", "--set", "receivers=[ls-linear,lmmse]")
_STOP = (
    "--set", "esn0_db=[0,4]", "--set",
    "stopping={min_block_errors: null, min_bler: null, max_slots: 1500}",
)  # fmt: skip
_FEW_DROPS = ("--set", "num_drops=64", "--set", "num_fit_drops=64")

#: By name: arguments, the option that names where to, what it is called there, and the files to compare in it.
VERBS: dict[str, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    "sim": (("sim", "pusch-receivers", *_LINK, *_STOP), "run", ("results.csv",)),
    "sweep": (
        ("sim", "pusch-receivers", *_LINK, *_STOP, "--set", "sweep={grid: {num_rx_ant: [1, 2]}}"),
        "run",
        ("sweep.csv",),
    ),
    "conformance": (
        ("conformance", "--table", "8.2.1.2-4-row3", "--receiver", "ls-linear", "--slots", "400"),
        "run",
        ("conformance.csv",),
    ),
    "robustness": (
        ("robustness", "--receiver", "blind", "--condition", "tdl-a", "--slots", "32"),
        "run",
        ("robustness.csv",),
    ),
    "beams": (
        ("beams", "beams-uma-30ghz", "--set", "predictors=[sweep, last-beam]", *_FEW_DROPS),
        "run",
        ("beams.csv",),
    ),
    "csi": (
        (
            *("csi", "csi-uma-32ports", "--set", "feedback=[ideal, type-one]"),
            *("--set", "throughput={num_users: [1], snr_db: [10]}", *_FEW_DROPS),
        ),
        "run",
        ("csi.csv",),
    ),
    "adapt": (
        (
            *("adapt", "tdlc300-4x2", "--set", "carrier.num_prb=2"),
            *("--set", "receivers=[ls-linear]", "--set", "esn0_db=[5,10]"),
        ),
        "run",
        ("results.csv",),
    ),
    "calibrate": (("calibrate", "umi-30ghz", "--drops", "40"), "run", ("calibration.csv",)),
    "data": (
        ("data", "pusch-receivers", *_LINK, "--set", "esn0_db=[0,5]", "--drops", "400", "--chunk-drops", "8"),
        "set.h5",
        ("",),
    ),
    "train": (
        (
            "train", "pusch-hybrid", "--set", "schedule.steps=30", "--set", "schedule.checkpoint_every=3", "--set",
            "evaluate=[]", "--set", "model.num_channels=8",
        ),
        "run",
        ("pusch-hybrid.safetensors",),
    ),
    "bench": (("bench", "tb-encode", "ldpc-bg2-r15-i8", "--quick"), "run", ("bench.json",)),
}  # fmt: skip


def start(arguments: tuple[str, ...], out: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "RAN_CACHE_DIR": str(out.parent / "cache"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "ran.cli.main", *arguments, "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        process_group=0,
        env=environment,
    )


def finished(arguments: tuple[str, ...], out: Path) -> float:
    """Run it to its end; returns the seconds that it took."""
    began = time.monotonic()
    process = start(arguments, out)
    _, said = process.communicate()
    # 1: a row that does not pass, or is not decided
    assert process.returncode in (0, 1), said.decode()[-2000:]
    assert b"Traceback" not in said, said.decode()[-2000:]
    return time.monotonic() - began


def digests(out: Path, files: tuple[str, ...]) -> list[str]:
    """SHA-256 of the files; of a benchmark, whose figures are times, what was measured."""
    if files == ("bench.json",):
        rows = json.loads((out / "bench.json").read_text())["rows"]
        return [f"{row['name']} {row['unit']} {row['ours'].keys()}" for row in rows]
    return [hashlib.sha256((out / name if name else out).read_bytes()).hexdigest() for name in files]


def check_whole(out: Path) -> None:
    """No JSON file that is there was cut by a kill."""
    for file in out.glob("*.json"):
        json.loads(file.read_text())


@pytest.mark.parametrize("verb", VERBS)
def test_random_kills_lose_nothing(verb: str, tmp_path: Path) -> None:
    arguments, name, files = VERBS[verb]
    whole, cut = tmp_path / "whole" / name, tmp_path / "cut" / name
    for out in (whole, cut):
        out.parent.mkdir()
    seconds = finished(arguments, whole)
    draw = random.Random(f"{verb} {KILLS}")
    kills = ended = 0
    while kills < KILLS and ended < 3:
        process = start(arguments, cut)
        try:
            process.communicate(timeout=draw.uniform(0.1, seconds))
        except subprocess.TimeoutExpired:
            # now and then the driver alone, whose workers then leave by themselves
            (os.kill if draw.random() < 0.3 else os.killpg)(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
            check_whole(cut)
        else:
            # it was through: begin anew, so that later kills meet unfinished work
            ended += 1
            finished(arguments, cut)
            assert digests(cut, files) == digests(whole, files)
            cut = tmp_path / f"cut{ended}" / name
            cut.parent.mkdir()
    # three times through before a kill: the verb is too short here to be killed at all
    assert kills > 0
    again = finished(arguments, cut)
    check_whole(cut)
    assert digests(cut, files) == digests(whole, files)
    print(f"\n{verb}: {kills} kills, {ended} times through between; {seconds:.1f} s undisturbed, {again:.1f} s at last")
