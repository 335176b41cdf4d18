"""Received grids in arrays of NumPy, MATLAB and HDF5 files."""

from __future__ import annotations

import math
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from channels.files import MOST_BYTES, read_arrays
from channels.matlab_file import IsHdf5, read_matlab
from ran.config.doors import check_regular
from ran.errors import InputError, bad_value, unknown_name
from ran.recordings.config import DecodeConfig
from ran.recordings.slot import RecordedSlot, Recording

#: What .npy files begin with.
_NUMPY = b"\x93NUMPY"
#: Endings of such files.
SUFFIXES = (".npy", ".npz", ".mat", ".h5", ".hdf5")


def read_grids(path: Path, config: DecodeConfig) -> Recording:
    """Slots of an array of grids, of a truncated .npy file the whole ones. Further arrays are passed over."""
    cut = _whole_rows(path) if path.suffix == ".npy" else None
    arrays = _arrays(path) if cut is None else {path.stem: cut[0]}
    name, array = _chosen(path, arrays, config)
    whole = array if cut is None else np.broadcast_to(np.zeros((), array.dtype), (cut[1], *array.shape[1:]))
    axes = _axes(f"{path}: {name}", whole, config)
    problems = []
    if cut is not None:
        what = f"truncated, holds {len(array)} of {cut[1]} along its first axis"
        if axes[0] != "slot":
            raise InputError(f"{path}: cannot be read: {what}; allowed: whole files, or slots along the first axis")
        problems.append(f"{path.name}: {what}")
    array = array.astype(np.complex128 if np.iscomplexobj(array) else np.float64)
    if "iq" in axes:
        array = np.moveaxis(array, axes.index("iq"), -1)
        array, axes = array[..., 0] + 1j * array[..., 1], [axis for axis in axes if axis != "iq"]
    # [slot, antenna, symbol, subcarrier]
    wanted = ("slot", "antenna", "symbol", "subcarrier")
    for axis in wanted[:2]:
        if axis not in axes:
            array, axes = array[None], [axis, *axes]
    array = array.transpose([axes.index(axis) for axis in wanted])
    carrier = config.carrier
    slots = []
    for index, stored in enumerate(array):
        with np.errstate(over="ignore"):  # numbers beyond float32 are infinite from here on
            grid = np.ascontiguousarray(stored, np.complex64)
        number = (carrier.slot_number + index * config.slot_step) % (10 * 2**carrier.numerology)
        if not np.isfinite(grid).all():
            problems.append(f"{path.name}: slot {index}: left out, as it holds NaN or infinity")
            continue
        slots.append(RecordedSlot(f"slot {index}", number, grid))
    return Recording("grid", slots, problems, [f"array {name!r} with the axes {' '.join(wanted)}"])


def _whole_rows(path: Path) -> tuple[NDArray[Any], int] | None:
    """What a .npy file that is cut off holds along its first axis, and how much that should be; None where all is
    there, or where no such file begins."""
    check_regular(path, MOST_BYTES)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        with path.open("rb") as file:
            shape, is_fortran, dtype = read_header[np.lib.format.read_magic(file)](file)
            if is_fortran or dtype.hasobject or len(shape) < 2 or not min(shape) or not dtype.itemsize:
                return None
            row = dtype.itemsize * math.prod(shape[1:])
            there = (path.stat().st_size - file.tell()) // row
            if not 0 < there < shape[0]:
                return None
            values = np.frombuffer(file.read(there * row), dtype).reshape(there, *shape[1:])
    except (OSError, ValueError, KeyError):
        return None  # reading it as a whole says why
    return values, shape[0]


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays of a file by name."""
    check_regular(path, MOST_BYTES)
    try:
        if path.suffix == ".npy":
            if _first_bytes(path, len(_NUMPY)) != _NUMPY:
                raise ValueError("no NumPy file")
            # mapped first: a size that the file does not hold is refused before there is memory for it
            return {path.stem: np.array(np.load(path, mmap_mode="r", allow_pickle=False))}
        if path.suffix == ".npz":
            return read_arrays(path)
        return _matlab(path) if path.suffix == ".mat" else _hdf5(path, turned=False)
    except InputError:
        raise
    except Exception as error:  # scipy and h5py tell damage by errors of every kind
        why = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: cannot be read: {why}; allowed: {', '.join(SUFFIXES)}") from None


def _first_bytes(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)


def _matlab(path: Path) -> dict[str, NDArray[Any]]:
    try:
        return read_matlab(path, most_bytes=MOST_BYTES)
    except IsHdf5:
        return _hdf5(path, turned=True)


def _check_total(unpacked: int) -> None:
    if unpacked > MOST_BYTES:
        raise ValueError(f"got {unpacked} bytes unpacked; allowed: up to {MOST_BYTES}")


def _hdf5(path: Path, turned: bool) -> dict[str, NDArray[Any]]:
    """turned: MATLAB stores the first axis last."""
    import h5py

    found: dict[str, NDArray[Any]] = {}
    total = 0

    def take(name: str, item: Any) -> None:
        nonlocal total
        if isinstance(item, h5py.Dataset) and not name.startswith("#"):
            total += item.size * item.dtype.itemsize
            _check_total(total)
            value = item[()]
            if isinstance(value, np.ndarray):
                names = value.dtype.names
                if names and len(names) == 2:
                    value = value[names[0]] + 1j * value[names[1]]
                found[name] = value.T if turned else value

    with h5py.File(path, "r") as file:
        file.visititems(take)
    return found


def _chosen(path: Path, arrays: dict[str, NDArray[Any]], config: DecodeConfig) -> tuple[str, NDArray[Any]]:
    name = config.grid.variable
    if name is not None:
        if name not in arrays:
            raise unknown_name(f"{path}: grid.variable", name, arrays)
        return name, arrays[name]
    width = config.carrier.num_subcarriers
    fitting = {k: v for k, v in arrays.items() if width in v.shape and np.issubdtype(v.dtype, np.number)}
    if not fitting:
        shapes = ", ".join(f"{k} {list(v.shape)}" for k, v in arrays.items()) or "no arrays"
        raise InputError(f"{path}: got {shapes}; allowed: an array with an axis of {width} subcarriers")
    best = max(fitting, key=lambda k: (np.iscomplexobj(fitting[k]), fitting[k].size))
    return best, fitting[best]


def _axes(what: str, array: NDArray[Any], config: DecodeConfig) -> list[str]:
    """Word of every axis, as configured or by its size."""
    carrier = config.carrier
    sizes = {"subcarrier": carrier.num_subcarriers, "symbol": carrier.num_symbols, "antenna": config.num_rx_ant}
    iq = [] if np.iscomplexobj(array) else ["iq"]
    sizes["iq"] = 2
    if config.grid.axes is not None:
        words = config.grid.axes.split()
        needed = {"symbol", "subcarrier", *iq}
        if len(words) != array.ndim or not needed <= set(words) or ("iq" in words) != bool(iq):
            raise bad_value(
                f"{what}: grid.axes", config.grid.axes, f"{array.ndim} words with {', '.join(sorted(needed))}"
            )
        for word, size in zip(words, array.shape, strict=True):
            if sizes.get(word) not in (None, size):
                raise bad_value(f"{what}: {word}", size, f"{sizes[word]}")
        return words
    extra = [w for w in ("antenna", "slot") if w == "slot" or config.num_rx_ant != 1]
    base = ["symbol", "subcarrier", *iq]
    choices = []
    for count in range(len(extra) + 1):
        words = base + extra[:count] if array.ndim == len(base) + count else []
        choices += [
            order
            for order in permutations(words)
            if words and all(sizes.get(w) in (None, n) for w, n in zip(order, array.shape, strict=True))
        ]
    if len(choices) != 1:
        found = "no way" if not choices else f"{len(choices)} ways"
        raise InputError(
            f"{what}: got the shape {list(array.shape)}, which fits {carrier.num_symbols} symbols and "
            f"{carrier.num_subcarriers} subcarriers in {found}; allowed: grid.axes, for example 'slot antenna symbol "
            "subcarrier', and num_rx_ant"
        )
    return list(choices[0])


def write_grids(path: Path, grids: NDArray[np.complexfloating]) -> None:
    """Grids [slots, num_rx_ant, num_symbols, subcarriers] as .npy, .npz, .mat or .h5: array `grids`, in MATLAB's order
    the axes subcarrier, symbol, antenna, slot."""
    try:
        if path.suffix == ".npy":
            np.save(path, grids)
        elif path.suffix == ".npz":
            np.savez(path, grids=grids)
        elif path.suffix == ".mat":
            from scipy.io import savemat

            savemat(path, {"grids": grids.T})
        elif path.suffix in (".h5", ".hdf5"):
            from ran.datasets.sparse_file import new_hdf5

            with new_hdf5(path) as file:
                file["grids"] = grids
        else:
            raise bad_value("grids", path.suffix, ", ".join(SUFFIXES))
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
