"""Arrays that were kept in a `.npz` file: whole, or not at all."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np

from channels.files import DAMAGE, read_arrays

#: Bytes of a ZIP file's last record, which numpy writes without a comment, and where the number of entries is in it.
_END, _COUNT = 22, 10


def read_npz(path: Path) -> dict[str, np.ndarray] | None:
    """All arrays of a file, each checked by the CRC-32 that the file has of it; None without the file or when damaged.

    Pickled objects are damage too.
    """
    try:
        arrays = read_arrays(path)  # which looks at kind and sizes first
        with path.open("rb") as file:
            file.seek(-_END + _COUNT, os.SEEK_END)
            count = int.from_bytes(file.read(2), "little")
        with zipfile.ZipFile(path) as archive:
            # a length in the directory that is damaged can hide the entries behind it, which zipfile does not count
            if archive.testzip() is not None or len(archive.infolist()) != count:
                return None
        return arrays
    except DAMAGE:
        return None
