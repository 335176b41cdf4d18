"""Archives that claim more than they hold: refused by their heads, before anything is allocated."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from channels.datasets.impulse_responses import read_impulse_responses
from channels.files import MOST_BYTES, check_regular, read_arrays
from channels.raytraced.ray_file import read_rays


def npy(shape: tuple[int, ...], content: bytes, dtype: str = "<f8") -> bytes:
    """A .npy file that claims a shape, with whatever content."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue() + content


def archive(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return path


def test_arrays_are_read_as_they_were_written(tmp_path: Path) -> None:
    given = {"a": np.arange(6.0).reshape(2, 3), "b": np.zeros((0, 4), np.int32), "c": np.array(7)}
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "whole.npz", **given)
        found = read_arrays(tmp_path / "whole.npz")
        assert found.keys() == given.keys()
        for name, values in given.items():
            np.testing.assert_array_equal(found[name], values)
        assert read_arrays(tmp_path / "whole.npz", ["b"]).keys() == {"b"}


@pytest.mark.parametrize("shape", [(2**40,), (2**62, 2**62), (-1, 5), (10**6, 10**6)])
def test_a_declared_shape_is_held_against_the_size(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = archive(tmp_path / "bomb.npz", {"head.npy": npy(shape, b"\0" * 80)})
    with pytest.raises(ValueError, match=r"claims an array|got the shape"):
        read_arrays(path)
    for read in (read_rays, read_impulse_responses):
        with pytest.raises(ValueError, match="allowed: ") as error:
            read(path)
        assert "\n" not in str(error.value)


def test_other_archives_are_refused(tmp_path: Path) -> None:
    whole = {"a.npy": npy((4,), b"\0" * 32)}
    with pytest.raises(ValueError, match="allowed: stored or deflated"):
        read_arrays(archive(tmp_path / "bz2.npz", whole, zipfile.ZIP_BZIP2))
    with pytest.raises(ValueError, match="allowed: up to 10000"):
        read_arrays(archive(tmp_path / "many.npz", {f"{i}.npy": b"" for i in range(10_001)}, zipfile.ZIP_STORED))
    with pytest.raises(ValueError, match="allowed: up to 31"):
        read_arrays(archive(tmp_path / "plain.npz", whole), most_bytes=31)
    os.mkfifo(tmp_path / "pipe.npz")
    for path in (tmp_path / "pipe.npz", tmp_path, Path("/dev/zero"), tmp_path / ("x" * 5000), tmp_path / "none"):
        with pytest.raises(ValueError, match="cannot be read"):
            check_regular(path)
    with (tmp_path / "huge.npz").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(ValueError, match=f"allowed: up to {MOST_BYTES}"):
        read_arrays(tmp_path / "huge.npz")


def test_a_bomb_takes_no_memory(tmp_path: Path) -> None:
    # 64 MB of zeros, truly there, in 0.3 MB: above the limit that is given
    path = tmp_path / "zeros.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file, file.open("a.npy", "w") as entry:
        entry.write(npy((2**26 // 8,), b""))
        for _ in range(64):
            entry.write(bytes(2**20))
    code = (
        "import sys, resource; from pathlib import Path; from channels.files import read_arrays\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 40 * 2**20,) * 2)\n"
        "try: read_arrays(Path(sys.argv[1]), most_bytes=2**25)\n"
        "except ValueError as error: print(error); sys.exit(2)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert f"allowed: up to {2**25}" in done.stdout
