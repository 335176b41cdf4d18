"""Files of rays: compressed numpy archives, written in one piece or not at all, checked when they are read."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from channels.errors import unknown_name
from channels.files import check_regular, parse_json, read_arrays
from channels.raytraced.ray_checks import check_rays
from channels.raytraced.ray_set import ARRAYS, RaySet

FORMAT = "ran6g rays"
FORMAT_VERSION = 1
_SUFFIX = ".npz"
_HERE = Path(__file__).parent
#: dtype and number of axes of every array; of the axes with a fixed length, that length.
_LAYOUT: dict[str, tuple[str, tuple[int | None, ...]]] = {
    "base_position_m": ("<f8", (3,)),
    "positions_m": ("<f4", (None, 3)),
    "headings_rad": ("<f4", (None,)),
    "first": ("<i4", (None,)),
    "delays_s": ("<f4", (None,)),
    "transfer": ("<c8", (None, 2, 2)),
    "base_zenith_rad": ("<f4", (None,)),
    "base_azimuth_rad": ("<f4", (None,)),
    "user_zenith_rad": ("<f4", (None,)),
    "user_azimuth_rad": ("<f4", (None,)),
    "base_radius_m": ("<f4", (None,)),
    "user_radius_m": ("<f4", (None,)),
    "interactions": ("|u1", (None, None)),
    "vertices_m": ("<f4", (None, None, 3)),
}
_PER_RAY = tuple(name for name in ARRAYS[4:])


def shipped_sets() -> dict[str, Path]:
    """Files of rays that ship with the package, by name."""
    return {path.stem: path for path in sorted(_HERE.glob(f"*{_SUFFIX}"))}


def write_rays(path: Path, rays: RaySet) -> None:
    """Write a file of rays under another name first, then rename it: a reader never sees a part.

    `ValueError` for a name that does not end in .npz. The same rays make the same bytes.
    """
    if path.suffix != _SUFFIX:
        raise ValueError(f"{path}: got a name that ends in {path.suffix!r}; allowed: {_SUFFIX}")
    head = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "carrier_frequency_hz": float(rays.carrier_frequency_hz),
        "content_sha256": rays.content_sha256,
        "details": dict(rays.details),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            arrays = {name: np.asarray(getattr(rays, name)).astype(_LAYOUT[name][0]) for name in ARRAYS}
            text = np.frombuffer(json.dumps(head, sort_keys=True).encode(), np.uint8)
            np.savez_compressed(file, allow_pickle=False, head=text, **arrays)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            Path(temporary).unlink(missing_ok=True)


def read_rays(name_or_path: str | Path) -> RaySet:
    """A file of rays, or a set that ships with the package by its name.

    `ValueError` in one line for what is missing, truncated, damaged or something else, and for values that are not
    finite or out of range (`channels.raytraced.ray_checks`). What was read is kept, and read anew when the file
    changes.
    """
    given = str(name_or_path)
    path = Path(name_or_path)
    if path.suffix != _SUFFIX:
        shipped = shipped_sets()
        if given not in shipped:
            raise unknown_name("rays", given, [*shipped, f"FILE{_SUFFIX}"])
        path = shipped[given]
    status = check_regular(path)
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _read(path: Path, modified_ns: int, size: int) -> RaySet:
    try:
        arrays = read_arrays(path)
    except ValueError as error:
        raise _bad(path, f"truncated or not a numpy archive: {error}") from None
    head = _head(path, arrays)
    for name in ARRAYS:
        dtype, shape = _LAYOUT[name]
        array = arrays.get(name)
        if array is None:
            raise _bad(path, f"no array {name}")
        fits = len(array.shape) == len(shape)
        fits = fits and all(length in (None, own) for length, own in zip(shape, array.shape, strict=True))
        if array.dtype != np.dtype(dtype) or not fits:
            raise _bad(path, f"array {name} is {array.dtype} {array.shape}")
    num_positions, num_rays = len(arrays["positions_m"]), len(arrays["delays_s"])
    first = arrays["first"]
    well_formed = (
        len(first) == num_positions + 1
        and len(arrays["headings_rad"]) == num_positions
        and first[0] == 0
        and first[-1] == num_rays
        and not (np.diff(first) < 0).any()
        and all(len(arrays[name]) == num_rays for name in _PER_RAY)
        and arrays["vertices_m"].shape[:2] == arrays["interactions"].shape
    )
    if not well_formed:
        raise _bad(path, "arrays that do not belong together")
    rays = RaySet(
        carrier_frequency_hz=head["carrier_frequency_hz"],
        details=head["details"],
        **{name: arrays[name] for name in ARRAYS},
    )
    if rays.content_sha256 != head["content_sha256"]:
        raise _bad(path, "numbers that do not match their hash")
    check_rays(str(path), rays)
    return rays


def _head(path: Path, arrays: dict[str, Any]) -> dict[str, Any]:
    try:
        head = parse_json(bytes(arrays["head"]))
        if head["format"] != FORMAT:
            raise KeyError("format")
        version = int(head["format_version"])
        found = {
            "carrier_frequency_hz": float(head["carrier_frequency_hz"]),
            "content_sha256": str(head["content_sha256"]),
            "details": dict(head["details"]),
        }
    except (KeyError, TypeError, ValueError, OverflowError):
        raise _bad(path, "no head that says what it is") from None
    if version != FORMAT_VERSION:
        raise _bad(path, f"version {version} of the format")
    return found


def _bad(path: Path, why: str) -> ValueError:
    text = " ".join(why.split())
    return ValueError(f"{path}: got {text}; allowed: a file as `ran data rays` writes it, version {FORMAT_VERSION}")
