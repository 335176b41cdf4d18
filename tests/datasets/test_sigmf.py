"""SigMF recordings: round trip, and what the format's own library makes of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import sigmf
import torch
from small_set import experiment, write_small

from ran.cli.main import main
from ran.datasets.reader import DropDataset
from ran.datasets.sigmf import Annotation, Recording, read_sigmf, write_sigmf
from ran.errors import InputError
from ran.phy.ofdm import Ofdm


def recording(num_channels: int = 1) -> Recording:
    generator = np.random.default_rng(4)
    shape = (1000,) if num_channels == 1 else (num_channels, 1000)
    samples = (generator.normal(size=shape) + 1j * generator.normal(size=shape)).astype(np.complex64)
    notes = (Annotation(0, 500, "slot 0", "PUSCH"), Annotation(500, 500, "slot 1"))
    return Recording(samples, 30.72e6, 3.5e9, "two slots", notes, {"seed": 3})


@pytest.mark.parametrize("num_channels", [1, 3])
def test_round_trip(num_channels: int, tmp_path: Path) -> None:
    given = recording(num_channels)
    data, meta = write_sigmf(tmp_path / "wave", given)
    assert (data.name, meta.name) == ("wave.sigmf-data", "wave.sigmf-meta")
    for name in ("wave", "wave.sigmf-data", "wave.sigmf-meta"):
        found = read_sigmf(tmp_path / name)
        assert np.array_equal(found.samples, given.samples)
        assert found.annotations == given.annotations
        assert (found.sample_rate_hz, found.frequency_hz, found.extra) == (30.72e6, 3.5e9, {"seed": 3})


@pytest.mark.parametrize("num_channels", [1, 2])
def test_the_formats_own_library(num_channels: int, tmp_path: Path) -> None:
    given = recording(num_channels)
    _, meta = write_sigmf(tmp_path / "wave", given)
    theirs = sigmf.fromfile(str(meta))
    theirs.validate()
    # theirs: [num_samples] or [num_samples, num_channels]
    assert np.array_equal(theirs.read_samples().T, given.samples)
    assert theirs.get_global_field("core:sample_rate") == 30.72e6
    assert theirs.get_captures()[0]["core:frequency"] == 3.5e9
    assert [note["core:label"] for note in theirs.get_annotations()] == ["slot 0", "slot 1"]


def test_slots_of_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Demodulated, the recording is the received grids; annotations say which drop is where."""
    path = tmp_path / "set.h5"
    write_small(path, num_drops=6)
    command = ["data", "sigmf", str(path), "--out", str(tmp_path / "wave"), "--slots", "2:5", "--frequency-hz", "3.5e9"]
    assert main(command) == 0
    assert "1.5 ms" in capsys.readouterr().out
    found = read_sigmf(tmp_path / "wave")
    ofdm = Ofdm.build(experiment(tmp_path).carrier)
    assert found.sample_rate_hz == ofdm.sample_rate_hz
    slots = torch.from_numpy(found.samples).unflatten(1, (3, ofdm.num_samples)).transpose(0, 1)
    expected = DropDataset(path).batch([2, 3, 4])["y"]
    torch.testing.assert_close(ofdm.demodulate(slots), expected, atol=1e-5, rtol=0)
    assert [note.label for note in found.annotations] == ["drop 2", "drop 3", "drop 4"]
    assert found.annotations[1].start == ofdm.num_samples
    assert main([*command, "--phase-compensation"]) == 0
    compensated = Ofdm.build(experiment(tmp_path).carrier, carrier_frequency_hz=3.5e9)
    rotated = torch.from_numpy(read_sigmf(tmp_path / "wave").samples).unflatten(1, (3, ofdm.num_samples))
    torch.testing.assert_close(compensated.demodulate(rotated.transpose(0, 1)), expected, atol=1e-5, rtol=0)
    for slots_asked in ("4:9", "3:3", "-1:2", "1", "0.5:2", "nan:2"):
        assert main([*command[:6], slots_asked]) == 2
        assert "--slots: got" in capsys.readouterr().err


def test_bad_files(tmp_path: Path) -> None:
    data, meta = write_sigmf(tmp_path / "wave", recording())
    good, text = data.read_bytes(), meta.read_text()
    data.write_bytes(good[:-3])
    with pytest.raises(InputError, match=r"wave.sigmf-data: got 7997 bytes.*truncated"):
        read_sigmf(data)
    data.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    with pytest.raises(InputError, match="do not match core:sha512"):
        read_sigmf(data)
    data.unlink()
    with pytest.raises(InputError, match="sigmf-data: cannot be read: No such file"):
        read_sigmf(data)
    meta.write_text(json.dumps({**json.loads(text), "global": {"core:datatype": "rf32_le", "core:sample_rate": 1}}))
    with pytest.raises(InputError, match="core:datatype: got 'rf32_le'; allowed: cf32_le"):
        read_sigmf(meta)
    for bad in ("{", "[]", "{}"):
        meta.write_text(bad)
        with pytest.raises(InputError, match="no SigMF metadata"):
            read_sigmf(meta)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"sample_rate_hz": 0.0}, "sample_rate_hz: got 0.0"),
        ({"frequency_hz": float("nan")}, "frequency_hz: got nan"),
        ({"samples": np.zeros((0,), np.complex64)}, r"samples: got \[0\]"),
        ({"samples": np.full(3, np.nan, np.complex64)}, "non-finite"),
        ({"samples": np.zeros(3)}, "float64"),
        ({"annotations": (Annotation(990, 20, "x"),)}, "annotation 'x': got '990 \\+ 20'"),
    ],
)
def test_bad_recordings(change: dict, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        Recording(**{**recording().__dict__, **change})


@pytest.mark.parametrize(("datatype", "stored"), [("ci16_le", "<i2"), ("ci8", "i1"), ("cf64_be", ">f8"), ("cu8", "u1")])
def test_other_programs_datatypes(tmp_path: Path, datatype: str, stored: str) -> None:
    """Whole numbers keep their value; those without sign are centred."""
    numbers = np.arange(2 * 3 * 2).reshape(3, 2, 2)  # [sample, channel, (I, Q)]
    (tmp_path / "other.sigmf-data").write_bytes(numbers.astype(stored).tobytes())
    described = {"core:datatype": datatype, "core:sample_rate": 1e6, "core:num_channels": 2, "core:version": "1.0.0"}
    (tmp_path / "other.sigmf-meta").write_text(json.dumps({"global": described, "captures": []}))
    expected = (numbers[..., 0] + 1j * numbers[..., 1]).T
    if stored == "u1":
        expected = expected - (127.5 + 127.5j)
    assert np.array_equal(read_sigmf(tmp_path / "other").samples, expected.astype(np.complex64))
