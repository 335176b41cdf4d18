"""What was decoded of a recording as a data set: slots and the bits they carried, for `ran train` with `data:`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ran.config.provenance import versions
from ran.datasets.container import SUFFIXES, create, sha256
from ran.datasets.field import Field
from ran.datasets.header import CHUNK_BYTES, FORMAT, FORMAT_VERSION, Header, Table, observation_constants
from ran.datasets.slots import encoded
from ran.datasets.splits import SPLITS
from ran.errors import InputError, bad_value
from ran.phy.shared_grid import SharedGrid
from ran.recordings.slot_result import KeptSlot
from ran.sim.identity import canonical_json
from receivers import SlotObservation
from receivers.classical.blind_estimate import BlindEstimator
from receivers.classical.data_aided import fit_to_symbols

KIND = "recorded-slots"
#: Shares of training, validation and test, one after the other in time.
_SHARES = (0.8, 0.1, 0.1)
_MOST_CHUNK_DROPS = 4096
#: Pilots of two slots whose ratio is within this of a quarter turn differ by that alone.
_QUARTER = 1e-4


@dataclass(frozen=True)
class WrittenSet:
    """slots: written. problems: a line for each kind of slot that was left out."""

    slots: int
    problems: tuple[str, ...]


@dataclass(frozen=True)
class _Labelled:
    """A slot whose bits are known: coded_bits uint8 [num_layers, num_data_re, bits], blocks uint8 [num_blocks, bits],
    the truth as far as a recording has it."""

    slot: KeptSlot
    coded_bits: NDArray[np.uint8]
    blocks: NDArray[np.uint8]


def check_target(path: Path) -> None:
    """`InputError` for a name that tells no format, and for a file that is there."""
    if path.suffix not in SUFFIXES:
        raise bad_value("--data", str(path), f"a file name that ends in {', '.join(SUFFIXES)}")
    if path.exists():
        raise InputError(f"--data: {path} exists; allowed: a new file")


def write_training_set(
    path: Path, kept: Sequence[KeptSlot], source: str, say: Callable[[str], None] = lambda text: None
) -> WrittenSet:
    """Write the slots whose bits are known, from their own CRC or from that of a later attempt of their block.

    Received grids are those that receivers were given: timing and frequency offset taken off, antennas at equal noise;
    at the level at which a user has unit mean power. The DM-RS are turned to the sequence of the first slot, as one
    table holds the pilots of all: that changes nothing but the phase of the noise. h is the estimate from pilots and
    all data symbols, which are known.
    Slots of another layout than most have, with gaps or hops, or with pilots that no common phase turns into those of
    the first, are left out. InputError where no slot is left, and where the file cannot be written.
    """
    check_target(path)
    labelled, problems = _labelled(kept)
    groups: dict[str, list[_Labelled]] = {}
    for one in labelled:
        groups.setdefault(_layout_key(one), []).append(one)
    if not groups:
        raise InputError(f"--data: got no slot whose bits are known; allowed: one or more{_because(problems)}")
    chosen = max(groups.values(), key=len)
    others = len(labelled) - len(chosen)
    if others:
        problems.append(f"--data: {others} slots of another layout than {chosen[0].slot.result.name} left out")
    first = chosen[0].slot
    turns = [_turn(first.observation, one.slot.observation) for one in chosen]
    unlike = sum(turn is None for turn in turns)
    if unlike:
        problems.append(f"--data: {unlike} slots left out, their pilots are no common turn of {first.result.name}'s")
    pairs = [(one, turn) for one, turn in zip(chosen, turns, strict=True) if turn is not None]
    drops = []
    for number, (one, turn) in enumerate(pairs):
        say(f"estimating the channel of slot {number} of {len(pairs)}")
        with torch.inference_mode():
            drops.append(_drop(one, turn))
    header = _header(first.observation, [one for one, _ in pairs], drops, source)
    container = create(path, header)
    try:
        for chunk in range(header.num_chunks):
            span = header.chunk(chunk)
            values = {name: np.stack([drop[name] for drop in drops[span.start : span.stop]]) for name in drops[0]}
            container.write_chunk(chunk, encoded(header, values))
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        container.close()
    return WrittenSet(len(drops), tuple(problems))


def _because(problems: Sequence[str]) -> str:
    return f" ({'; '.join(line.removeprefix('--data: ') for line in problems)})" if problems else ""


def _labelled(kept: Sequence[KeptSlot]) -> tuple[list[_Labelled], list[str]]:
    """Slots whose bits are known, and how many are not, or cannot be trained on."""
    found: list[_Labelled] = []
    unknown = gaps = 0
    for slot in kept:
        grid = slot.grid
        if not grid.is_contiguous:
            gaps += 1
        elif (known := _bits(slot)) is None:
            unknown += 1
        else:
            found.append(_Labelled(slot, *known))
    lines = []
    if unknown:
        lines.append(f"--data: {unknown} slots left out, their bits are not known")
    if gaps:
        lines.append(f"--data: {gaps} slots left out, their allocation has gaps or hops")
    return found, lines


def _bits(slot: KeptSlot) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """Coded bits and transport blocks of a slot, by its own CRC or the label that a later attempt gave it."""
    grid, result = slot.grid, slot.result
    sizes = grid.block_sizes
    blocks = np.zeros((len(sizes), max(sizes, default=0)), np.uint8)
    if slot.coded_bits is not None:
        names = sorted({block.block for block in result.blocks})
        for place, (name, size) in enumerate(zip(names, sizes, strict=True)):
            payload = next(block.payload for block in result.blocks if block.block == name and block.received)
            blocks[place, :size] = payload
        return slot.coded_bits[0].numpy(), blocks
    if result.label is None or len(sizes) != 1 or grid.codewords[0].uci is not None:
        return None
    blocks[0] = result.label
    return np.asarray(grid.code(blocks[None])[0]), blocks


def _layout_key(one: _Labelled) -> str:
    """What all slots of a set have in common: everything of an observation but grid, noise and values of pilots."""
    o = one.slot.observation
    constants = canonical_json(observation_constants(o))
    sizes = (tuple(o.y.shape[1:]), one.blocks.shape, one.coded_bits.shape)
    whole = hashlib.sha256(f"{constants}{sizes}".encode())
    for array in (o.data_mask.numpy(), (o.pilots != 0).numpy(), o.symbol_times_s.numpy()):
        whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()


def _turn(first: SlotObservation, other: SlotObservation) -> Tensor | None:
    """Phases complex64 [num_ofdm_symbols, num_subcarriers] that turn the pilots of a slot into those of the first, 1
    where there are none; None where layers would need different ones."""
    there = first.pilots != 0
    ratio = torch.where(there, first.pilots, 1).to(torch.complex128) / torch.where(there, other.pilots, 1)
    quarter = torch.polar(torch.ones_like(ratio.real), (ratio.angle() * 2 / torch.pi).round() * torch.pi / 2)
    ratio = torch.where(
        (ratio - quarter).abs() < _QUARTER, torch.complex(quarter.real.round(), quarter.imag.round()), ratio
    )
    # the layer with a pilot speaks for the resource element
    spoken = torch.gather(ratio, 0, there.to(torch.uint8).argmax(0, keepdim=True))[0]
    agrees = ((ratio - spoken).abs() < _QUARTER) | ~there
    is_phase = (spoken.abs() - 1).abs() < _QUARTER
    return spoken.to(torch.complex64) if bool(agrees.all() & is_phase.all()) else None


def _drop(one: _Labelled, turn: Tensor) -> dict[str, NDArray[Any]]:
    """Arrays of a slot by field, and its noise."""
    observation, grid = one.slot.observation, one.slot.grid
    h = _channel(observation, grid, torch.from_numpy(one.coded_bits)[None])
    of_layers = (h.abs().double() ** 2).mean((0, 1, 3, 4)) * observation.layer_amplitude**2
    level = float((of_layers.sum() / len(set(observation.layer_to_user))).sqrt())
    return {
        "y": (observation.y[0] * turn / level).numpy().astype(np.complex64),
        "coded_bits": one.coded_bits,
        "transport_blocks": one.blocks,
        "h": (h[0] / level).numpy().astype(np.complex64),
        "noise_var": np.array(float(observation.noise_var[0]) / level**2, np.float32),
    }


def _channel(observation: SlotObservation, grid: SharedGrid, coded_bits: Tensor) -> Tensor:
    """Channel from pilots and known data, complex64 [1, num_rx_ant, num_layers, num_ofdm_symbols, num_subcarriers]."""
    sent = grid.to_grid(coded_bits).to(torch.complex64)
    estimate = BlindEstimator()(observation)
    profiles, over_time = estimate.profiles(), estimate.correlation(observation)
    nothing = torch.zeros_like(sent.real)
    noise = estimate.noise_var
    return fit_to_symbols(observation, estimate.h_hat, *profiles, over_time, noise, sent, nothing)[0]


def _header(
    observation: SlotObservation, slots: list[_Labelled], drops: list[dict[str, NDArray[Any]]], source: str
) -> Header:
    grid, layers = ("ofdm_symbol", "subcarrier"), ("layer", "data_re", "bit")
    shapes = {name: value.shape for name, value in drops[0].items()}
    unit = "amplitude, 1 = a user's data RE at unit channel gain"
    text = "received grid as receivers were given it, DM-RS turned to the sequence of `pilots`"
    fields = (
        Field("y", ("rx_antenna", *grid), shapes["y"], "<c8", unit, text),
        Field("coded_bits", layers, shapes["coded_bits"], "|u1", "bit", "decoded, coded and scrambled", "packed-bits"),
        Field("transport_blocks", ("user", "bit"), shapes["transport_blocks"], "|u1", "bit", "decoded", "packed-bits"),
        Field("h", ("rx_antenna", "layer", *grid), shapes["h"], "<c8", "amplitude", "estimated from pilots and data"),
    )
    noise = np.array([drop["noise_var"] for drop in drops], np.float32)
    site = _sites(slots)
    n_sc = observation.data_mask.shape[1]
    frequencies = (np.arange(n_sc) - (n_sc - 1) / 2) * observation.subcarrier_spacing_hz
    measured = "signal to noise per resource element and antenna as the DM-RS show it"
    tables = {
        "site": Table(site, ("drop",), "", "part of the recording: drops with the same number are near in time"),
        "split": Table(site.astype(np.uint8), ("drop",), "", "part of the drop: index into split_names"),
        "symbol_times_s": Table(observation.symbol_times_s.numpy(), ("ofdm_symbol",), "s", "start of the useful part"),
        "subcarrier_frequencies_hz": Table(frequencies, ("subcarrier",), "Hz", "offset from the middle"),
        "esn0_db": Table(-10 * np.log10(noise.astype(np.float64)), ("drop",), "dB", measured),
        "noise_var": Table(noise, ("drop",), "linear", "noise variance per resource element per antenna, estimated"),
        "pilots": Table(observation.pilots.numpy(), ("layer", *grid), "amplitude", "what layers send at pilot REs"),
        "data_mask": Table(observation.data_mask.numpy(), grid, "", "REs that carry data, on all layers"),
    }
    drop_bytes = sum(field.drop_bytes for field in fields)
    content = hashlib.sha256()
    for drop in drops:
        for name in ("y", "coded_bits"):
            content.update(sha256(drop[name]).tobytes())
    physics = {"channel": {"name": "recording", "file": source}}
    attrs: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "kind": KIND,
        "name": Path(source).stem or source,
        "description": f"Slots of the recording {source} with the bits that were decoded",
        "num_drops": len(drops),
        "chunk_drops": max(1, min(CHUNK_BYTES // drop_bytes, _MOST_CHUNK_DROPS)),
        "stream_id": f"recording/{content.hexdigest()[:16]}",
        "seed": 0,
        "conventions": "LLR positive = bit 0 = log p(0)/p(1); coded_bits are the LLR targets; bits by CRC, of earlier "
        "HARQ attempts by that of a later one; h, noise_var and esn0_db are estimates; parts follow in time",
        "identity": canonical_json({"physics": physics, "content": content.hexdigest(), "kind": KIND}),
        "versions": canonical_json(versions()),
        "observation": canonical_json(observation_constants(observation)),
        "slots": json.dumps([one.slot.result.name for one in slots]),
        "split_names": canonical_json(list(SPLITS)),
    }
    header = Header(attrs, tables, fields)
    attrs["header_sha256"] = header.digest()
    return header


def _sites(slots: Sequence[_Labelled]) -> NDArray[np.int64]:
    """Part of the recording of each slot, by time; attempts of one block are together, with the first of them."""
    ends = np.ceil(np.cumsum(_SHARES) * len(slots) - 1e-9)
    part = np.searchsorted(ends, np.arange(len(slots)), side="right")
    of_block: dict[int, int] = {}
    numbers = [one.slot.result.transmission for one in slots]
    return np.array([of_block.setdefault(n, int(own)) for n, own in zip(numbers, part, strict=True)], np.int64)
