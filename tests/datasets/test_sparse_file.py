"""A file in memory against a real one, under the same calls, and on its way to a disk."""

import errno
import os

import h5py
import numpy as np
import pytest

from ran.datasets import sparse_file
from ran.datasets.sparse_file import SparseFile


def test_it_does_what_a_file_does(tmp_path):
    rng, ours = np.random.default_rng(1), SparseFile()
    with (tmp_path / "real").open("w+b") as real:
        for _ in range(300):
            place, size = int(rng.integers(0, 400_000)), int(rng.integers(0, 200_000))
            assert ours.seek(place) == real.seek(place)
            if rng.random() < 0.5:
                data = rng.bytes(size)
                assert ours.write(data) == real.write(data)
            else:
                assert ours.read(size) == real.read(size)
            assert ours.tell() == real.tell()
        assert ours.seek(-10, os.SEEK_END) == real.seek(-10, os.SEEK_END)
        assert ours.read() == real.read()
        assert ours.truncate(900_000) == real.truncate(900_000)
        real.flush()
        with (tmp_path / "saved").open("wb") as saved:
            ours.save(saved.fileno())
        assert (tmp_path / "saved").read_bytes() == (tmp_path / "real").read_bytes()


def test_space_that_nobody_wrote_takes_none(tmp_path):
    """Room for 8 TB is reserved as in data sets, and nothing of it is in memory or on the disk."""
    head = SparseFile()
    with h5py.File(head, "w") as file:
        early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        early.set_layout(h5py.h5d.CONTIGUOUS)
        early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        early.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        h5py.h5d.create(file.id, b"large", h5py.h5t.NATIVE_DOUBLE, h5py.h5s.create_simple((2**40,)), early)
        file["small"] = np.arange(5)
    with (tmp_path / "head.h5").open("wb") as saved:
        head.save(saved.fileno())
    found = (tmp_path / "head.h5").stat()
    assert found.st_size > 2**43
    assert found.st_blocks * 512 < 2**20
    with h5py.File(tmp_path / "head.h5") as file:
        assert file["small"][()].tolist() == [0, 1, 2, 3, 4]
        assert file["large"][2**39] == 0.0


def test_what_the_disk_refuses_is_its_error(tmp_path, monkeypatch):
    head = SparseFile()
    head.write(bytes(200_000))

    def full(descriptor, data, place):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(sparse_file.os, "pwrite", full)
    with (tmp_path / "file").open("wb") as saved, pytest.raises(OSError, match="No space left"):
        head.save(saved.fileno())
