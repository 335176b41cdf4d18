"""Kept arrays are whole or not there: no byte that flips changes one or ends in a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ran.sim.npz_file import read_npz

ARRAYS = {"receiver0": np.arange(12, dtype=np.float32).reshape(3, 4), "users_m": np.ones(5, bool)}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_byte(save: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "kept.npz"
    save(path, **ARRAYS)
    whole = path.read_bytes()
    found = read_npz(path)
    assert found is not None
    assert found.keys() == ARRAYS.keys()
    masks = np.random.default_rng(2).integers(1, 256, (1, len(whole)))
    damaged = 0
    for place in range(len(whole)):
        for mask in masks[:, place].tolist():
            path.write_bytes(whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :])
            found = read_npz(path)
            if found is None:
                damaged += 1
                continue
            assert found.keys() == ARRAYS.keys(), place
            for name, values in ARRAYS.items():
                assert found[name].dtype == values.dtype
                np.testing.assert_array_equal(found[name], values)
    # what is not covered is what nobody reads: times, permissions, versions
    assert damaged > len(whole) / 2


def test_what_is_not_there_or_cut(tmp_path: Path) -> None:
    path = tmp_path / "kept.npz"
    assert read_npz(path) is None
    np.savez(path, **ARRAYS)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert read_npz(path) is None
    np.savez(path, objects=np.array([{}], dtype=object))
    assert read_npz(path) is None
