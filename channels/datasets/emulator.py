"""Impulse responses for the channel emulator of the Sionna Research Kit 1.2, written and read.

A folder with `cirs.bin` and `config.json`. `cirs.bin` holds one record per OFDM symbol: the norm (float32), the taps
(2 T float32, real and imaginary parts in turns) and their places in samples (T uint16), little-endian. One antenna at
each end. The norm is taken to be the Euclidean norm of the taps.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from channels.errors import bad_value
from channels.files import MOST_BYTES, MOST_TEXT_BYTES, parse_json, read_bytes
from channels.paths import Paths
from channels.value_checks import check_values

CIRS, CONFIG = "cirs.bin", "config.json"
_KEYS = ("num_taps", "num_cirs", "sigma_scaling", "sigma_max")


@dataclass(frozen=True)
class EmulatorCirs:
    """taps [num_cirs, num_taps] complex64; places [num_cirs, num_taps] uint16, delays in samples.

    sigma_scaling, sigma_max: how the emulator scales its noise and where that ends.
    """

    taps: NDArray[np.complex64]
    places: NDArray[np.uint16]
    sigma_scaling: float = 1.0
    sigma_max: float = 1.0

    @classmethod
    def from_paths(
        cls, paths: Paths, sample_rate_hz: float, num_taps: int, sigma_scaling: float = 1.0, sigma_max: float = 1.0
    ) -> EmulatorCirs:
        """The strongest `num_taps` taps on the emulator's grid of samples, one impulse response per draw and time.

        Only the first antenna pair is taken. A path goes to the sample nearest to its delay, paths on one sample add
        up; with fewer paths than taps the rest are zero taps at place 0. Delays are those of `paths`, so take off the
        first one if the emulator is not to delay.
        """
        if not (math.isfinite(sample_rate_hz) and sample_rate_hz > 0):
            raise bad_value("sample_rate_hz", sample_rate_hz, "a finite number above 0")
        if not 1 <= num_taps <= 2**16:
            raise bad_value("num_taps", num_taps, "1 to 65536")
        # [batch, num_times, num_paths]
        gains = paths.gains[:, 0, 0].transpose(-1, -2).cpu().numpy()
        places = np.rint(paths.delays_s.cpu().numpy() * sample_rate_hz).astype(np.int64)
        if places.min() < 0 or places.max() > 65535:
            raise bad_value("delays_s", f"{places.min()} to {places.max()} samples", "0 to 65535 samples")
        batch, num_times, _ = gains.shape
        places = np.broadcast_to(places, (batch, places.shape[1]))
        taps = np.zeros((batch, num_times, num_taps), np.complex64)
        where = np.zeros((batch, num_times, num_taps), np.uint16)
        for draw in range(batch):
            unique, place = np.unique(places[draw], return_inverse=True)
            onto = np.zeros((len(place), len(unique)), np.float32)
            onto[np.arange(len(place)), place] = 1
            summed = gains[draw] @ onto
            kept = np.argsort(-np.abs(summed), axis=1, kind="stable")[:, :num_taps]
            kept = np.sort(kept, axis=1)
            taps[draw, :, : kept.shape[1]] = np.take_along_axis(summed, kept, axis=1)
            where[draw, :, : kept.shape[1]] = unique[kept]
        return cls(taps.reshape(-1, num_taps), where.reshape(-1, num_taps), sigma_scaling, sigma_max)

    def to_paths(self, sample_rate_hz: float) -> Paths:
        """One draw per impulse response: gains [num_cirs, 1, 1, num_taps, 1], delays on the grid of samples."""
        gains = torch.from_numpy(self.taps.copy())[:, None, None, :, None]
        return Paths(gains, torch.from_numpy(self.places.astype(np.float64) / sample_rate_hz))


def _record(num_taps: int) -> np.dtype:
    return np.dtype([("norm", "<f4"), ("taps", "<c8", (num_taps,)), ("places", "<u2", (num_taps,))])


def write_cirs(folder: Path, cirs: EmulatorCirs) -> None:
    """Write `cirs.bin` and `config.json` into a folder, which is made where it is missing."""
    num_cirs, num_taps = cirs.taps.shape
    records = np.zeros(num_cirs, _record(num_taps))
    records["norm"] = np.linalg.norm(cirs.taps, axis=1)
    records["taps"] = cirs.taps
    records["places"] = cirs.places
    config = dict(zip(_KEYS, (num_taps, num_cirs, cirs.sigma_scaling, cirs.sigma_max), strict=True))
    folder.mkdir(parents=True, exist_ok=True)
    records.tofile(folder / CIRS)
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n")


def read_cirs(folder: Path) -> EmulatorCirs:
    """Read such a folder. `ValueError` in one line for what is missing, truncated or something else."""
    content, raw = (read_bytes(folder / name, most) for name, most in ((CONFIG, MOST_TEXT_BYTES), (CIRS, MOST_BYTES)))
    try:
        config = parse_json(content)
        given = [config[name] for name in _KEYS]
        scaling, largest = (float(value) for value in given[2:])
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        why = " ".join(str(error).split())
        raise ValueError(f"{folder / CONFIG}: damaged: {why}; allowed: numbers {', '.join(_KEYS)}") from None
    num_taps, num_cirs = (_whole(folder, *entry) for entry in zip(_KEYS, given, (2**16, 2**31), strict=False))
    for name, value in zip(_KEYS[2:], (scaling, largest), strict=True):
        check_values(str(folder / CONFIG), name, value, 0.0)
    expected = num_cirs * _record(num_taps).itemsize
    if len(raw) != expected:
        allowed = f"{expected}, {num_cirs} impulse responses of {num_taps} taps"
        raise ValueError(f"{folder / CIRS}: got {len(raw)} bytes; allowed: {allowed}")
    records = np.frombuffer(raw, _record(num_taps))
    for name in ("norm", "taps"):
        check_values(str(folder / CIRS), name, records[name])
    norms = np.linalg.norm(records["taps"].astype(np.complex128), axis=1)
    # relative to themselves, whatever the level
    if (np.abs(records["norm"] - norms) > 1e-4 * norms).any():
        raise ValueError(f"{folder / CIRS}: damaged: norms are not those of the taps; allowed: the file as written")
    return EmulatorCirs(records["taps"].copy(), records["places"].copy(), scaling, largest)


def _whole(folder: Path, name: str, value: object, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise bad_value(f"{folder / CONFIG}: {name}", value, f"a whole number from 1 to {most}")
    return value
