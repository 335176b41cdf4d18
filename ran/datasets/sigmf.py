"""Recordings of waveforms in SigMF: NAME.sigmf-data with the samples, NAME.sigmf-meta with what they are.

Source: the Signal Metadata Format Specification, version 1.2 (sigmf.org).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ran import __version__
from ran.config.doors import parse_json, read_bytes, read_text
from ran.errors import InputError, bad_value
from ran.sim.files import write_text

SPECIFICATION = "1.2.6"
_DATA, _META = ".sigmf-data", ".sigmf-meta"
_DATATYPE = "cf32_le"
#: What other programs write: complex numbers as pairs, by their type in NumPy.
_DATATYPES = {
    _DATATYPE: "<f4",
    "cf32_be": ">f4",
    "cf64_le": "<f8",
    "cf64_be": ">f8",
    "ci32_le": "<i4",
    "ci32_be": ">i4",
    "ci16_le": "<i2",
    "ci16_be": ">i2",
    "ci8": "i1",
    "cu16_le": "<u2",
    "cu16_be": ">u2",
    "cu8": "u1",
}
#: Largest file of samples that is read.
_MOST_BYTES = 4 * 2**30


@dataclass(frozen=True)
class Annotation:
    """A stretch of a recording: first sample, number of samples, a short label and a comment."""

    start: int
    count: int
    label: str
    comment: str = ""


@dataclass(frozen=True)
class Recording:
    """Complex baseband samples and what they are.

    samples [num_samples] or [num_channels, num_samples] complex64. sample_rate_hz: of each channel.
    frequency_hz: what 0 Hz of the baseband stands for. extra: more values of the recording, plain JSON values; they are
    written under names of our own, `ran6g:NAME`.
    """

    samples: NDArray[np.complex64]
    sample_rate_hz: float
    frequency_hz: float = 0.0
    description: str = ""
    annotations: Sequence[Annotation] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sample_rate_hz) and self.sample_rate_hz > 0):
            raise bad_value("sample_rate_hz", self.sample_rate_hz, "a finite number above 0")
        if not math.isfinite(self.frequency_hz):
            raise bad_value("frequency_hz", self.frequency_hz, "a finite number")
        shape = self.samples.shape
        if len(shape) not in (1, 2) or not self.samples.size:
            raise bad_value("samples", list(shape), "[num_samples] or [num_channels, num_samples], not empty")
        if not np.isfinite(self.samples.view(np.float32) if self.samples.dtype == np.complex64 else [np.nan]).all():
            raise InputError(f"samples: got {self.samples.dtype} or non-finite numbers; allowed: finite complex64")
        for note in self.annotations:
            if not 0 <= note.start < note.start + note.count <= shape[-1]:
                span = f"{note.start} + {note.count}"
                raise bad_value(f"annotation {note.label!r}", span, f"samples within 0 to {shape[-1]}")


def write_sigmf(path: Path, recording: Recording) -> tuple[Path, Path]:
    """Write NAME.sigmf-data, then NAME.sigmf-meta; returns both paths. `path` may end in either suffix or in none.

    Channels are interleaved sample by sample. The metadata hold the SHA-512 of the samples.
    """
    data_path, meta_path = _paths(path)
    # [num_samples, num_channels]
    interleaved = np.atleast_2d(recording.samples).T.astype("<c8", order="C")
    try:
        interleaved.tofile(data_path)
    except OSError as error:
        raise InputError(f"{data_path}: cannot be written: {error.strerror or error}") from None
    described: dict[str, Any] = {
        "core:datatype": _DATATYPE,
        "core:version": SPECIFICATION,
        "core:sample_rate": recording.sample_rate_hz,
        "core:num_channels": interleaved.shape[1],
        "core:sha512": hashlib.sha512(interleaved.data).hexdigest(),
        "core:recorder": f"ran6g {__version__}",
    }
    if recording.description:
        described["core:description"] = recording.description
    if recording.extra:
        described["core:extensions"] = [{"name": "ran6g", "version": __version__, "optional": True}]
        described |= {f"ran6g:{name}": value for name, value in recording.extra.items()}
    meta = {
        "global": described,
        "captures": [{"core:sample_start": 0, "core:frequency": recording.frequency_hz}],
        "annotations": [_annotation(note) for note in sorted(recording.annotations, key=lambda note: note.start)],
    }
    write_text(meta_path, json.dumps(meta, indent=2) + "\n")
    return data_path, meta_path


def _annotation(note: Annotation) -> dict[str, Any]:
    values: dict[str, Any] = {
        "core:sample_start": note.start,
        "core:sample_count": note.count,
        "core:label": note.label,
    }
    return values | ({"core:comment": note.comment} if note.comment else {})


def read_sigmf(path: Path) -> Recording:
    """A recording of complex samples, ours or another program's. InputError for what is not one, or damaged."""
    recording, problems = read_with_problems(path)
    if problems:
        raise InputError(problems[0])
    return recording


def read_with_problems(path: Path) -> tuple[Recording, list[str]]:
    """The same with what is damaged as lines: samples are cut where the file ends. InputError for what is no recording.

    Samples are complex numbers of any SigMF datatype; whole numbers keep their value, those without sign are centred.
    """
    data_path, meta_path = _paths(path)
    text = read_text(meta_path, kind="SigMF 1.x")
    try:
        meta = parse_json(text, "core")
        described, captures = meta["global"], meta["captures"]
        datatype, rate = described["core:datatype"], float(described["core:sample_rate"])
        channels = int(described.get("core:num_channels", 1))
        notes = tuple(
            Annotation(
                int(note["core:sample_start"]),
                int(note.get("core:sample_count", 1)),
                str(note.get("core:label", "")),
                str(note.get("core:comment", "")),
            )
            for note in meta.get("annotations", ())
        )
        frequency = float(captures[0].get("core:frequency", 0.0)) if captures else 0.0
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        why = " ".join(str(error).split())
        raise InputError(f"{meta_path}: no SigMF metadata: {why}; allowed: SigMF 1.x") from None
    if datatype not in _DATATYPES:
        raise bad_value(f"{meta_path}: core:datatype", datatype, ", ".join(_DATATYPES))
    stored = np.dtype(_DATATYPES[datatype])
    problems: list[str] = []
    raw = read_bytes(data_path, _MOST_BYTES)
    if channels < 1:
        raise bad_value(f"{meta_path}: core:num_channels", channels, "1 or more")
    unit = 2 * stored.itemsize * channels
    if len(raw) % unit or not raw:
        problems.append(f"{data_path}: got {len(raw)} bytes; allowed: a multiple of {unit}, is it truncated?")
    if len(raw) < unit:
        raise InputError(problems[0])
    expected = described.get("core:sha512")
    if expected is not None and hashlib.sha512(raw).hexdigest() != expected:
        problems.append(f"{data_path}: damaged: the samples do not match core:sha512; allowed: the file as written")
    numbers = np.frombuffer(raw[: len(raw) - len(raw) % unit], stored).reshape(-1, channels, 2)
    pairs = np.ascontiguousarray(numbers.swapaxes(0, 1), np.float32)
    if stored.kind == "u":
        pairs -= 2.0 ** (8 * stored.itemsize - 1) - 0.5
    samples = pairs.view(np.complex64)[..., 0]
    extra = {name.removeprefix("ran6g:"): value for name, value in described.items() if name.startswith("ran6g:")}
    held = tuple(note for note in notes if note.start + note.count <= samples.shape[1])
    if len(held) < len(notes) and not problems:
        problems.append(f"{data_path}: got annotations beyond {samples.shape[1]} samples; allowed: within the samples")
    recording = Recording(
        samples[0] if channels == 1 else samples,
        rate,
        frequency,
        str(described.get("core:description", "")),
        held,
        extra,
    )
    return recording, problems


def _paths(path: Path) -> tuple[Path, Path]:
    base = path.with_suffix("") if path.suffix in (_DATA, _META) else path
    return base.with_name(base.name + _DATA), base.with_name(base.name + _META)
