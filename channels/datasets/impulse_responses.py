"""Impulse responses between antenna pairs of many links, as another program computed them, in a file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from channels.files import check_regular, parse_json, read_arrays
from channels.value_checks import check_delays, check_values

FORMAT, FORMAT_VERSION = "ran6g impulse responses", 1
_ARRAYS = {"gains": np.complex64, "delays_s": np.float32, "places": np.int64}


@dataclass(frozen=True)
class ImpulseResponses:
    """Taps between all antennas of base stations and users.

    gains complex64 [num_links, base_antennas, user_antennas, num_taps]: zeros where a pair has fewer taps.
    delays_s float32 of the same shape: of every pair its own.
    places int64 [num_links, 3]: time, base station and user of a link, by the other program's numbers.
    details: where they come from, plain values.
    """

    gains: NDArray[np.complex64]
    delays_s: NDArray[np.float32]
    places: NDArray[np.int64]
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def num_links(self) -> int:
        return len(self.gains)

    @cached_property
    def content_sha256(self) -> str:
        """Of all arrays: what a channel depends on."""
        digest = hashlib.sha256()
        for name, dtype in _ARRAYS.items():
            digest.update(np.ascontiguousarray(getattr(self, name), dtype).tobytes())
        return digest.hexdigest()


def write_impulse_responses(path: Path, responses: ImpulseResponses) -> None:
    """Write an npz file; it is there as a whole or not at all. `ValueError` for what could not be read again."""
    check_responses(str(path), responses)
    head = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "content_sha256": responses.content_sha256,
        "details": dict(responses.details),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            arrays: dict[str, NDArray[Any]] = {
                name: np.asarray(getattr(responses, name), dtype) for name, dtype in _ARRAYS.items()
            }
            text = np.frombuffer(json.dumps(head, sort_keys=True).encode(), np.uint8)
            np.savez_compressed(file, allow_pickle=False, head=text, **arrays)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            Path(temporary).unlink(missing_ok=True)


def read_impulse_responses(path: str | Path) -> ImpulseResponses:
    """A file that `write_impulse_responses` wrote; `ValueError` in one line for anything else."""
    file = Path(path)
    status = check_regular(file)
    return _read(file, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _read(path: Path, modified_ns: int, size: int) -> ImpulseResponses:
    try:
        arrays: dict[str, Any] = read_arrays(path, ("head", *_ARRAYS))
        head = parse_json(bytes(arrays.pop("head")))
        known = (head["format"], head["format_version"]) == (FORMAT, FORMAT_VERSION)
        responses = ImpulseResponses(**arrays, details=head["details"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _bad(path, f"truncated or something else: {error}") from None
    shape = responses.gains.shape
    fits = len(shape) == 4 and responses.delays_s.shape == shape and responses.places.shape == (shape[0], 3)
    if not known or not fits or any(arrays[name].dtype != dtype for name, dtype in _ARRAYS.items()):
        raise _bad(path, "arrays that do not belong together, or another version")
    if head["content_sha256"] != responses.content_sha256:
        raise _bad(path, "numbers that do not match their hash")
    check_responses(str(path), responses)
    return responses


def check_responses(source: str, responses: ImpulseResponses) -> None:
    """`ValueError` of one line that names source, field and value unless gains are finite, delays in their range, and
    every link has a tap."""
    check_values(source, "gains", responses.gains)
    check_delays(source, "delays_s", responses.delays_s)
    silent = np.flatnonzero(~responses.gains.any(axis=(1, 2, 3)))
    if len(silent) or not responses.num_links:
        what = f"gains[{silent[0]}]: got no tap but zeros" if len(silent) else "gains: got no links"
        raise ValueError(f"{source}: {what}; allowed: links with at least one tap")


def _bad(path: Path, why: str) -> ValueError:
    text = " ".join(why.split())
    return ValueError(f"{path}: got {text}; allowed: impulse responses as `ran data rays` writes them")
