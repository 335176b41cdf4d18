"""What is in a data set, on one screen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ran.counted import counted
from ran.datasets.container import Container, content_hash, open_container, reading
from ran.datasets.field import Field
from ran.datasets.header import Header


def facts(path: Path) -> dict[str, dict[str, str]]:
    """What it is, its arrays, and where it is from, in words. InputError for what is no data set."""
    container = open_container(path)
    try:
        with reading(path):
            return {"about": _what(container), "arrays": _arrays(container.header), "origin": _whence(container)}
    finally:
        container.close()


def in_lines(found: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Lines of text, a blank one between the parts."""
    parts = [_aligned(rows) for rows in found.values()]
    return [line for number, part in enumerate(parts) for line in (*([""] if number else []), *part)]


def _what(container: Container) -> dict[str, str]:
    header = container.header
    written = container.written()
    state = "finished" if written.all() else f"UNFINISHED, {int(written.sum())} of {len(written)} chunks"
    size = header.num_drops * header.drop_bytes
    disk = _disk_bytes(container.path)
    rows = {
        "data set": f"{header.attrs['name']}: {counted(header.num_drops, 'drop')} of {header.attrs['kind']}, {state}",
        "size": f"{size / 1e6:.1f} MB of numbers, {disk / 1e6:.1f} MB on disk ({disk / size:.2f}), "
        f"{counted(header.num_chunks, 'chunk')} of {counted(header.chunk_drops, 'drop')}",
        "splits": _splits(header),
    }
    if "esn0_db" in header.tables:
        esn0_db = header.tables["esn0_db"].array
        points = np.unique(esn0_db)
        shown = ", ".join(f"{p:g}" for p in points) if len(points) <= 8 else f"{points[0]:g} to {points[-1]:g}"
        rows["Es/N0"] = f"{shown} dB" + (f" ({len(points)} values)" if len(points) > 8 else "")
    if "tx_power_dbm" in header.tables:
        powers = np.unique(header.tables["tx_power_dbm"].array)
        low, middle, high = np.nanquantile(header.tables["received_esn0_db"].array, [0.05, 0.5, 0.95])
        rows["link budget"] = (
            f"{', '.join(f'{p:g}' for p in powers[:8])} dBm; received Es/N0 {low:.1f}, {middle:.1f} and {high:.1f} dB "
            "(5, 50 and 95 %)"
        )
    return rows


def _splits(header: Header) -> str:
    split, site = header.tables["split"].array, header.tables["site"].array
    names = header.json("split_names")
    counts = [
        f"{name} {int((split == i).sum())} drops at {len(np.unique(site[split == i]))} sites"
        for i, name in enumerate(names)
    ]
    return " · ".join(counts)


def _arrays(header: Header) -> dict[str, str]:
    def line(field: Field) -> tuple[str, str]:
        axes = " x ".join(f"{axis} {size}" for axis, size in zip(field.axes, field.shape, strict=True))
        kind = np.dtype(field.dtype).name if field.encoding == "plain" else field.encoding
        return field.name, f"[drop{' x ' + axes if axes else ''}] {kind} · {field.description}"

    rows = dict(line(field) for field in header.fields)
    for name, table in sorted(header.tables.items()):
        axes = " x ".join(f"{axis} {size}" for axis, size in zip(table.axes, table.array.shape, strict=True))
        unit = f", {table.unit}" if table.unit else ""
        rows[name] = f"[{axes}] {table.array.dtype.name}{unit} · {table.description}"
    return rows


def _whence(container: Container) -> dict[str, str]:
    header = container.header
    physics = header.json("identity")["physics"]
    versions = ", ".join(f"{name} {version}" for name, version in header.json("versions").items())
    rows = {
        "channel": _inline(physics["channel"]),
        "scenario": str(header.attrs["stream_id"]) + f", seed {header.attrs['seed']}",
        "content": content_hash(container),
        "conventions": str(header.attrs["conventions"]),
        "versions": versions,
    }
    return rows


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join([str(value.get("name", ""))] + [f"{k}={v}" for k, v in value.items() if k != "name"])
    return "; ".join(_inline(item) for item in value)


def _aligned(rows: Mapping[str, str]) -> list[str]:
    width = max(map(len, rows))
    return [f"{name:{width}}  {value}" for name, value in rows.items()]


def _disk_bytes(path: Path) -> int:
    """Space taken: reserved space that nothing was written to does not count."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(file.stat().st_blocks * 512 for file in files)
