"""A file of a data set, whatever its format: chunks are written in place, each with the hash of what it holds."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ran.config.doors import check_regular, parse_json, shown_path
from ran.datasets.field import Field
from ran.datasets.header import Header
from ran.errors import InputError, bad_value

DIGEST_BYTES = 32
#: Most bytes of a table, and of the hashes of all chunks.
MOST_TABLE_BYTES = 2**30
_TEXTS = ("name", "kind", "stream_id", "conventions", "header_sha256")
_JSON = ("identity", "versions", "split_names")
SUFFIXES = (".h5", ".hdf5", ".zarr")


class Unreadable(InputError):
    """A chunk that is not there as a whole, or cannot be unpacked."""


class Container(ABC):
    """An open data set: `header`, and per chunk the stored fields and their SHA-256.

    Everything but the chunks and their hashes is on disk before the first chunk is written, and a chunk's hashes are
    written after the chunk. So processes write different chunks without a word to one another, and a process may be
    killed anywhere: a chunk without hashes, or that does not match them, is simply simulated again.
    """

    header: Header
    path: Path

    @abstractmethod
    def read(self, field: Field, start: int, stop: int) -> NDArray:
        """Stored values of drops, [stop - start, *stored_shape]."""

    @abstractmethod
    def write(self, field: Field, start: int, stored: NDArray) -> None:
        """Write stored values of the drops from `start` on."""

    @abstractmethod
    def digests(self) -> NDArray[np.uint8]:
        """SHA-256 per chunk and field, uint8 [num_chunks, num_fields, 32]; zeros where nothing was written."""

    @abstractmethod
    def write_digests(self, chunk: int, rows: NDArray[np.uint8]) -> None:
        """Write the hashes of a chunk, uint8 [num_fields, 32]."""

    @abstractmethod
    def close(self) -> None:
        """Give back what is open."""

    def write_chunk(self, chunk: int, stored: Mapping[str, NDArray]) -> None:
        """Write all fields of a chunk, then their hashes."""
        start = self.header.chunk(chunk).start
        rows = np.stack([sha256(stored[field.name]) for field in self.header.fields])
        for field in self.header.fields:
            self.write(field, start, stored[field.name])
        self.write_digests(chunk, rows)

    def damaged_fields(self, chunk: int, digests: NDArray[np.uint8]) -> list[str]:
        """Fields of a chunk that do not match their hashes, a row [num_fields, 32] of `digests()`."""
        drops = self.header.chunk(chunk)

        def is_damaged(field: Field, expected: NDArray[np.uint8]) -> bool:
            try:
                return not np.array_equal(sha256(self.read(field, drops.start, drops.stop)), expected)
            except Unreadable:
                return True

        pairs = zip(self.header.fields, digests, strict=True)
        return [field.name for field, expected in pairs if is_damaged(field, expected)]

    def written(self) -> NDArray[np.bool_]:
        """Chunks that have been written, bool [num_chunks]."""
        return np.any(self.digests(), axis=(1, 2)).astype(bool)


def sha256(values: NDArray) -> NDArray[np.uint8]:
    """SHA-256 of an array's bytes, uint8 [32]."""
    return np.frombuffer(hashlib.sha256(np.ascontiguousarray(values).data).digest(), np.uint8)


def content_hash(container: Container) -> str:
    """One hash of all that a data set holds: of its head and of the hashes of its chunks."""
    whole = hashlib.sha256(container.header.attrs["identity"].encode())
    whole.update(np.ascontiguousarray(container.digests()).data)
    return whole.hexdigest()


def check_suffix(path: Path) -> None:
    """Refuse names that tell no format."""
    if path.suffix not in SUFFIXES:
        raise bad_value("--out", str(path), f"a file name that ends in {', '.join(SUFFIXES)}")


def create(path: Path, header: Header) -> Container:
    """Make a data set without chunks; it is there as a whole or not at all."""
    check_suffix(path)
    if path.suffix == ".zarr":
        from ran.datasets.zarr_file import ZarrFile

        return ZarrFile.create(path, header)
    from ran.datasets.hdf5_file import Hdf5File

    return Hdf5File.create(path, header)


def open_container(path: Path, writable: bool = False) -> Container:
    """Open a data set. InputError in one line for what is missing, foreign, truncated or damaged in its head."""
    try:
        found = path.exists()
    except (OSError, ValueError):  # no name that a file can have
        found = False
    if not found:
        raise InputError(f"{shown_path(path)}: no such file; allowed: a data set that `ran data` wrote")
    if path.is_dir():
        from ran.datasets.zarr_file import ZarrFile

        return ZarrFile(path)
    check_regular(path)
    from ran.datasets.hdf5_file import Hdf5File

    return Hdf5File(path, writable)


def foreign(path: Path, why: str) -> InputError:
    """A file that is no data set of ours."""
    return InputError(f"{path}: {why}; allowed: a data set that `ran data` wrote")


def checked(header: Header, path: Path) -> Header:
    """`header`, if it is one that this version reads and nobody has changed."""
    from ran.datasets.header import FORMAT, FORMAT_VERSION

    if header.attrs.get("format") != FORMAT:
        raise foreign(path, "holds no data set of ran")
    version = header.attrs.get("format_version")
    if version != FORMAT_VERSION:
        raise InputError(f"{path}: format_version: got {version}; allowed: {FORMAT_VERSION}, by this version of ran")
    try:
        _check_attrs(header)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        why = " ".join(str(error).split())
        raise foreign(path, f"damaged: {type(error).__name__}: {why[:300]}") from None
    if header.attrs.get("header_sha256") != header.digest():
        raise InputError(
            f"{path}: damaged: attributes or tables do not match header_sha256; allowed: a file as ran wrote it"
        )
    return header


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Within it, a head whose values do not fit together, as after somebody's edit, is one line of `InputError`."""
    try:
        yield
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        why = " ".join(str(error).split())
        raise foreign(path, f"damaged: {type(error).__name__}: {why[:300]}") from None


def _check_attrs(header: Header) -> None:
    """Sizes that are sizes, texts that are texts, tables that belong to as many drops; any error otherwise."""
    for name in ("num_drops", "chunk_drops"):
        value = header.attrs[name]
        if type(value) is not int or not 1 <= value <= 2**40:
            raise ValueError(f"{name}: got {value!r}")
    for name in _TEXTS:
        if not isinstance(header.attrs[name], str):
            raise TypeError(f"{name}: got {header.attrs[name]!r}")
    if header.num_chunks * len(header.fields) * DIGEST_BYTES > MOST_TABLE_BYTES:
        raise ValueError(f"num_drops: got {header.num_drops} in chunks of {header.chunk_drops}")
    for name in _JSON:
        parse_json(header.attrs[name], name)
    if not header.fields:
        raise ValueError("fields: got none")
    for name, table in header.tables.items():
        if not all(isinstance(text, str) for text in (*table.axes, table.unit, table.description)):
            raise TypeError(f"{name}: got axes {table.axes}")
        if table.array.dtype.kind not in "biufc" or len(table.axes) != table.array.ndim:
            raise ValueError(f"{name}: got {table.array.dtype} {table.array.shape} of axes {table.axes}")
        if table.axes[:1] == ("drop",) and len(table.array) != header.num_drops:
            raise ValueError(f"{name}: got {len(table.array)} drops of {header.num_drops}")
