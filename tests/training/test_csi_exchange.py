"""Data sets between both sides of a CSI model: what is read is what was written, and what is damaged is refused."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from ran.errors import InputError
from ran.training.csi_exchange import read_exchange

ATTRIBUTES = {"pair_sha256": "abc", "combination": 2, "bits_per_value": 2, "n1": 2, "n2": 1}


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    v = rng.standard_normal((5, 3, 4, 2)).astype(np.float32)
    reports = np.array([[0, 0, 0, 1], [1, 0, 1, 1], [1, 1, 1, 1], [0, 1, 0, 1], [1, 0, 0, 0]], np.uint8)
    return {"precoders": v, "base": v[::-1].copy(), "reports": reports, "split": np.array([0, 0, 1, 0, 1], np.uint8)}


def written(path: Path, values: dict[str, np.ndarray], attributes: dict[str, object]) -> str:
    with h5py.File(path, "w") as file:
        for name, array in values.items():
            file.create_dataset(name, data=array)
        file.attrs.update(attributes)
    return str(path)


def test_what_is_read_is_what_was_written(tmp_path):
    found = read_exchange(written(tmp_path / "exchange.h5", arrays(), ATTRIBUTES))
    np.testing.assert_array_equal(found.v.numpy(), arrays()["precoders"] @ np.array([1, 1j]))
    np.testing.assert_array_equal(found.base.numpy(), found.v.numpy()[::-1])
    # two bits of a latent, the most significant first
    assert found.indices.tolist() == [[0, 1], [2, 3], [3, 3], [1, 1], [2, 0]]
    assert found.is_held_out.tolist() == [False, False, True, False, True]
    assert (found.pair, found.combination, found.shape, found.num_values) == ("abc", 2, (2, 1), 2)


def test_what_is_damaged_is_refused(tmp_path):
    good, number = arrays(), 0

    def refused(values, attributes, message):
        nonlocal number
        number += 1
        with pytest.raises(InputError, match=message):
            read_exchange(written(tmp_path / f"{number}.h5", values, attributes))

    for name in good:
        refused({k: v for k, v in good.items() if k != name}, ATTRIBUTES, f"has no {name}")
    for name in ATTRIBUTES:
        refused(good, {k: v for k, v in ATTRIBUTES.items() if k != name}, f"has no {name}")
    refused({**good, "reports": good["reports"][:, :3]}, ATTRIBUTES, "reports: got .*2 bits for every latent")
    refused({**good, "reports": 2 * good["reports"]}, ATTRIBUTES, "zeros and ones")
    refused({**good, "split": good["split"][:4]}, ATTRIBUTES, r"shape of split: got \(4,\)")
    refused({**good, "base": good["base"][:, :2]}, ATTRIBUTES, "shape of base")
    refused({**good, "precoders": np.full_like(good["precoders"], np.nan)}, ATTRIBUTES, "precoders: .*finite")
    refused(good, {**ATTRIBUTES, "bits_per_value": 3}, "3 bits for every latent")
    (tmp_path / "text.h5").write_text("none")
    with pytest.raises(InputError, match=r"cannot read .*; allowed: HDF5"):
        read_exchange(str(tmp_path / "text.h5"))
    with pytest.raises(InputError, match=r"exchange: got '.*mat'; allowed: a file in .h5, .hdf5"):
        read_exchange(str(tmp_path / "reports.mat"))
