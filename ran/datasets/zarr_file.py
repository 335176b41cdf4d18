"""Data sets in zarr: a folder with a file per chunk and field, as object stores want it, compressed."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ran.datasets.container import DIGEST_BYTES, Container, Unreadable, checked, foreign
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
            self._group = zarr.open_group(path, mode="r+")
            self.header = checked(_read_header(self._group, path), path)
            self._arrays = {field.name: self._group[field.name] for field in self.header.fields}
        except InputError:
            raise
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise foreign(path, f"is no zarr data set of ran: {' '.join(str(error).split())}") from None

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
        except (OSError, ValueError, RuntimeError) as error:
            why = " ".join(str(error).split())
            raise Unreadable(f"{self.path}: {field.name} of drops {start} to {stop - 1}: {why}") from None

    def write(self, field: Field, start: int, stored: NDArray) -> None:
        self._arrays[field.name][start : start + len(stored)] = stored

    def digests(self) -> NDArray[np.uint8]:
        return np.asarray(self._group[_DIGESTS][:])

    def write_digests(self, chunk: int, rows: NDArray[np.uint8]) -> None:
        self._group[_DIGESTS][chunk : chunk + 1] = rows[None]

    def close(self) -> None:
        self._group.store.close()


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
            tables[name] = Table(np.asarray(array[...]), tuple(own["axes"]), own["unit"], own["description"])
    return Header(attrs, tables, tuple(fields[name] for name in order))
