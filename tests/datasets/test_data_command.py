"""`ran data` on the command line: one line for everything that is wrong with files and options."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import h5py
import pytest
from small_set import experiment_file, write_small

from ran.cli.main import main


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "good.h5"
    write_small(path, num_drops=16)
    return path


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("ran: error: ")
    assert err.count("\n") == 1
    return err


def truncated(good: Path, bad: Path) -> None:
    bad.write_bytes(good.read_bytes()[:-1000])


def cut_in_the_head(good: Path, bad: Path) -> None:
    bad.write_bytes(good.read_bytes()[:1500])


def text(good: Path, bad: Path) -> None:
    bad.write_text("no data set\n" * 100)


def empty(good: Path, bad: Path) -> None:
    bad.write_bytes(b"")


def another_programs(good: Path, bad: Path) -> None:
    with h5py.File(bad, "w") as file:
        file["x"] = [1, 2, 3]


def changed_attribute(good: Path, bad: Path) -> None:
    shutil.copy(good, bad)
    with h5py.File(bad, "r+") as file:
        file.attrs["seed"] = 5


def changed_table(good: Path, bad: Path) -> None:
    shutil.copy(good, bad)
    with h5py.File(bad, "r+") as file:
        file["split"][0] = 2 - file["split"][0]


def of_the_future(good: Path, bad: Path) -> None:
    shutil.copy(good, bad)
    with h5py.File(bad, "r+") as file:
        file.attrs["format_version"] = 99


def a_folder(good: Path, bad: Path) -> None:
    bad.mkdir()


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (truncated, "truncated"),
        (cut_in_the_head, "truncated"),
        (text, "is no HDF5 file"),
        (empty, "is no HDF5 file"),
        (another_programs, "no data set of ran"),
        (changed_attribute, "do not match header_sha256"),
        (changed_table, "do not match header_sha256"),
        (of_the_future, "format_version: got 99; allowed: 1"),
        (a_folder, "no zarr data set"),
    ],
)
def test_bad_files(make, expected: str, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Named in one line by every command, and left as they are."""
    bad = tmp_path / "bad.h5"
    make(good, bad)
    before = bad.read_bytes() if bad.is_file() else b""
    for arguments in (["info", str(bad)], ["verify", str(bad)]):
        line = fails(capsys, "data", *arguments)
        assert expected in line
        assert str(bad) in line
    line = fails(capsys, "data", str(experiment_file(tmp_path)), "--out", str(bad), "--drops", "16")
    assert expected in line
    assert (bad.read_bytes() if bad.is_file() else b"") == before


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--out", "set.csv"], "--out: got 'set.csv'; allowed: a file name that ends in .h5, .hdf5, .zarr"),
        (["--out", "s.h5", "--drops", "0"], "num_drops: got 0; allowed: a whole number, 1 to"),
        (["--out", "s.h5", "--drops", "many"], "--drops"),
        (["--out", "s.h5", "--esn0-db", "5"], "--esn0-db: got '5'; allowed: 2 numbers with ':' between them"),
        (["--out", "s.h5", "--esn0-db", "9:1"], "esn0_db: got 9:1; allowed: LOW:HIGH"),
        (["--out", "s.h5", "--esn0-db", "0:900"], "esn0_db.high: got 900"),
        (["--out", "s.h5", "--precision", "float8"], "precision: got 'float8'; allowed: complex64, complex-float16"),
        (["--out", "s.h5", "--kind", "slot"], "kind: got 'slot'; allowed: slots, channels; did you mean 'slots'"),
        (["--out", "s.h5", "--split", "1,1"], "--split: got '1,1'; allowed: 3 numbers with ',' between them"),
        (["--out", "s.h5", "--split", "0.5,0.1,0.1"], "split: got 0.5,0.1,0.1; allowed: three shares that add up to 1"),
        (["--out", "s.h5", "--set", "esn0_db=auto"], "esn0_db: got points that are chosen during a run"),
        (["--out", "s.h5", "--set", "harq={}"], "harq: got retransmissions"),
        (["--out", "s.h5", "--drops", "100000000"], "of free space hold"),
        (["--out", "small.yaml/s.h5"], "small.yaml/s.h5: cannot be written"),
        ([], "Missing option '--out'"),
    ],
)
def test_bad_options(
    options: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing is written."""
    monkeypatch.chdir(tmp_path)
    experiment_file(tmp_path)
    line = fails(capsys, "data", "small.yaml", *options)
    assert expected in line, line
    assert os.listdir(tmp_path) == ["small.yaml"]


def test_missing_file(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("info", "verify"):
        assert "no such file" in fails(capsys, "data", verb, "nowhere.h5")


def test_zarr_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "zarr", None)
    experiment_file(tmp_path)
    assert "pip install 'ran6g[zarr]'" in fails(capsys, "data", "small.yaml", "--out", "s.zarr", "--drops", "8")
    assert os.listdir(tmp_path) == ["small.yaml"]


def test_verdicts(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 for a whole file, 1 with a line for a damaged one."""
    assert main(["data", "verify", str(good)]) == 0
    assert "whole, content" in capsys.readouterr().out
    bad = tmp_path / "bad.h5"
    data = bytearray(good.read_bytes())
    data[len(data) // 2] ^= 1
    bad.write_bytes(data)
    assert main(["data", "verify", str(bad), "--repeat", "0"]) == 1
    [line] = capsys.readouterr().out.splitlines()
    assert "damaged" in line


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "--help"]) == 0
    out = capsys.readouterr().out
    for word in ("info", "verify", "write"):
        assert word in out
