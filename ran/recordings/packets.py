"""User-plane messages of the O-RAN fronthaul over eCPRI: packets to slots, and slots to packets.

Source: eCPRI specification V2.0 §3.1.3 and §3.2.4; O-RAN.WG4.CUS.0, user plane (section type of IQ data).
"""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ran.errors import InputError, bad_value
from ran.phy.config import Carrier
from ran.recordings.block_floating_point import bytes_per_prb, compress, decompress
from ran.recordings.config import DecodeConfig, Fronthaul
from ran.recordings.packet_file import packets, write_pcap
from ran.recordings.slot import RecordedSlot, Recording
from ran.recordings.text import as_values

_ECPRI = 0xAEFE
_VLANS = (0x8100, 0x88A8)
_IQ_DATA = 0
_NONE, _BFP = 0, 1
_DIRECTIONS = {"uplink": 0, "downlink": 1}


class _Damaged(Exception):
    """A message that cannot be read; the text says why."""


@dataclass(frozen=True)
class _Section:
    """PRBs of a symbol of an antenna. key: frame, subframe, slot of the subframe. values int32 [n, 12, 2]."""

    key: tuple[int, int, int]
    symbol: int
    eaxc: int
    prbs: range
    values: NDArray[np.int32]


def read_packets(path: Path, config: DecodeConfig) -> Recording:
    """Slots of a capture. Packets of other protocols, directions and filters are passed over.

    Messages that are damaged are reported, and what they would have held is missing from their slots.
    """
    frames, problem = packets(path)
    problems = [] if problem is None else [problem]
    found: dict[tuple[int, int, int], list[_Section]] = defaultdict(list)
    others, reasons = 0, Counter[str]()
    for number, frame in enumerate(frames, 1):
        message = _message(frame)
        if message is None:
            others += 1
            continue
        try:
            for section in _sections(message, config.fronthaul, config.carrier):
                found[section.key].append(section)
        except _Damaged as error:
            reasons[str(error)] += 1
            if reasons[str(error)] == 1:
                problems.append(f"{path.name}: packet {number}: {error}")
    problems += [f"{path.name}: {count - 1} more packets: {why}" for why, count in reasons.items() if count > 1]
    if not found:
        raise InputError(
            f"{path}: got {len(frames)} packets without {config.fronthaul.direction} IQ data"
            f"{'; ' + problems[0] if problems else ''}; allowed: eCPRI with user-plane messages of O-RAN"
        )
    eaxcs = config.fronthaul.eaxc or tuple(sorted({s.eaxc for sections in found.values() for s in sections}))
    if config.num_rx_ant is not None and config.fronthaul.eaxc is None:
        eaxcs = eaxcs[: config.num_rx_ant]
    slots = [_slot(config.carrier, key, found[key], eaxcs) for key in found]
    notes = [f"{len(frames) - others} messages of IQ data, {others} other packets, antennas (eAxC) {list(eaxcs)}"]
    return Recording("pcap", slots, problems, notes)


def _slot(
    carrier: Carrier, key: tuple[int, int, int], sections: list[_Section], eaxcs: tuple[int, ...]
) -> RecordedSlot:
    frame, subframe, within = key
    grid = np.zeros((len(eaxcs), carrier.num_symbols, carrier.num_subcarriers), np.complex64)
    missing = np.ones(grid.shape, bool)
    for section in sections:
        if section.eaxc not in eaxcs:
            continue
        antenna = eaxcs.index(section.eaxc)
        columns = (12 * np.array(section.prbs)[:, None] + np.arange(12)).ravel()
        grid[antenna, section.symbol, columns] = (section.values[..., 0] + 1j * section.values[..., 1]).ravel()
        missing[antenna, section.symbol, columns] = False
    number = subframe * 2**carrier.numerology + within
    return RecordedSlot(f"frame {frame} slot {number}", number, grid, missing if missing.any() else None)


def _message(frame: bytes) -> bytes | None:
    """eCPRI message of an Ethernet frame from its header on; None for another protocol."""
    at = 12
    while len(frame) >= at + 2:
        (kind,) = struct.unpack_from(">H", frame, at)
        at += 2
        if kind == _ECPRI:
            return frame[at:] if len(frame) > at + 4 and frame[at] >> 4 == 1 and frame[at + 1] == _IQ_DATA else None
        if kind not in _VLANS:
            return None
        at += 2
    return None


def _sections(message: bytes, how: Fronthaul, carrier: Carrier) -> Iterator[_Section]:
    """Sections of a user-plane message of the wanted direction."""
    (size,) = struct.unpack_from(">H", message, 2)
    body = message[4:] if size == 0 else message[4 : 4 + size]
    if size > len(message) - 4:
        raise _Damaged(f"got {len(message) - 4} bytes; allowed: {size}, as the eCPRI header says")
    if len(body) < 8:
        raise _Damaged(f"got {len(body)} bytes; allowed: 8 or more with the headers of eCPRI and O-RAN")
    (eaxc,) = struct.unpack_from(">H", body)
    direction, filter_index = body[4] >> 7, body[4] & 15
    if direction != _DIRECTIONS[how.direction] or filter_index:
        return
    times = (body[5], body[6] >> 4, (body[6] & 15) << 2 | body[7] >> 6)
    symbol = body[7] & 63
    if times[1] > 9 or times[2] >= 2**carrier.numerology or symbol >= carrier.num_symbols:
        raise _Damaged(
            f"got subframe {times[1]} slot {times[2]} symbol {symbol}; allowed: 0 to 9, 0 to "
            f"{2**carrier.numerology - 1}, 0 to {carrier.num_symbols - 1}"
        )
    headers = (False, True) if how.section_header is None else (how.section_header,)
    readings: list[list[_Section]] = []
    reasons = []
    for with_header in headers:
        try:
            readings.append(_read(body[8:], with_header, how, carrier, times, symbol, eaxc))
        except _Damaged as error:
            reasons.append(str(error))
    if not readings:
        raise _Damaged(reasons[-1])
    yield from readings[0]


def _read(
    body: bytes, with_header: bool, how: Fronthaul, carrier: Carrier, key: tuple[int, int, int], symbol: int, eaxc: int
) -> list[_Section]:
    """All sections of a message's body, to its last byte. Padding is what the Ethernet header does not count."""
    at, found = 0, []
    while at < len(body):
        if at + 4 + 2 * with_header > len(body):
            raise _Damaged(f"got {len(body) - at} bytes behind a section; allowed: another section, or none")
        (header,) = struct.unpack_from(">I", body, at)
        every_other, increment = header >> 19 & 1, header >> 18 & 1
        first, count = header >> 8 & 0x3FF, header & 0xFF
        at += 4
        width, compressed = how.bit_width or 16, how.compression == "bfp"
        if with_header:
            width, method = body[at] >> 4 or 16, body[at] & 15
            at += 2
            if method not in (_NONE, _BFP):
                raise _Damaged(f"got compression method {method}; allowed: 0 (none), 1 (block floating point)")
            compressed = method == _BFP
        elif how.bit_width is None:
            raise _Damaged("got sections without udCompHdr; allowed: with, or fronthaul.bit_width")
        if increment:
            raise _Damaged("got symInc 1; allowed: 0, a symbol per message")
        prbs = (
            range(carrier.num_prb) if count == 0 else range(first, first + count * (1 + every_other), 1 + every_other)
        )
        size = bytes_per_prb(width, compressed)
        length = len(prbs) * size
        if prbs.stop > carrier.num_prb + every_other or at + length > len(body):
            raise _Damaged(
                f"got a section of PRBs {prbs.start} to {prbs[-1]} with {len(body) - at} bytes; allowed: {length} "
                f"bytes at {width} bits, inside the carrier's {carrier.num_prb} PRBs"
            )
        octets = np.frombuffer(body, np.uint8, length, at).reshape(len(prbs), size)
        found.append(_Section(key, symbol, eaxc, prbs, decompress(octets, width, compressed)))
        at += length
    return found


def write_packets(
    path: Path,
    grids: NDArray[np.complexfloating],
    slot_numbers: list[int],
    carrier: Carrier,
    bit_width: int,
    *,
    compression: str = "bfp",
    section_header: bool = True,
    most_bytes: int = 1500,
) -> None:
    """Uplink grids [slots, num_rx_ant, num_symbols, subcarriers] of whole numbers of 16 bits as a pcap.

    A message per symbol and antenna, or as many as keep Ethernet payloads within most_bytes. The antenna's number is
    its eAxC.
    """
    if len(grids) != len(slot_numbers):
        raise bad_value("slot_numbers", len(slot_numbers), f"{len(grids)}, one per slot")
    compressed = compression == "bfp"
    octets = compress(as_values(grids), bit_width, compressed)
    per_message = (most_bytes - 18) // octets.shape[-1]
    if per_message < 1:
        raise bad_value("most_bytes", most_bytes, f"{octets.shape[-1] + 18} or more, a PRB with its headers")
    frames, sequence = [], 0
    for place, number in enumerate(slot_numbers):
        subframe, within = divmod(number % (10 * 2**carrier.numerology), 2**carrier.numerology)
        for symbol in range(octets.shape[2]):
            for antenna in range(octets.shape[1]):
                prbs = octets[place, antenna, symbol]
                for first in range(0, len(prbs), min(per_message, 255)):
                    part = prbs[first : first + min(per_message, 255)]
                    frame_number = number // (10 * 2**carrier.numerology)
                    times = struct.pack(">BBH", 0x10, frame_number % 256, subframe << 12 | within << 6 | symbol)
                    section = struct.pack(">I", first << 8 | len(part))
                    header = bytes([(bit_width % 16) << 4 | (_BFP if compressed else _NONE), 0])
                    body = struct.pack(">HBB", antenna, sequence % 256, 0x80) + times + section
                    body += (header if section_header else b"") + part.tobytes()
                    ecpri = struct.pack(">BBH", 0x10, _IQ_DATA, len(body)) + body
                    frames.append(
                        b"\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02" + struct.pack(">H", _ECPRI) + ecpri
                    )
                    sequence += 1
    write_pcap(path, frames)
