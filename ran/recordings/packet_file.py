"""Packets of capture files: pcap and pcapng, in either byte order."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from ran.config.doors import read_bytes
from ran.counted import counted
from ran.errors import InputError

_PCAP = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\x3c\x4d": ">"}
_PCAPNG = b"\x0a\x0d\x0d\x0a"
_ETHERNET = 1
_LARGEST = 1 << 24
#: Largest capture that is read; it is held in memory.
_MOST_BYTES = 4 * 2**30


def packets(path: Path) -> tuple[list[bytes], str | None]:
    """Ethernet frames of a capture in order, and what is wrong with its end, None when it is whole."""
    raw = read_bytes(path, _MOST_BYTES)
    if raw[:4] in _PCAP:
        return _collect(path, _pcap(path, raw, _PCAP[raw[:4]]))
    if raw[:4] == _PCAPNG:
        return _collect(path, _pcapng(path, raw))
    raise InputError(f"{path}: got no capture file; allowed: pcap or pcapng")


class _Truncated(Exception):
    """The file ends within a packet."""


def _collect(path: Path, frames: Iterator[bytes]) -> tuple[list[bytes], str | None]:
    found: list[bytes] = []
    try:
        for frame in frames:
            found.append(frame)
    except _Truncated:
        return found, f"{path.name}: truncated after {counted(len(found), 'packet')}"
    return found, None


def _pcap(path: Path, raw: bytes, order: str) -> Iterator[bytes]:
    if len(raw) < 24:
        raise _Truncated
    (link,) = struct.unpack_from(order + "I", raw, 20)
    _check_link(path, link & 0xFFFF)
    at = 24
    while at < len(raw):
        if at + 16 > len(raw):
            raise _Truncated
        (length,) = struct.unpack_from(order + "I", raw, at + 8)
        at += 16
        if length > _LARGEST or at + length > len(raw):
            raise _Truncated
        yield raw[at : at + length]
        at += length


def _pcapng(path: Path, raw: bytes) -> Iterator[bytes]:
    at, order = 0, "<"
    links: list[int] = []
    while at < len(raw):
        if at + 12 > len(raw):
            raise _Truncated
        if raw[at : at + 4] == _PCAPNG:
            order = "<" if raw[at + 8 : at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            links = []
        kind, length = struct.unpack_from(order + "II", raw, at)
        if length < 12 or length % 4 or at + length > len(raw):
            raise _Truncated
        body = raw[at + 8 : at + length - 4]
        if kind == 1:
            links.append(struct.unpack_from(order + "H", body)[0])
        elif kind in (3, 6):
            start = 4 if kind == 3 else 20
            if len(body) < start:
                raise _Truncated
            interface = 0 if kind == 3 else struct.unpack_from(order + "I", body)[0]
            size = len(body) - start if kind == 3 else struct.unpack_from(order + "I", body, 12)[0]
            if interface < len(links):
                _check_link(path, links[interface])
            yield body[start : start + size]
        at += length


def _check_link(path: Path, link: int) -> None:
    if link != _ETHERNET:
        raise InputError(f"{path}: got link type {link}; allowed: {_ETHERNET}, Ethernet")


def write_pcap(path: Path, frames: list[bytes]) -> None:
    """Ethernet frames as a pcap of microseconds, a microsecond apart."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, _ETHERNET)]
    for number, frame in enumerate(frames):
        parts += [struct.pack("<IIII", number // 10**6, number % 10**6, len(frame), len(frame)), frame]
    try:
        path.write_bytes(b"".join(parts))
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
