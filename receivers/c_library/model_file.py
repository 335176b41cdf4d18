"""Model files of the C library: what a receiver computes once per kind of slot, and weights, as named arrays.

A file is for one allocation. Layout, all little-endian: magic "RAN6GRX\\0", version and number of arrays (uint32), size
of the file (uint64), checksum of all that follows (uint64, CRC-32 as zlib has it); per array 64 bytes: name (40), type
(uint32: 0 float32, 1 int32, 2 float64), 0 (uint32), offset and count (uint64); then the arrays, each at a multiple of
64 bytes.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaincinv

from receivers.c_library.network_arrays import Precision, first_receiver, network_arrays, soft_pilots_of
from receivers.classical.blind import Blind
from receivers.classical.delay_grid import LOBE, CombGrid, grid_of
from receivers.classical.delay_statistics import layer_sets
from receivers.classical.lmmse import _LEAST_POWER, Lmmse
from receivers.classical.time_statistics import _time_hypotheses
from receivers.interface import SlotObservation
from receivers.neural.receiver import NeuralReceiver
from receivers.neural.soft_pilots import NODE_SYMBOLS

MAGIC, VERSION = b"RAN6GRX\0", 1
_TYPES = {"float32": 0, "int32": 1, "float64": 2}
#: What the library takes at most.
MAX_LAYERS, MAX_RX_ANT, MAX_PRB, MAX_GROUPS, MAX_SUBBANDS = 4, 16, 275, 4, 8
DETECTORS = ("lmmse", "ep")
_LMMSE, _BLIND, _SOFT_PILOTS = 0, 1, 2

Arrays = dict[str, NDArray]
#: Readable receivers that the library has.
Readable = Lmmse | Blind | NeuralReceiver


def _require(what: str, value: object, met: bool, allowed: str) -> None:
    if not met:
        raise ValueError(f"{what}: got {value} for the C library; allowed: {allowed}")


def check(receiver: Readable, slot: SlotObservation) -> None:
    """`ValueError` with one line where the library has no such receiver, or cannot work on such slots."""
    if isinstance(receiver, NeuralReceiver):
        _require("layers", slot.num_layers, slot.num_layers == 1, "1 with a network")
        symbols = slot.data_mask.shape[0]
        _require("OFDM symbols", symbols, symbols % NODE_SYMBOLS == 0, f"multiples of {NODE_SYMBOLS} with a network")
        receiver = first_receiver(soft_pilots_of(receiver))
    detector = receiver.detector if slot.num_layers > 1 else "lmmse"
    _require("detector", detector, detector in DETECTORS, "lmmse, ep")
    _require("demapper", receiver.demapper, receiver.demapper == "maxlog", "maxlog")
    _require("reject_bursts", "true", not receiver.reject_bursts, "false")
    if isinstance(receiver, Blind):
        _require("noise", receiver.noise, receiver.noise == "white", "white")
        _require("num_reestimations", receiver.num_reestimations, receiver.num_reestimations == 0, "0")
    layout, (num_symbols, num_subcarriers) = slot.layout, slot.data_mask.shape
    groups = layout.symbol_groups
    _require("layers", slot.num_layers, slot.num_layers <= MAX_LAYERS, f"1 to {MAX_LAYERS}")
    _require("receive antennas", slot.y.shape[1], slot.y.shape[1] <= MAX_RX_ANT, f"1 to {MAX_RX_ANT}")
    _require("subcarriers", num_subcarriers, num_subcarriers % 12 == 0, "whole PRBs")
    _require("PRBs", num_subcarriers // 12, num_subcarriers <= 12 * MAX_PRB, f"1 to {MAX_PRB}")
    _require("OFDM symbols", num_symbols, num_symbols <= 14, "1 to 14")
    _require(
        "pilots", "none" if not groups else f"{len(groups)} symbols", 0 < len(groups) <= MAX_GROUPS, "1 to 4 symbols"
    )
    _require("bundle_subcarriers", layout.bundle_subcarriers, layout.bundle_subcarriers is None, "none (uplink)")
    _require("transform_precoding", slot.transform_precoding, not slot.transform_precoding, "false")
    _require("constellation", "points", slot.constellation is None, "QAM")
    modulations = [bits for bits, _ in slot.modulations]
    _require(
        "bits per symbol", modulations, modulations in ([2], [4], [6], [8]), "2, 4, 6 or 8, the same for all layers"
    )
    rows = (slot.pilots.abs() > 0).any(2).any(0).nonzero().flatten().tolist()
    _require("pilots", f"symbols {rows}", rows == sorted(layout.symbols), "DM-RS alone, no PT-RS")
    if isinstance(receiver, Blind):
        _require("DM-RS", "type 2", layout.is_comb, "type 1")
        for first in set(layout.first_subcarrier):
            sets = [s for s in layer_sets(layout, slot.layer_to_user) if layout.first_subcarrier[s[0]] == first]
            _require("layers on the same pilots", f"{len(sets)} users or cover codes over time", len(sets) == 1, "1")
        subbands = len(grid_of(layout, layout.first_subcarrier[0], num_subcarriers, slot.y.device).subbands)
        _require("subbands", subbands, subbands <= MAX_SUBBANDS, f"1 to {MAX_SUBBANDS}")


def model_bytes(receiver: Readable, slot: SlotObservation, precision: Precision = "float32") -> bytes:
    """The model file of a receiver for slots like this one, whose received grid is not looked at.

    precision: of a network, "bfloat16" where what it multiplies may be rounded; of other receivers nothing.
    """
    check(receiver, slot)
    if isinstance(receiver, Lmmse):
        return pack(_common(receiver, slot, _LMMSE) | _lmmse(receiver, slot))
    if isinstance(receiver, Blind):
        return pack(_common(receiver, slot, _BLIND) | _blind(receiver, slot))
    model = soft_pilots_of(receiver)
    first = first_receiver(model)
    networks = network_arrays(model, int(slot.num_dmrs_positions), slot.bits_per_symbol, precision)
    return pack(_common(first, slot, _SOFT_PILOTS) | _blind(first, slot) | networks)


def pack(arrays: Arrays) -> bytes:
    """Arrays float32, int32 or float64 by name as the bytes of a file."""
    entries, parts = b"", b""
    start = 32 + 64 * len(arrays)
    start += -start % 64
    for name, array in arrays.items():
        data = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
        entries += struct.pack("<40sIIQQ", name.encode(), _TYPES[array.dtype.name], 0, start + len(parts), array.size)
        parts += data + bytes(-len(data) % 64)
    body = (entries + bytes(start - 32 - len(entries))) + parts
    head = struct.pack("<8sIIQQ", MAGIC, VERSION, len(arrays), 32 + len(body), zlib.crc32(body))
    return head + body


def _planar(values: NDArray) -> NDArray[np.float32]:
    """Real parts, then imaginary parts."""
    return np.stack([values.real, values.imag]).astype(np.float32)


def _combs(slot: SlotObservation) -> dict[int, int]:
    """Number of every set of pilot subcarriers, by its first, in the order of the layers."""
    return {first: i for i, first in enumerate(dict.fromkeys(slot.layout.first_subcarrier))}


def dmrs_values(slot: SlotObservation) -> NDArray[np.float32]:
    """What the layers send on their pilots, [num_layers, num_dmrs_symbols, num_pilots, 2], as the library takes it."""
    layout, num_subcarriers = slot.layout, slot.data_mask.shape[1]
    rows = slot.pilots[:, list(layout.symbols)].cpu().numpy()
    values = np.stack([row[:, list(layout.subcarriers(i, num_subcarriers))] for i, row in enumerate(rows)])
    return np.ascontiguousarray(values.astype(np.complex64)).view(np.float32).reshape(*values.shape, 2)


def _common(receiver: Lmmse | Blind, slot: SlotObservation, kind: int) -> Arrays:
    layout, (num_symbols, num_subcarriers) = slot.layout, slot.data_mask.shape
    combs = _combs(slot)
    detector = receiver.detector if slot.num_layers > 1 else "lmmse"
    step = layout.pair_spacing or 2 * layout.spacing
    config = [
        kind,
        num_subcarriers // 12,
        slot.y.shape[1],
        slot.num_layers,
        num_symbols,
        slot.bits_per_symbol,
        DETECTORS.index(detector),
        len(layout.symbols),
        layout.num_adjacent_symbols,
        layout.spacing,
        step,
        receiver.num_iterations if isinstance(receiver, Blind) else 0,
    ]
    margin = 1.0 if isinstance(receiver, Blind) else receiver._interpolate.power_margin
    cfo = receiver.max_cfo_hz if isinstance(receiver, Blind) else 0.0
    users = {user: i for i, user in enumerate(dict.fromkeys(slot.layer_to_user))}
    pilots = [layout.subcarriers(layout.first_subcarrier.index(first), num_subcarriers) for first in combs]
    return {
        "config": np.array(config, np.int32),
        "scalars": np.array([slot.subcarrier_spacing_hz, slot.layer_amplitude, margin, _LEAST_POWER, cfo]),
        "dmrs_symbols": np.array(layout.symbols, np.int32),
        "comb_of_layer": np.array([combs[first] for first in layout.first_subcarrier], np.int32),
        "first_of_comb": np.array(list(combs), np.int32),
        "code_of_layer": np.array([even * odd for even, odd in layout.cover_code], np.int32),
        "layer_to_user": np.array([users[user] for user in slot.layer_to_user], np.int32),
        "pilot_subcarriers": np.array(pilots, np.int32),
        "data_mask": slot.data_mask.cpu().numpy().astype(np.int32),
        "symbol_times": slot.symbol_times_s.cpu().numpy().astype(np.float64),
        "dmrs": dmrs_values(slot),
    }


def _lmmse(receiver: Lmmse, slot: SlotObservation) -> Arrays:
    time, frequency = receiver._interpolate.bases(slot)
    arrays: Arrays = {
        "time_eigenvalues": time.eigenvalues.numpy(),
        "time_analysis": time.analysis.real.numpy(),
        "time_synthesis": time.synthesis.real.numpy(),
    }
    for first, comb in _combs(slot).items():
        axis = frequency[slot.layout.first_subcarrier.index(first)]
        arrays[f"frequency_eigenvalues_{comb}"] = axis.eigenvalues.numpy()
        arrays[f"frequency_analysis_{comb}"] = _planar(axis.analysis.numpy().T)
        arrays[f"frequency_synthesis_{comb}"] = _planar(axis.synthesis.numpy().T)
    return arrays


def _comb_grid(slot: SlotObservation, first: int) -> CombGrid:
    grid = grid_of(slot.layout, first, slot.data_mask.shape[1], slot.y.device)
    if not isinstance(grid, CombGrid):
        raise ValueError("DM-RS: got type 2 for the C library; allowed: type 1")
    return grid


def _blind(receiver: Blind, slot: SlotObservation) -> Arrays:
    layout = slot.layout
    arrays: Arrays = {}
    shifts = []
    grids = [_comb_grid(slot, first) for first in _combs(slot)]
    for comb, grid in enumerate(grids):
        arrays[f"synthesis_{comb}"] = _planar(grid.synthesis.numpy())
        shifts.append([grid.half_shift.real, grid.half_shift.imag])
    # combs differ in these alone
    grid = grids[0]
    bands = grid.subbands
    sizes = [
        grid.num_bins,
        grid.num_pilots,
        len(grid.window),
        int(grid.window[0]),
        bands.width,
        len(bands),
        len(bands.nodes),
    ]
    snapshots = slot.y.shape[1] * len(layout.symbol_groups) * len(bands)
    quiet = 4 * gammainc(snapshots + 1, gammaincinv(snapshots, 0.25)) if grid.num_bins >= 4 * LOBE else 0.0
    arrays |= {
        "half_shift": np.array(shifts, np.float32),
        "delay_sizes": np.array(sizes, np.int32),
        "subband_starts": bands.starts.numpy().astype(np.int32),
        "owner": bands.owner.numpy().astype(np.int32),
        "nodes": bands.nodes.numpy().astype(np.int32),
        "node_left": bands.node_left.numpy().astype(np.int32),
        "node_share": bands.node_share.numpy(),
        "taper": grid.taper.numpy(),
        "gram": grid.gram.numpy(),
        "centre": _planar(grid.centre.numpy()),
        "quiet_share": np.array([quiet]),
    }
    silent = ~slot.data_mask & (slot.pilots.abs().sum(0) == 0)
    rows = np.zeros(silent.shape, bool)
    rows[list(layout.symbols)] = True
    empty = np.flatnonzero(silent.cpu().numpy() & rows).astype(np.int32)
    arrays["empty_res" if len(empty) else "no_empty_res"] = empty if len(empty) else np.zeros(1, np.int32)
    times = slot.symbol_times_s.double().cpu().numpy().tobytes()
    groups = layout.symbol_groups
    log_prior, eigenvalues, forms, correlation = _time_hypotheses(times, groups, receiver.max_cfo_hz, slot.y.device)
    arrays |= {
        "time_log_prior": log_prior.numpy(),
        "time_offsets": offsets_of(receiver.max_cfo_hz, len(log_prior)),
        "time_eigenvalues": eigenvalues.numpy(),
        "time_forms": _planar(forms.numpy()),
        "time_correlation": _planar(correlation.numpy()),
    }
    return arrays


def offsets_of(max_cfo_hz: float, num_hypotheses: int) -> NDArray[np.float32]:
    """Frequency offset of every hypothesis of `time_statistics`, float32 [num_hypotheses]."""
    from receivers.classical.time_statistics import _DOPPLERS_HZ

    each = num_hypotheses // len(_DOPPLERS_HZ)
    return np.tile(np.linspace(-max_cfo_hz, max_cfo_hz, each), len(_DOPPLERS_HZ)).astype(np.float32)
