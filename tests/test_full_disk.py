"""A disk that takes no more: one line, exit status 1, and the same command goes on when it does.

The limit is the kernel's on the size of a file (RLIMIT_FSIZE): every write beyond it fails as on a full disk.
"""

from __future__ import annotations

import errno
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ran.config.storage import is_storage_failure, refused_by_disk

_SMALL = ("--set", "carrier.num_prb=2", "--set", "receivers=[ls-linear,lmmse]", "--set", "esn0_db=[0,2]")
_SIM = ("sim", "pusch-receivers", *_SMALL, "--workers", "1")
_STOP = ("--set", "stopping.min_block_errors=null", "--set", "stopping.min_bler=null")
_TRAIN = ("train", "pusch-hybrid", "--set", "schedule.steps=2", "--set", "evaluate=[]", "--set", "model.num_channels=8")

#: By verb: arguments, bytes that a file may have, and the file to compare.
CASES = {
    "sim": ((*_SIM, *_STOP, "--set", "stopping.max_slots=512"), 70_000, "results.csv"),
    "data-h5": (
        ("data", "pusch-receivers", *_SMALL[:2], *_SMALL[4:], "--drops", "64", "--chunk-drops", "8"),
        100_000,
        None,
    ),
    "data-zarr": (
        ("data", "pusch-receivers", *_SMALL[:2], *_SMALL[4:], "--drops", "64", "--chunk-drops", "8"),
        4_000,
        None,
    ),
    "train": (_TRAIN, 60_000, "pusch-hybrid.safetensors"),
}


def ran(arguments: tuple[str, ...], out: Path, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    return subprocess.run(
        [sys.executable, "-m", "ran.cli.main", *arguments, "--out", str(out)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        preexec_fn=limited,
    )


@pytest.mark.slow
@pytest.mark.parametrize("verb", CASES)
def test_a_full_disk_stops_the_run_and_loses_nothing(verb: str, tmp_path: Path) -> None:
    arguments, limit, compared = CASES[verb]
    suffix = {"data-h5": ".h5", "data-zarr": ".zarr"}.get(verb, "")
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    done = ran(arguments, whole)
    assert done.returncode == 0, done.stderr
    stopped = ran(arguments, cut, limit)
    last = stopped.stderr.strip().splitlines()[-1]
    assert (stopped.returncode, last[:13]) == (1, "ran: stopped:"), stopped.stderr[-2000:]
    assert "Traceback" not in stopped.stderr, stopped.stderr[-2000:]
    resumed = ran(arguments, cut)
    assert resumed.returncode == 0, resumed.stderr
    if compared is not None:
        assert (cut / compared).read_bytes() == (whole / compared).read_bytes()
    elif verb.startswith("data"):
        verified = subprocess.run([sys.executable, "-m", "ran.cli.main", "data", "verify", str(cut)])
        assert verified.returncode == 0


def test_failures_of_a_disk_are_told_from_other_errors() -> None:
    def chained(first: Exception) -> Exception:
        try:
            try:
                raise first
            except type(first):
                raise ValueError("report: cannot write") from None
        except ValueError as error:
            return error

    for number in (errno.ENOSPC, errno.EIO, errno.EDQUOT):
        assert is_storage_failure(chained(OSError(number, "x")))
    for other in (PermissionError(errno.EACCES, "x"), FileNotFoundError(errno.ENOENT, "x"), KeyError("x")):
        assert not is_storage_failure(chained(other))
    with sqlite3.connect(":memory:") as store:
        store.execute("PRAGMA max_page_count=2")
        store.execute("CREATE TABLE t (x)")
        with pytest.raises(sqlite3.OperationalError) as full:
            store.execute("INSERT INTO t VALUES (zeroblob(100000))")
    assert is_storage_failure(chained(full.value))


def test_a_journal_that_cannot_be_opened_is_told_from_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError) as failed, sqlite3.connect(tmp_path) as store:
        store.execute("SELECT 1")
    assert failed.value.sqlite_errorname.startswith("SQLITE_CANTOPEN")
    assert not is_storage_failure(failed.value)
    cause = refused_by_disk(failed.value, tmp_path / "results.sqlite")
    assert cause is not None
    assert is_storage_failure(cause)
    assert refused_by_disk(failed.value, tmp_path / "nowhere" / "results.sqlite") is None
    assert refused_by_disk(OSError(errno.EACCES, "x"), tmp_path / "results.sqlite") is None
