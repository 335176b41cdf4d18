"""Compiled kernels are machine code: they are loaded only from where nobody else can put them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from ran.phy.ldpc import native
from receivers import jit

CODE = b"machine code"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o755)
    path = folder / "ldpc.o"
    path.write_bytes(hashlib.sha256(CODE).digest() + CODE)
    path.chmod(0o600)
    return path


def test_a_file_of_this_user_is_loaded(kept: Path) -> None:
    assert native._read(kept) == CODE


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_what_others_can_write_is_not_loaded(kept: Path, mode: int) -> None:
    kept.chmod(mode)
    assert native._read(kept) is None


def test_links_and_pipes_are_not_followed(kept: Path) -> None:
    link = kept.with_name("link.o")
    link.symlink_to(kept)
    assert native._read(link) is None
    pipe = kept.with_name("pipe.o")
    os.mkfifo(pipe, 0o600)
    assert native._read(pipe) is None


def test_files_of_other_users_are_not_loaded(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = os.stat(kept).st_uid
    monkeypatch.setattr(os, "getuid", lambda: owner + 4711)
    # what belongs to the system's administrator is trusted
    assert native._read(kept) == (CODE if owner == 0 else None)


def test_generated_sources_live_in_memory_where_others_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAN_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / jit.FOLDER
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert jit.generated_module("trust_a", "value = 1\n").value == 1
    assert not list(folder.iterdir())
    folder.rmdir()
    module = jit.generated_module("trust_b", "value = 2\n")
    (file,) = folder.iterdir()
    assert module.__file__ == str(file)
    assert not folder.stat().st_mode & 0o077
