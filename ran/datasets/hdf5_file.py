"""Data sets in HDF5: arrays lie in one piece each, so that processes write into them in place.

The HDF5 library writes the head and reserves the space of all arrays, then has done its work. Chunks go to their places
in the file by plain system calls: any number of processes at a time, and none of HDF5's own records is ever open when a
process is killed. Readers use any HDF5 software, or `Hdf5File.read`, which goes straight to the place too.
"""

from __future__ import annotations

import errno
import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ran.config.doors import MOST_TEXT_BYTES, check_regular, parse_json
from ran.datasets.container import DIGEST_BYTES, Container, Unreadable, checked, foreign
from ran.datasets.field import BIT_ORDER, Field, field_of
from ran.datasets.header import Header, Table
from ran.datasets.sparse_file import new_hdf5
from ran.errors import InputError

_DIGESTS = "chunk_sha256"
#: Arrays of so many bytes and more begin at multiples of them.
_ALIGNED_BYTES = 64
#: Most arrays of a file.
_MOST_OBJECTS = 1000


class Hdf5File(Container):
    """A data set in one HDF5 file."""

    def __init__(self, path: Path, writable: bool = False) -> None:
        self.path = path
        try:
            # a writer holds the lock for as long as it writes; the head is whole all the time
            size = check_regular(path)
            with h5py.File(path, "r", locking=False) as file:
                self.header = checked(_read_header(file, path, size), path)
                drops = self.header.num_drops
                shapes = {field.name: (drops, *field.stored_shape) for field in self.header.fields}
                self._offsets = {
                    field.name: _offset(file, field.name, shapes[field.name], field.stored_dtype, path, size)
                    for field in self.header.fields
                }
                shape = (self.header.num_chunks, len(self.header.fields), DIGEST_BYTES)
                self._digests_at = _offset(file, _DIGESTS, shape, "|u1", path, size)
            self._descriptor = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
        except InputError:
            raise
        except OSError as error:
            raise foreign(path, _why(error)) from None
        except Exception as error:  # HDF5 tells damage by errors of every kind
            why = " ".join(str(error).split())
            raise foreign(path, f"damaged, or no data set of ran: {type(error).__name__}: {why[:300]}") from None

    @classmethod
    def create(cls, path: Path, header: Header) -> Hdf5File:
        """Write the head and reserve the space of everything else."""
        new = path.with_name(f".{path.name}.new")
        places = {"alignment_threshold": _ALIGNED_BYTES, "alignment_interval": _ALIGNED_BYTES}
        try:
            with new_hdf5(new, libver=("v108", "v108"), **places) as file:
                _write_header(file, header)
            os.replace(new, path)
        except OSError as error:
            new.unlink(missing_ok=True)
            raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
        return cls(path, writable=True)

    def read(self, field: Field, start: int, stop: int) -> NDArray:
        values = np.empty((stop - start, *field.stored_shape), field.stored_dtype)
        self._read_into(values, self._offsets[field.name] + start * field.drop_bytes)
        return values

    def _read_into(self, values: NDArray, place: int) -> None:
        view = values.reshape(-1).view(np.uint8).data
        done = 0
        while done < len(view):
            got = os.preadv(self._descriptor, [view[done:]], place + done)
            if got == 0:
                raise Unreadable(f"{self.path}: ends too early; allowed: a whole file")
            done += got

    def write(self, field: Field, start: int, stored: NDArray) -> None:
        self._write_at(np.ascontiguousarray(stored), self._offsets[field.name] + start * field.drop_bytes)

    def _write_at(self, values: NDArray, place: int) -> None:
        view = values.reshape(-1).view(np.uint8).data
        done = 0
        while done < len(view):
            done += os.pwrite(self._descriptor, view[done:], place + done)

    def digests(self) -> NDArray[np.uint8]:
        rows = np.empty((self.header.num_chunks, len(self.header.fields), DIGEST_BYTES), np.uint8)
        self._read_into(rows, self._digests_at)
        return rows

    def write_digests(self, chunk: int, rows: NDArray[np.uint8]) -> None:
        self._write_at(np.ascontiguousarray(rows), self._digests_at + chunk * rows.nbytes)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _write_header(file: h5py.File, header: Header) -> None:
    for name, value in header.attrs.items():
        file.attrs[name] = value
    for name, table in header.tables.items():
        _describe(file.create_dataset(name, data=table.array), table.axes, table.unit, table.description)
    for field in header.fields:
        shape = (header.num_drops, *field.stored_shape)
        dataset = _reserve(file, field.name, shape, field.stored_dtype)
        axes = ("drop", *field.axes) if field.encoding != "packed-bits" else ("drop", "byte")
        if field.encoding == "complex-float16":
            axes = (*axes, "re_im")
        _describe(dataset, axes, field.unit, field.description)
        dataset.attrs["field"] = json.dumps(asdict(field))
        if field.encoding == "packed-bits":
            dataset.attrs["bit_order"] = BIT_ORDER
    shape = (header.num_chunks, len(header.fields), DIGEST_BYTES)
    hashes = _reserve(file, _DIGESTS, shape, "|u1", zeros=True)
    _describe(hashes, ("chunk", "field", "byte"), "", "SHA-256 of every field of every chunk; zeros: not written yet")
    hashes.attrs["fields"] = json.dumps([field.name for field in header.fields])


def _reserve(file: h5py.File, name: str, shape: tuple[int, ...], dtype: str, zeros: bool = False) -> h5py.Dataset:
    """A data set in one piece whose space is there from the beginning; what is not written yet reads as zeros."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)  # the same content is the same file
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_ALLOC if zeros else h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(shape)
    kind = h5py.h5t.py_create(np.dtype(dtype), logical=True)
    return h5py.Dataset(h5py.h5d.create(file.id, name.encode(), kind, space, properties))


def _describe(dataset: h5py.Dataset, axes: tuple[str, ...], unit: str, description: str) -> None:
    dataset.attrs["axes"] = json.dumps(list(axes))
    dataset.attrs["unit"] = unit
    dataset.attrs["description"] = description


def _read_header(file: h5py.File, path: Path, size: int) -> Header:
    """size: of the file; no table is larger."""
    attrs = _attrs(file)
    tables, fields = {}, {}
    if len(file) > _MOST_OBJECTS:
        raise foreign(path, f"holds {len(file)} objects, more than {_MOST_OBJECTS}")
    for name in file:
        # a link can lead to any other file
        if not isinstance(file.get(name, getlink=True), h5py.HardLink) or not isinstance(file[name], h5py.Dataset):
            continue
        dataset = file[name]
        own = _attrs(dataset)
        if "field" in own:
            fields[name] = field_of(own["field"])
        elif name != _DIGESTS and "axes" in own:
            axes = tuple(parse_json(own["axes"], f"{name}: axes"))
            _offset(file, name, dataset.shape, dataset.dtype, path, size)
            tables[name] = Table(dataset[()], axes, own["unit"], own["description"])
    order = parse_json(file[_DIGESTS].attrs["fields"], "fields") if _DIGESTS in file else []
    return Header(attrs, tables, tuple(fields[name] for name in order))


def _attrs(thing: Any) -> dict[str, Any]:
    """Attributes of a file or an array. InputError where one claims to be larger than any that we write."""
    found = {}
    for name in thing.attrs:
        claimed = thing.attrs.get_id(name).get_storage_size()
        if claimed > MOST_TEXT_BYTES:
            raise InputError(f"{name}: got an attribute of {claimed} bytes; allowed: up to {MOST_TEXT_BYTES}")
        found[name] = _plain(thing.attrs[name])
    return found


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _offset(file: h5py.File, name: str, shape: tuple[int, ...], dtype: str | np.dtype, path: Path, size: int) -> int:
    """Where an array lies in the file: of this shape and kind, in one piece, and within the file's size."""
    dataset = file[name]
    if dataset.shape != shape or dataset.dtype != np.dtype(dtype) or dataset.dtype.kind not in "biufc":
        raise foreign(path, f"damaged: {name} is {dataset.dtype} {dataset.shape}")
    claimed = math.prod(shape) * dataset.dtype.itemsize
    offset = dataset.id.get_offset()
    if not claimed:
        return 0
    if offset is None or dataset.chunks is not None or dataset.external or dataset.is_virtual:
        raise foreign(path, f"{name} does not lie in one piece, another program has rewritten it")
    if offset + claimed > size:
        raise foreign(path, f"damaged: {name} claims {claimed} bytes at {offset} of {size}")
    return int(offset)


def _why(error: OSError) -> str:
    """HDF5's many words in a few."""
    text = " ".join(str(error).split())
    if error.errno in (errno.EACCES, errno.ENOENT, errno.EISDIR):
        return f"cannot be read: {os.strerror(error.errno)}"
    if "truncated file" in text:
        return f"truncated ({text[text.index('eof') :].rstrip(')')})" if "eof" in text else "truncated"
    if "signature" in text:
        return "is no HDF5 file"
    return f"damaged: {text}"
