"""What kind of DeepMIMO folder this is, and its arrays by name.

Version 4 has `params.json` beside arrays. A dynamic scenario of version 4 has `params.json` with the number of scenes,
and a folder with arrays for each of them. Version 3 has MATLAB files per base station (`BS1_BS.mat`, `*.CIR.mat`, ...).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from channels.files import MOST_TEXT_BYTES, check_regular, parse_json, read_arrays, read_bytes
from channels.matlab_file import read_matlab

PARAMETERS = "params.json"
ALLOWED = "a folder of DeepMIMO version 4, params.json with its arrays"
_SUFFIXES = (".npz", ".mat")
_PAIR = re.compile(r"power_(t\d+_tx\d+_r\d+)\.(?:npz|mat)")
_VERSION_3 = ("BS*_BS.mat", "BS*_UE*.mat", "*.CIR.mat", "*.DoD.mat", "*.DoA.mat", "*.params.mat", "params.mat")


def read_parameters(folder: Path) -> Mapping[str, Any]:
    """`params.json` of a folder, or of the dynamic scenario that it is a scene of.

    `ValueError` of one line for a folder of version 3, for a dynamic scenario as a whole, and for what is missing.
    """
    path = folder / PARAMETERS
    if not path.is_file():
        old = [found.name for pattern in _VERSION_3 for found in sorted(folder.glob(pattern))]
        if old:
            raise ValueError(
                f"{folder}: got a folder of DeepMIMO version 3 ({old[0]}); allowed: version 4: load the scenario anew "
                "with the package deepmimo from 4.0, deepmimo.download, or deepmimo.convert of the ray tracer's files"
            )
        if (folder.parent / PARAMETERS).is_file() and _num_scenes(_mapping(folder.parent / PARAMETERS)) > 1:
            path = folder.parent / PARAMETERS
    parameters = _mapping(path)
    if path.parent == folder and (count := _num_scenes(parameters)) > 1:
        scenes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
        first = f", {folder / scenes[0]} for instance" if scenes else ""
        raise ValueError(f"{folder}: got a dynamic scenario of {count} scenes; allowed: the folder of one scene{first}")
    return parameters


def carrier_hz(folder: Path, parameters: Mapping[str, Any]) -> float:
    """Carrier frequency in Hz; its range is looked at with the rays."""
    try:
        return float(parameters["rt_params"]["frequency"])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise bad_folder(folder, f"{PARAMETERS} without rt_params.frequency") from None


def file_of(folder: Path, name: str, pair: str) -> Path:
    """The file of an array of a pair; `ValueError` names the pairs that there are."""
    for suffix in _SUFFIXES:
        path = folder / f"{name}_{pair}{suffix}"
        if path.is_file():
            return path
    pairs = sorted({match[1] for entry in folder.iterdir() if (match := _PAIR.fullmatch(entry.name))})
    there = f"; pairs here: {', '.join(pairs)}" if pairs and pair not in pairs else ""
    raise ValueError(f"{folder / name}_{pair}: no such file in .npz or .mat; allowed: {ALLOWED}{there}")


def read_array(path: Path, name: str, axes: int | None) -> NDArray[Any]:
    """An array of numbers with so many axes. `ValueError` in one line for anything else."""
    try:
        if path.suffix == ".mat":
            check_regular(path)
            array = read_matlab(path, [name])[name]
        else:
            array = read_arrays(path, [name])[name]
    except Exception as error:  # scipy tells damage by errors of every kind
        raise ValueError(f"{path}: damaged: {' '.join(str(error).split())}; allowed: {ALLOWED}") from None
    if array.dtype.kind not in "fiu" or (axes is not None and array.ndim != axes):
        raise ValueError(f"{path}: got {array.dtype} {array.shape}; allowed: {ALLOWED}")
    return np.asarray(array)


def bad_folder(folder: Path, why: str) -> ValueError:
    """An error of one line about the folder."""
    return ValueError(f"{folder}: got {why}; allowed: {ALLOWED}")


def _mapping(path: Path) -> Mapping[str, Any]:
    try:
        content = read_bytes(path, MOST_TEXT_BYTES)
    except ValueError as error:
        raise ValueError(f"{error}, {ALLOWED}") from None
    try:
        found = parse_json(content)
    except ValueError as error:
        raise bad_folder(path.parent, f"{PARAMETERS} that is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise bad_folder(path.parent, f"{PARAMETERS} that is no mapping")
    return found


def _num_scenes(parameters: Mapping[str, Any]) -> int:
    scene = parameters.get("scene")
    count = scene.get("num_scenes", 1) if isinstance(scene, dict) else 1
    return count if isinstance(count, int) else 1
