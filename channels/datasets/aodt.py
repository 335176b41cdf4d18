"""Impulse responses of NVIDIA's Aerial Omniverse Digital Twin (AODT), from the folder of its Parquet tables.

Source: the user guide's tables of the results (docs.nvidia.com/aerial: AODT 1.0 "Additional information", 1.5 "Results
schemas"). Read is the table `cirs`, one row per time, radio unit, user and pair of antenna elements: time_idx, ru_id,
ue_id; ru_ant_el and ue_ant_el, three numbers of the element in its panel; and lists of the same length cir_re, cir_im
and cir_delay, the delay in seconds. Elements become ports in ascending order of their three numbers.

`cirs.parquet` is a file, or a folder of parts as other writers of Parquet leave it. Delays that are negative or beyond
a millisecond are refused: they are in another unit than seconds. The guide does not say at what frequency phases are;
they are taken to be at the carrier. Needs pyarrow.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from channels.datasets.impulse_responses import ImpulseResponses
from channels.errors import bad_value
from channels.files import MOST_BYTES, check_regular
from channels.value_checks import check_delays, check_values

TABLE = "cirs.parquet"
#: Largest number of a tap: its power is finite in float32.
_LARGEST = 1e18
_COLUMNS = ("time_idx", "ru_id", "ue_id", "ru_ant_el", "ue_ant_el", "cir_re", "cir_im", "cir_delay")
#: Most rows of the table: pairs of antenna elements of all links.
_MOST_ROWS = 20_000_000
_ALLOWED = "a folder of AODT's tables with cirs.parquet"


def aodt_folder(path: Path) -> Path | None:
    """The folder of AODT's tables that a path means: itself, or the one that holds the table `cirs.parquet` that it is.

    None for anything else.
    """
    if (path / TABLE).exists():
        return path
    return path.parent if path.name == TABLE and path.exists() else None


def read_aodt(folder: Path) -> ImpulseResponses:
    """All links of a folder that have taps. `ValueError` in one line for what is missing, damaged or out of range."""
    rows = _rows(folder)
    for name in ("time_idx", "ru_id", "ue_id"):
        for number, value in enumerate(rows[name]):
            if isinstance(value, bool) or not isinstance(value, int):
                raise bad_value(f"{folder / TABLE}: row {number}: {name}", value, "a whole number")
    elements = {name: sorted({_element(folder, value) for value in rows[name]}) for name in ("ru_ant_el", "ue_ant_el")}
    places = sorted(set(zip(rows["time_idx"], rows["ru_id"], rows["ue_id"], strict=True)))
    index = {place: number for number, place in enumerate(places)}
    most = max((len(taps) for taps in rows["cir_re"]), default=0)
    if not most:
        raise ValueError(f"{folder / TABLE}: got no taps; allowed: {_ALLOWED}")
    shape = (len(places), len(elements["ru_ant_el"]), len(elements["ue_ant_el"]))
    if math.prod(shape) * most * 12 > MOST_BYTES:
        raise ValueError(
            f"{folder / TABLE}: got {shape[0]} links of {shape[1]} x {shape[2]} elements and {most} taps; allowed: up "
            f"to {MOST_BYTES} bytes"
        )
    gains, delays = np.zeros((*shape, most), np.complex64), np.zeros((*shape, most), np.float32)
    seen = np.zeros(shape, bool)
    for number in range(len(rows["cir_re"])):
        where_from = f"{folder / TABLE}: row {number}"
        names = ("cir_re", "cir_im", "cir_delay")
        real, imaginary, delay = (_numbers(where_from, name, rows[name][number]) for name in names)
        check_delays(where_from, "cir_delay", delay)
        if not len(real) == len(imaginary) == len(delay):
            lengths = f"{len(real)}, {len(imaginary)} and {len(delay)} numbers"
            raise ValueError(f"{folder / TABLE}: row {number}: got {lengths}; allowed: lists of the same length")
        where = (
            index[rows["time_idx"][number], rows["ru_id"][number], rows["ue_id"][number]],
            elements["ru_ant_el"].index(_element(folder, rows["ru_ant_el"][number])),
            elements["ue_ant_el"].index(_element(folder, rows["ue_ant_el"][number])),
        )
        if seen[where]:
            raise ValueError(f"{folder / TABLE}: row {number}: got a pair of elements twice; allowed: once per link")
        seen[where] = True
        gains[where][: len(real)] = real + 1j * imaginary
        delays[where][: len(real)] = delay
    _check_whole(folder, seen, places)
    there = np.flatnonzero(np.abs(gains).max(axis=(1, 2, 3)) > 0)
    if not len(there):
        raise ValueError(f"{folder / TABLE}: got taps that are all 0; allowed: {_ALLOWED}")
    details = {"program": "AODT", "folder": folder.name, "links_without_taps": len(places) - len(there)}
    return ImpulseResponses(gains[there], delays[there], np.array(places, np.int64)[there], details)


def _check_whole(folder: Path, seen: NDArray[np.bool_], places: list[tuple[int, int, int]]) -> None:
    counts = seen.sum(axis=(1, 2))
    if not seen.all():
        place, most = places[int(counts.argmin())], seen[0].size
        raise ValueError(
            f"{folder / TABLE}: time {place[0]}, radio unit {place[1]}, user {place[2]}: got {counts.min()} pairs of "
            f"elements; allowed: {most}, all of them in every link"
        )


def _rows(folder: Path) -> dict[str, list[Any]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ValueError("pyarrow: not installed; allowed: after pip install 'ran6g[aodt]'") from None
    path, unpacked = folder / TABLE, 0
    try:
        # a folder holds parts of the table
        for part in sorted(path.rglob("*.parquet")) if path.is_dir() else [path]:
            check_regular(part)
            head = parquet.read_metadata(part)
            unpacked += sum(head.row_group(number).total_byte_size for number in range(head.num_row_groups))
            if unpacked > MOST_BYTES or head.num_rows > _MOST_ROWS:
                raise ValueError(
                    f"{part}: got {head.num_rows} rows, {unpacked} bytes unpacked; allowed: {_MOST_ROWS}, {MOST_BYTES}"
                )
        table = parquet.read_table(path)
    except UnicodeDecodeError:
        raise ValueError(f"{path}: damaged: names of columns are no UTF-8; allowed: {_ALLOWED}") from None
    except OSError as error:
        why = error.strerror or " ".join(str(error).split())
        raise ValueError(f"{path}: cannot be read: {why}; allowed: {_ALLOWED}") from None
    except pyarrow.ArrowException as error:
        raise ValueError(f"{path}: damaged: {' '.join(str(error).split())}; allowed: {_ALLOWED}") from None
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if missing:
        raise ValueError(f"{path}: got no column {', '.join(missing)}; allowed: {_ALLOWED}")
    try:
        return {name: table.column(name).to_pylist() for name in _COLUMNS}
    except UnicodeDecodeError:
        raise ValueError(f"{path}: damaged: got text that is no UTF-8; allowed: {_ALLOWED}") from None


def _element(folder: Path, value: Any) -> tuple[int, ...]:
    """The numbers of an element: a list, or a struct whose fields are in order, as ClickHouse's tuples become."""
    numbers = list(value.values()) if isinstance(value, dict) else value
    try:
        found = tuple(int(number) for number in numbers)
    except (TypeError, ValueError):
        raise ValueError(f"{folder / TABLE}: got the element {value!r}; allowed: whole numbers") from None
    return found


def _numbers(source: str, name: str, value: Any) -> NDArray[np.float64]:
    try:
        numbers = np.asarray([] if value is None else value, np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise bad_value(f"{source}: {name}", value, "a list of finite numbers") from None
    return check_values(source, name, numbers, -_LARGEST, _LARGEST)
