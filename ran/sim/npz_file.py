"""Arrays that were kept in a `.npz` file: whole, or not at all."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

#: Bytes of a ZIP file's last record, which numpy writes without a comment, and where the number of entries is in it.
_END, _COUNT = 22, 10
#: What numpy, zipfile and zlib raise for a file in which a byte is another: the sum of an array does not match, or
#: something before the sum could be looked at is no number, name, length, or kind of compression.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    MemoryError,
    OverflowError,
)


def read_npz(path: Path) -> dict[str, np.ndarray] | None:
    """All arrays of a file, each checked by the CRC-32 that the file has of it; None without the file or when damaged.

    Pickled objects are damage too.
    """
    try:
        with path.open("rb") as file:
            file.seek(-_END + _COUNT, os.SEEK_END)
            count = int.from_bytes(file.read(2), "little")
        with zipfile.ZipFile(path) as archive:
            # a length in the directory that is damaged can hide the entries behind it, which zipfile does not count
            if archive.testzip() is not None or len(archive.infolist()) != count:
                return None
        with np.load(path, allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name]) for name in arrays.files}
    except _DAMAGE:
        return None
