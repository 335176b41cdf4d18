"""Folders of DeepMIMO, version 4, as sets of rays.

A folder has `params.json`, and per pair of a transmitter and a set of receivers one file per quantity, such as
`power_t000_tx000_r001.npz` or `.mat`: numbers of the transmitter set, the transmitter in it and the receiver set.
Arrays are [num_users, num_paths], NaN where a user has fewer paths: power in dB over what is sent, phase in degrees at
the carrier, delay in seconds, azimuth (_az) and zenith (_el, from the z axis) of arrival and departure in degrees;
rx_pos [num_users, 3] and tx_pos in metres.

As DeepMIMO's own generator takes them: the gain of a path is the square root of its power, turned by its phase. (Its
converter from Sionna RT leaves out how the carrier turns along the way, so phases of such folders are not those of the
place; `around_m` of the channel makes them random.) The format has one polarisation, which is taken to be the vertical
one at both ends, so horizontal elements meet nothing. Its interaction codes are digits in a row, from the transmitter
on: 1 reflection, 2 diffraction, 3 scattering, 4 transmission. The transmitter is taken to be the base station.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from channels.raytraced.ray_set import Interaction, RaySet
from channels.waves import SPEED_OF_LIGHT_MPS

PARAMETERS = "params.json"
_ANGLES = {
    "base_azimuth_rad": "aod_az",
    "base_zenith_rad": "aod_el",
    "user_azimuth_rad": "aoa_az",
    "user_zenith_rad": "aoa_el",
}
#: What the digits mean, by digit.
_CODES = (
    Interaction.NONE,
    Interaction.REFLECTION,
    Interaction.DIFFRACTION,
    Interaction.SCATTERING,
    Interaction.REFRACTION,
)
_ALLOWED = "a folder of DeepMIMO version 4, params.json with its arrays"


def read_deepmimo(folder: Path, transmitter_set: int, transmitter: int, receiver_set: int) -> RaySet:
    """The rays from one transmitter to all users of a set of receivers.

    Users without a path are positions in outage. `ValueError` in one line for what is missing, damaged or does not
    belong together.
    """
    parameters = _parameters(folder)
    pair = f"t{transmitter_set:03}_tx{transmitter:03}_r{receiver_set:03}"
    names = ("power", "phase", "delay", *_ANGLES.values())
    arrays = {name: _array(folder, name, pair, 2) for name in names}
    positions = _array(folder, "rx_pos", pair, 2)
    base = _array(folder, "tx_pos", pair, None).reshape(-1)
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) > 1 or positions.shape != (len(arrays["power"]), 3) or base.shape != (3,):
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise _bad(folder, f"{found}, rx_pos {positions.shape}, tx_pos {base.shape}")
    there = ~np.isnan(arrays["power"])
    # by delay within a user, and what is not there last
    order = np.argsort(np.where(there, arrays["delay"], np.inf), axis=1, kind="stable")
    kept = np.take_along_axis(there, order, axis=1)

    def column(array: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(np.take_along_axis(array, order, axis=1)[kept], np.float64)

    values = {name: column(array) for name, array in arrays.items()}
    if not all(np.isfinite(value).all() for value in values.values()):
        raise _bad(folder, f"paths of {pair} with a power but without the rest")
    gain = 10 ** (values["power"] / 20) * np.exp(1j * np.deg2rad(values["phase"]))
    transfer = np.zeros((len(gain), 2, 2), np.complex64)
    transfer[:, 0, 0] = gain
    interactions, vertices = _vertices(folder, pair, order, kept)
    length = (values["delay"] * SPEED_OF_LIGHT_MPS).astype(np.float32)
    return RaySet(
        carrier_frequency_hz=_carrier(folder, parameters),
        base_position_m=base.astype(np.float64),
        positions_m=positions.astype(np.float32),
        headings_rad=np.full(len(positions), np.nan, np.float32),
        first=np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int32),
        delays_s=values["delay"].astype(np.float32),
        transfer=transfer,
        base_radius_m=length,
        user_radius_m=length,
        interactions=interactions,
        vertices_m=vertices,
        details={
            "scene": folder.name,
            "tracer": "DeepMIMO",
            "pair": pair,
            "positions_without_rays": int((~kept.any(axis=1)).sum()),
            "polarisation": "vertical alone",
        },
        **{name: np.deg2rad(values[theirs]).astype(np.float32) for name, theirs in _ANGLES.items()},
    )


def _parameters(folder: Path) -> Mapping[str, Any]:
    try:
        found = json.loads((folder / PARAMETERS).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{folder / PARAMETERS}: cannot be read: {error.strerror}; allowed: {_ALLOWED}") from None
    except ValueError as error:
        raise _bad(folder, f"{PARAMETERS} that is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise _bad(folder, f"{PARAMETERS} that is no mapping")
    return found


def _carrier(folder: Path, parameters: Mapping[str, Any]) -> float:
    try:
        carrier = float(parameters["rt_params"]["frequency"])
    except (KeyError, TypeError, ValueError):
        raise _bad(folder, f"{PARAMETERS} without rt_params.frequency") from None
    if not carrier > 0:
        raise _bad(folder, f"a frequency of {carrier}")
    return carrier


def _array(folder: Path, name: str, pair: str, axes: int | None) -> NDArray[Any]:
    for suffix in (".npz", ".mat"):
        path = folder / f"{name}_{pair}{suffix}"
        if not path.is_file():
            continue
        try:
            if suffix == ".mat":
                array = loadmat(path)[name]
            else:
                with np.load(path, allow_pickle=False) as archive:
                    array = archive[name]
        except (OSError, ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"{path}: damaged: {' '.join(str(error).split())}; allowed: {_ALLOWED}") from None
        if array.dtype.kind not in "fiu" or (axes is not None and array.ndim != axes):
            raise ValueError(f"{path}: got {array.dtype} {array.shape}; allowed: {_ALLOWED}")
        return np.asarray(array)
    raise ValueError(f"{folder / name}_{pair}: no such file in .npz or .mat; allowed: {_ALLOWED}")


def _vertices(
    folder: Path, pair: str, order: NDArray[Any], kept: NDArray[Any]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Interactions and places of the kept paths, from the base station on."""
    codes = np.take_along_axis(_array(folder, "inter", pair, 2), order, axis=1)[kept]
    places = _array(folder, "inter_pos", pair, 4)
    places = np.take_along_axis(places, order[:, :, None, None], axis=1)[kept].astype(np.float32)
    interactions = np.zeros(places.shape[:2], np.uint8)
    for ray, code in enumerate(codes):
        digits = [int(digit) for digit in str(int(code))] if np.isfinite(code) and code > 0 else []
        if len(digits) > places.shape[1] or any(digit >= len(_CODES) for digit in digits):
            raise _bad(folder, f"the interaction code {code:g} with {places.shape[1]} places")
        interactions[ray, : len(digits)] = [_CODES[digit] for digit in digits]
    places[interactions == 0] = np.nan
    return interactions, places


def _bad(folder: Path, why: str) -> ValueError:
    return ValueError(f"{folder}: got {why}; allowed: {_ALLOWED}")
