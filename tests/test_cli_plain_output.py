"""Output whose encoding lacks characters, users without a home, and systems without POSIX locks."""

from __future__ import annotations

import builtins
import importlib
import io
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import receivers.jit
from channels.raytraced import ray_cache
from ran.cli.main import main
from ran.cli.plain_output import take_every_character
from ran.errors import InputError
from ran.phy.ldpc import native


@pytest.mark.parametrize("errors", ["strict", "backslashreplace", "surrogateescape"])
def test_the_nearest_characters_are_written(errors: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors=errors)
    take_every_character(stream)
    stream.write("K\u00f6ln — 30° ±1 µs ≥ ∞ 模 \udce9")
    stream.flush()
    assert stream.buffer.getvalue() == b"Koln - 30 deg +-1 us >= inf ? \xe9"  # type: ignore[attr-defined]


def test_streams_that_have_all_characters_write_them() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    take_every_character(stream)
    stream.write("— 模")
    stream.flush()
    assert stream.buffer.getvalue().decode() == "— 模"  # type: ignore[attr-defined]


def test_a_run_is_reported_on_a_stream_of_ascii(tmp_path: Path) -> None:
    file = tmp_path / "straße.yaml"
    file.write_text(
        "name: mull\ncarrier: {num_prb: 2}\nchannel: awgn\nreceivers: [{name: ls-linear, label: αβγ}]\n"
        "num_rx_ant: 1\nesn0_db: [8]\nstopping: {min_block_errors: null, max_slots: 16}\n",
        encoding="utf-8",
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(Path(__file__).parents[1])}
    arguments = ["sim", str(file), "--workers", "1", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "ran.cli.main", *arguments], capture_output=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"mull" in done.stdout
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A user without HOME and without an entry in the list of users, as containers have them."""

    def nobody(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in ("HOME", "XDG_CACHE_HOME", "RAN_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    caches = (native, receivers.jit, ray_cache)
    for module in caches:
        module._private_folder.cache_clear()
    yield tmp_path
    for module in caches:
        module._private_folder.cache_clear()


@pytest.mark.parametrize("module", [native, receivers.jit, ray_cache], ids=lambda module: module.__name__)
def test_a_user_without_a_home_has_a_cache_of_his_own(module: ModuleType, homeless: Path) -> None:
    folder = module.cache_directory()
    assert folder == homeless / f"ran6g-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert module.cache_directory() == folder
    # code is loaded from it: a folder that others can write to is not taken
    folder.chmod(0o777)
    module._private_folder.cache_clear()
    other = module.cache_directory()
    assert other != folder
    assert other.stat().st_mode & 0o777 == 0o700


def test_commands_of_a_user_without_a_home(homeless: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    assert main(["sim", "~nobody/of-this-name.yaml"]) == 2
    assert main(["sim", "pusch-receivers", "--set", "receivers=[~/x.onnx]"]) == 2
    assert all(line.startswith("ran: error: ") for line in capsys.readouterr().err.splitlines())


def test_windows_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert main(["list", "receivers"]) == 2
    assert capsys.readouterr().err == ("ran: error: system: got Windows; allowed: Linux, macOS, or WSL 2 on Windows\n")


def test_a_library_without_posix_locks_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def without(name: str, *arguments: object, **options: object) -> object:
        if name == "fcntl":
            raise ImportError(name)
        return found(name, *arguments, **options)  # type: ignore[arg-type]

    lock = importlib.import_module("ran.sim.lock")
    with monkeypatch.context() as patched:
        patched.setattr(builtins, "__import__", without)
        with pytest.raises(InputError, match="system: got one without POSIX file locks; allowed: Linux, macOS"):
            exec(compile(Path(lock.__file__).read_text(encoding="utf-8"), lock.__file__, "exec"), {})
