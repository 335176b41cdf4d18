"""A file in memory of which only what was written takes space, and its way onto a disk by plain system calls.

The HDF5 library does not survive a disk that takes no more: what it could not write it tries again when it is unloaded,
and ends the process by a segmentation fault. Here it writes into memory, and what fails is ours.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

_PAGE = 65_536


@contextmanager
def new_hdf5(path: Path, **options: Any) -> Iterator[h5py.File]:
    """An HDF5 file that is written to `path`, in place of what is there, when the block ends. `OSError` as of the disk.

    options: of `h5py.File`.
    """
    content = SparseFile()
    with h5py.File(content, "w", **options) as file:
        yield file
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        content.save(descriptor)
    finally:
        os.close(descriptor)


class SparseFile:
    """What a file-like object of `h5py.File` has to be. Places that nobody wrote read as zeros."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}
        self._size = self._at = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of a file."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        """As of a file."""
        return self._at

    def write(self, data: bytes | memoryview) -> int:
        """As of a file."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            page, within = divmod(self._at + done, _PAGE)
            part = view[done : done + _PAGE - within]
            self._pages.setdefault(page, bytearray(_PAGE))[within : within + len(part)] = part
            done += len(part)
        self._at += done
        self._size = max(self._size, self._at)
        return done

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """As of a file."""
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self._size - self._at))
        done = 0
        while done < wanted:
            page, within = divmod(self._at + done, _PAGE)
            count = min(_PAGE - within, wanted - done)
            found = self._pages.get(page)
            view[done : done + count] = bytes(count) if found is None else found[within : within + count]
            done += count
        self._at += wanted
        return wanted

    def read(self, size: int = -1) -> bytes:
        """As of a file."""
        found = bytearray(self._size - self._at if size < 0 else size)
        return bytes(found[: self.readinto(found)])

    def truncate(self, size: int | None = None) -> int:
        """As of a file, which only ever grows."""
        self._size = max(self._size, self._at if size is None else size)
        return self._size

    def flush(self) -> None:
        """Nothing is held back."""

    def save(self, descriptor: int) -> None:
        """Write it to an empty file, with holes where nothing was written. `OSError` as the disk has it."""
        for page, content in sorted(self._pages.items()):
            place, view = page * _PAGE, memoryview(content)[: self._size - page * _PAGE]
            done = 0
            while done < len(view):
                done += os.pwrite(descriptor, view[done:], place + done)
        os.ftruncate(descriptor, self._size)
