"""Impulse responses of the Research Kit's emulator: bytes of the contract, and the response that comes back."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from channels import Tdl
from channels.datasets.emulator import EmulatorCirs, read_cirs, write_cirs
from channels.paths import Paths

RATE_HZ = 30.72e6


def tdl_cirs(num_taps: int = 23) -> tuple[Paths, EmulatorCirs]:
    generators = [np.random.default_rng((7, n)) for n in range(2)]
    paths = Tdl("B", delay_spread_ns=300, max_doppler_hz=100).paths(generators, 1, 1, np.arange(14) / 28e3)
    return paths, EmulatorCirs.from_paths(paths, RATE_HZ, num_taps)


def test_bytes_of_the_contract(tmp_path: Path) -> None:
    """Norm, interleaved taps, places; written by hand here."""
    cirs = EmulatorCirs(np.array([[3 + 4j, 0]], np.complex64), np.array([[2, 7]], np.uint16), 0.5, 2.0)
    write_cirs(tmp_path, cirs)
    assert (tmp_path / "cirs.bin").read_bytes() == struct.pack("<f4f2H", 5.0, 3.0, 4.0, 0.0, 0.0, 2, 7)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config == {"num_taps": 2, "num_cirs": 1, "sigma_scaling": 0.5, "sigma_max": 2.0}


def test_round_trip(tmp_path: Path) -> None:
    _, cirs = tdl_cirs()
    write_cirs(tmp_path / "new", cirs)
    found = read_cirs(tmp_path / "new")
    assert np.array_equal(found.taps, cirs.taps)
    assert np.array_equal(found.places, cirs.places)


def test_response_is_that_of_the_paths() -> None:
    """With all taps kept, and delays moved to the grid, the frequency response is the same."""
    paths, cirs = tdl_cirs()
    assert cirs.taps.shape == (28, 23)
    frequencies = torch.arange(-100, 100, dtype=torch.float64) * 30e3
    on_grid = Paths(paths.gains, torch.round(paths.delays_s * RATE_HZ) / RATE_HZ)
    expected = on_grid.to_grid(frequencies)[:, 0, 0].flatten(0, 1)
    found = cirs.to_paths(RATE_HZ).to_grid(frequencies)[:, 0, 0, 0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_the_strongest_taps_are_kept() -> None:
    _, all_taps = tdl_cirs()
    _, few = tdl_cirs(4)
    largest = np.sort(np.abs(all_taps.taps), axis=1)[:, ::-1][:, :4]
    np.testing.assert_allclose(np.sort(np.abs(few.taps), axis=1)[:, ::-1], largest)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"config.json: cannot be read"):
        read_cirs(tmp_path)
    _, cirs = tdl_cirs()
    write_cirs(tmp_path, cirs)
    raw = (tmp_path / "cirs.bin").read_bytes()
    (tmp_path / "cirs.bin").write_bytes(raw[:-5])
    with pytest.raises(ValueError, match=r"cirs.bin: got \d+ bytes; allowed: \d+, 28 impulse responses of 23 taps"):
        read_cirs(tmp_path)
    (tmp_path / "cirs.bin").write_bytes(b"\x00\x00\x80\x3f" + raw[4:])
    with pytest.raises(ValueError, match="norms are not those of the taps"):
        read_cirs(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"damaged: 'num_taps'; allowed: numbers num_taps, num_cirs"):
        read_cirs(tmp_path)


@pytest.mark.parametrize(
    ("rate", "taps", "expected"), [(0.0, 4, "sample_rate_hz"), (1e6, 0, "num_taps"), (1e14, 4, "")]
)
def test_bad_options(rate: float, taps: int, expected: str) -> None:
    paths, _ = tdl_cirs()
    with pytest.raises(ValueError, match=f"{expected}.*got .*allowed"):
        EmulatorCirs.from_paths(paths, rate, taps)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("num_taps", 23.5, r"num_taps: got 23.5; allowed: a whole number from 1 to 65536"),
        ("num_cirs", -28, r"num_cirs: got -28; allowed: a whole number from 1"),
        ("sigma_max", float("nan"), r"sigma_max: got nan; allowed: finite numbers from 0"),
        ("sigma_scaling", -1.0, r"sigma_scaling: got -1.0; allowed: finite numbers from 0"),
    ],
)
def test_bad_numbers_in_the_configuration(tmp_path: Path, key: str, value: float, text: str) -> None:
    write_cirs(tmp_path, tdl_cirs()[1])
    config = json.loads((tmp_path / "config.json").read_text()) | {key: value}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=f"config.json: {text}"):
        read_cirs(tmp_path)


def test_taps_that_are_not_finite(tmp_path: Path) -> None:
    _, cirs = tdl_cirs()
    taps = cirs.taps.copy()
    taps[3, 2] = np.nan
    write_cirs(tmp_path, replace(cirs, taps=taps))
    with pytest.raises(ValueError, match=r"cirs.bin: norm\[3\]: got nan"):
        read_cirs(tmp_path)


def test_norms_are_held_against_the_taps_at_every_level(tmp_path: Path) -> None:
    _, cirs = tdl_cirs()
    weak = replace(cirs, taps=(cirs.taps * np.float32(1e-13)))
    write_cirs(tmp_path, weak)
    np.testing.assert_array_equal(read_cirs(tmp_path).taps, weak.taps)
    raw = (tmp_path / "cirs.bin").read_bytes()
    (tmp_path / "cirs.bin").write_bytes(np.float32(3e-13).tobytes() + raw[4:])
    with pytest.raises(ValueError, match="norms are not those of the taps"):
        read_cirs(tmp_path)
