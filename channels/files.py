"""Files of other programs: regular ones alone, of at most so many bytes, and archives only as large as they are.

The counterpart of `ran.config.doors`, which this package does not import. An archive says how large its arrays are
before they are unpacked; that is held against its own size and a limit first, as a few kilobytes can claim terabytes.
"""

from __future__ import annotations

import json
import os
import stat
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

#: Largest file, and largest sum of all arrays in one.
MOST_BYTES = 4 * 2**30
MOST_TEXT_BYTES = 16 * 2**20
#: DEFLATE makes 1032 bytes of one at most.
_MOST_RATIO = 1032
#: Longest description of an array, and most entries of an archive.
_MOST_HEAD, _MOST_ENTRIES = 65_536, 10_000
#: What numpy, scipy, zipfile, zlib and json raise for content that is not what it should be.
DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    SyntaxError,
    MemoryError,
    OverflowError,
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,  # of the Python text that describes an array
    struct.error,
)


def check_regular(path: Path, most_bytes: int = MOST_BYTES) -> os.stat_result:
    """What the system says of a regular file of at most so many bytes; `ValueError` in one line for anything else."""
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ValueError(f"{_shown(path)}: cannot be read: {why}; allowed: a file") from None
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{_shown(path)}: cannot be read: is no regular file; allowed: a file")
    if found.st_size > most_bytes:
        raise ValueError(f"{_shown(path)}: got {found.st_size} bytes; allowed: up to {most_bytes}")
    return found


def read_bytes(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """Content of a regular file of at most so many bytes; `ValueError` in one line for anything else."""
    found = check_regular(path, most_bytes)
    try:
        with path.open("rb") as file:
            return file.read(found.st_size)  # python sets aside as much as is asked for
    except OSError as error:
        raise ValueError(f"{_shown(path)}: cannot be read: {error.strerror}; allowed: a file") from None


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. `ValueError` for what is none or is nested too deep."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def read_arrays(
    path: Path, names: Collection[str] | None = None, most_bytes: int = MOST_BYTES
) -> dict[str, NDArray[Any]]:
    """The arrays of a `.npz` file, those of the given names or all. `ValueError` for what is none, and for more than
    `most_bytes` in all or more than the file can hold.

    Nothing is allocated before the sizes of all arrays have been looked at, and no object is unpickled.
    """
    check_regular(path, most_bytes)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_archive(archive, most_bytes)
        with np.load(path, allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name]) for name in (arrays.files if names is None else names)}
    except DAMAGE as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None


def _check_archive(archive: zipfile.ZipFile, most_bytes: int) -> None:
    entries = archive.infolist()
    if len(entries) > _MOST_ENTRIES:
        raise ValueError(f"got {len(entries)} entries; allowed: up to {_MOST_ENTRIES}")
    total = 0
    for entry in entries:
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{entry.filename!r}: got compression {entry.compress_type}; allowed: stored or deflated")
        if entry.file_size > _MOST_RATIO * entry.compress_size + _MOST_RATIO:
            raise ValueError(f"{entry.filename!r}: claims {entry.file_size} bytes in {entry.compress_size}")
        total += entry.file_size
        if total > most_bytes:
            raise ValueError(f"got {total} bytes unpacked; allowed: up to {most_bytes}")
        with archive.open(entry) as file:
            declared = _declared_bytes(file)
        if declared > entry.file_size:
            raise ValueError(f"{entry.filename!r}: claims an array of {declared} bytes in {entry.file_size}")


def _declared_bytes(file: IO[bytes]) -> int:
    """Bytes of the array that a `.npy` file says it holds."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=_MOST_HEAD)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(file, max_header_size=_MOST_HEAD)
    else:
        raise ValueError(f"got version {version} of npy; allowed: 1.0 and 2.0")
    count = 1
    for size in shape:  # whole numbers without an end, where numpy's product would wrap around
        if size < 0:
            raise ValueError(f"got the shape {shape}")
        count *= size
    return count * dtype.itemsize


def _shown(path: Path) -> str:
    text = str(path).encode(errors="replace").decode(errors="replace")
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= 300 else f"{text[:80]}... ({len(text)} characters)"
