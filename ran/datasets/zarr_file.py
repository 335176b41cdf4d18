"""Data sets in zarr: a folder with a file per chunk and field, as object stores want it, compressed."""

from __future__ import annotations

import json
import math
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ran.config.doors import check_regular, read_json
from ran.datasets.container import DIGEST_BYTES, MOST_TABLE_BYTES, Container, Unreadable, checked, foreign
from ran.datasets.field import BIT_ORDER, Field, field_of
from ran.datasets.header import Header, Table
from ran.errors import InputError

_DIGESTS = "chunk_sha256"


def _zarr() -> ModuleType:
    try:
        import zarr
    except ImportError:
        raise InputError(
            "zarr: not installed; allowed: after pip install 'ran6g[zarr]', or a file name in .h5"
        ) from None
    return zarr


class ZarrFile(Container):
    """A data set in a zarr folder (format 3)."""

    def __init__(self, path: Path) -> None:
        zarr = _zarr()
        self.path = path
        try:
            _check_files(path)
            self._group = zarr.open_group(path, mode="r+")
            self.header = checked(_read_header(self._group, path), path)
            self._arrays = {field.name: self._group[field.name] for field in self.header.fields}
            self._check_shapes()
        except InputError:
            raise
        except Exception as error:  # zarr and its codecs have errors of every kind
            raise foreign(path, f"is no zarr data set of ran: {' '.join(str(error).split())}") from None

    def _check_shapes(self) -> None:
        """InputError for arrays that are not what the head says, however many drops or bytes they claim."""
        drops, chunk = self.header.num_drops, self.header.chunk_drops
        wanted = {field.name: ((drops, *field.stored_shape), field.stored_dtype) for field in self.header.fields}
        wanted[_DIGESTS] = ((self.header.num_chunks, len(self.header.fields), DIGEST_BYTES), "|u1")
        for name, (shape, dtype) in wanted.items():
            array = self._group[name]
            chunks = (1 if name == _DIGESTS else chunk, *shape[1:])
            if array.shape != shape or array.chunks != chunks or array.dtype != np.dtype(dtype):
                raise foreign(self.path, f"damaged: {name} is {array.dtype} {array.shape} in chunks of {array.chunks}")

    @classmethod
    def create(cls, path: Path, header: Header) -> ZarrFile:
        """Write the head."""
        zarr = _zarr()
        new = path.with_name(f".{path.name}.new")
        try:
            shutil.rmtree(new, ignore_errors=True)
            group = zarr.open_group(new, mode="w")
            _write_header(group, header)
            os.replace(new, path)
        except OSError as error:
            shutil.rmtree(new, ignore_errors=True)
            raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
        return cls(path)

    def read(self, field: Field, start: int, stop: int) -> NDArray:
        try:
            return np.asarray(self._arrays[field.name][start:stop])
        except Exception as error:  # compressors tell damage by errors of every kind, SystemError among them
            why = " ".join(str(error).split())
            raise Unreadable(f"{self.path}: {field.name} of drops {start} to {stop - 1}: {why}") from None

    def write(self, field: Field, start: int, stored: NDArray) -> None:
        self._arrays[field.name][start : start + len(stored)] = stored

    def digests(self) -> NDArray[np.uint8]:
        try:
            return np.asarray(self._group[_DIGESTS][:])
        except Exception as error:
            raise foreign(self.path, f"damaged: {_DIGESTS}: {' '.join(str(error).split())[:300]}") from None

    def write_digests(self, chunk: int, rows: NDArray[np.uint8]) -> None:
        self._group[_DIGESTS][chunk : chunk + 1] = rows[None]

    def close(self) -> None:
        self._group.store.close()


def _check_files(path: Path) -> None:
    """InputError for anything but folders and regular files, and for descriptions that are too long or too deep."""
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder) / name
            if name == "zarr.json":
                read_json(file)
            elif not file.is_file():
                check_regular(file)


def _write_header(group: Any, header: Header) -> None:
    from zarr.codecs import BloscCodec

    group.attrs.update(dict(header.attrs))
    for name, table in header.tables.items():
        array = group.create_array(name, data=table.array)
        array.attrs.update({"axes": list(table.axes), "unit": table.unit, "description": table.description})
    for field in header.fields:
        shape = (header.num_drops, *field.stored_shape)
        size = np.dtype(field.stored_dtype).itemsize // (2 if field.stored_dtype == "<c8" else 1)
        # chosen by measurement, docs/decisions/0011-data-sets.md; packed bits cannot be compressed
        codec = BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle", typesize=size)
        array = group.create_array(
            field.name,
            shape=shape,
            dtype=np.dtype(field.stored_dtype),
            chunks=(header.chunk_drops, *field.stored_shape),
            compressors=None if field.encoding == "packed-bits" else codec,
            fill_value=0,
        )
        axes = ["drop", *field.axes] if field.encoding != "packed-bits" else ["drop", "byte"]
        if field.encoding == "complex-float16":
            axes.append("re_im")
        array.attrs.update(
            {"axes": axes, "unit": field.unit, "description": field.description, "field": json.dumps(asdict(field))}
        )
        if field.encoding == "packed-bits":
            array.attrs["bit_order"] = BIT_ORDER
    shape = (header.num_chunks, len(header.fields), DIGEST_BYTES)
    hashes = group.create_array(
        _DIGESTS, shape=shape, dtype=np.uint8, chunks=(1, *shape[1:]), compressors=None, fill_value=0
    )
    text = "SHA-256 of every field of every chunk; zeros: not written yet"
    hashes.attrs.update({"axes": ["chunk", "field", "byte"], "unit": "", "description": text})
    hashes.attrs["fields"] = [field.name for field in header.fields]


def _read_header(group: Any, path: Path) -> Header:
    attrs = dict(group.attrs)
    tables, fields, order = {}, {}, []
    for name, array in group.arrays():
        own = dict(array.attrs)
        if name == _DIGESTS:
            order = list(own["fields"])
        elif "field" in own:
            fields[name] = field_of(own["field"])
        elif "axes" in own:
            claimed = math.prod(array.shape) * array.dtype.itemsize
            if max(claimed, math.prod(array.chunks) * array.dtype.itemsize) > MOST_TABLE_BYTES:
                raise foreign(path, f"damaged: {name} claims {claimed} bytes; up to {MOST_TABLE_BYTES} are read")
            tables[name] = Table(np.asarray(array[...]), tuple(own["axes"]), own["unit"], own["description"])
    return Header(attrs, tables, tuple(fields[name] for name in order))
