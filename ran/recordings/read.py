"""Recordings by their format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ran.errors import InputError
from ran.recordings.config import DecodeConfig, Format
from ran.recordings.grids import SUFFIXES, read_grids
from ran.recordings.slot import Recording

_BY_SUFFIX: dict[str, Format] = {
    ".sigmf-data": "sigmf",
    ".sigmf-meta": "sigmf",
    ".sigmf": "sigmf",
    ".txt": "text",
    ".hex": "text",
    ".log": "text",
    ".dump": "text",
    ".csv": "text",
    ".pcap": "pcap",
    ".pcapng": "pcap",
    ".cap": "pcap",
    ".parquet": "data-lake",
    **dict.fromkeys(SUFFIXES, "grid"),
}


def format_of(path: Path, config: DecodeConfig) -> Format:
    """Format of a recording, as configured or by its name. `InputError` for a name that says nothing."""
    if config.format is not None:
        return config.format
    if path.is_dir():
        return "data-lake"
    if path.suffix.lower() in _BY_SUFFIX:
        return _BY_SUFFIX[path.suffix.lower()]
    if path.with_name(path.name + ".sigmf-meta").is_file():
        return "sigmf"
    raise InputError(
        f"{path}: got a recording of unknown format; allowed: names that end in {', '.join(_BY_SUFFIX)}, or format: "
        "sigmf, text, pcap, data-lake, grid in the configuration"
    )


def read(path: Path, config: DecodeConfig) -> Recording:
    """Slots of a recording, and what is wrong with parts of it. `InputError` where there is nothing to decode."""
    chosen = format_of(path, config)
    if chosen != "sigmf" and not path.exists():
        raise InputError(f"{path}: got no such file; allowed: a recording")
    recording = _reader(chosen)(path, config)
    if not recording.slots:
        why = f": {recording.problems[0]}" if recording.problems else ""
        raise InputError(f"{path}: got no whole slot{why}; allowed: a recording of one slot or more")
    if config.conjugate and chosen != "sigmf":
        # samples are turned before they are demodulated
        recording = replace(recording, slots=[replace(slot, grid=slot.grid.conj()) for slot in recording.slots])
    return recording


def _reader(chosen: Format) -> Callable[[Path, DecodeConfig], Recording]:
    if chosen == "sigmf":
        from ran.recordings.time_domain import read_samples

        return read_samples
    if chosen == "text":
        from ran.recordings.text import read_text

        return read_text
    if chosen == "pcap":
        from ran.recordings.packets import read_packets

        return read_packets
    if chosen == "data-lake":
        from ran.recordings.data_lake import read_data_lake

        return read_data_lake
    return read_grids
