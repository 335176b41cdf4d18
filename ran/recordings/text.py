"""Fronthaul IQ samples as text: hexadecimal digits of PRBs, a PRB or several a line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ran.config import doors
from ran.errors import InputError, bad_value
from ran.recordings.block_floating_point import bytes_per_prb, compress, decompress
from ran.recordings.config import DecodeConfig, Fronthaul
from ran.recordings.slot import RecordedSlot, Recording

#: Largest dump that is read.
_MOST_BYTES = 2**30
_COMMENT = re.compile(r"(#|//|%|;).*$")
_SEPARATORS = re.compile(r"0[xX]|[\s,:_\-'\"\[\]]")


def read_text(path: Path, config: DecodeConfig) -> Recording:
    """Slots of a text dump. Separators, 0x, empty lines and comments from #, //, % or ; on are ignored.

    Lines that are no whole PRBs are reported, and the slots that they belong to are left out.
    """
    lines = doors.read_text(path, _MOST_BYTES, "hexadecimal text").splitlines()
    rows: list[tuple[int, bytes | None]] = []
    for number, line in enumerate(lines, 1):
        digits = _SEPARATORS.sub("", _COMMENT.sub("", line))
        if digits:
            try:
                rows.append((number, bytes.fromhex(digits)))
            except ValueError:
                rows.append((number, None))
    if not any(octets for _, octets in rows):
        raise InputError(f"{path}: got no line of hexadecimal digits; allowed: PRBs in hexadecimal, a PRB a line")
    how = config.fronthaul
    width = how.bit_width or _guess_width(path, rows, how)
    prbs, bad = _prbs(rows, bytes_per_prb(width, how.compression == "bfp"))
    problems = [f"{path.name}: line {number}: {why}" for number, why in bad.values()]
    return _cut(path, config, width, prbs, set(bad), problems)


def _guess_width(path: Path, rows: Sequence[tuple[int, bytes | None]], how: Fronthaul) -> int:
    """Bits of I and Q by the bytes of a line, where lines are PRBs."""
    extra = int(how.compression == "bfp")
    (length, _), *_ = Counter(len(octets) for _, octets in rows if octets).most_common(1)
    width, rest = divmod(length - extra, 3)
    if rest or not 1 <= width <= 16:
        raise InputError(
            f"{path}: got lines of {length} bytes; allowed: {extra} and 3 bytes per bit of I and Q, a PRB a line, or "
            "fronthaul.bit_width"
        )
    return width


def _prbs(rows: Sequence[tuple[int, bytes | None]], size: int) -> tuple[list[bytes], dict[int, tuple[int, str]]]:
    """PRBs in order, a bad line as one of zeros; and for these the line and what is wrong with it, by PRB."""
    prbs: list[bytes] = []
    bad: dict[int, tuple[int, str]] = {}
    for number, octets in rows:
        if octets is None:
            bad[len(prbs)] = number, "no hexadecimal digits in pairs"
        elif len(octets) % size:
            bad[len(prbs)] = number, f"got {len(octets)} bytes; allowed: {size}, a PRB"
        else:
            prbs += [octets[i : i + size] for i in range(0, len(octets), size)]
            continue
        prbs.append(bytes(size))
    return prbs, bad


def _cut(
    path: Path, config: DecodeConfig, width: int, prbs: Sequence[bytes], bad: set[int], problems: list[str]
) -> Recording:
    """Slots from PRBs in a row."""
    how, carrier = config.fronthaul, config.carrier
    num_prb = how.num_prb or carrier.num_prb - how.first_prb
    num_symbols = how.num_symbols or carrier.num_symbols - how.first_symbol
    if num_prb < 1 or how.first_prb + num_prb > carrier.num_prb:
        raise bad_value("fronthaul.num_prb", num_prb, f"inside the carrier's {carrier.num_prb} PRBs")
    if num_symbols < 1 or how.first_symbol + num_symbols > carrier.num_symbols:
        raise bad_value("fronthaul.num_symbols", num_symbols, f"inside the slot's {carrier.num_symbols} symbols")
    per_antenna = num_prb * num_symbols
    antennas = config.num_rx_ant or max(1, len(prbs) // per_antenna)
    per_slot = per_antenna * antennas
    count = len(prbs) // per_slot
    rest = len(prbs) - count * per_slot
    if rest:
        problems.append(
            f"{path.name}: got {len(prbs)} PRBs; allowed: multiples of {num_symbols} symbols x {antennas} antennas x "
            f"{num_prb} PRBs = {per_slot}; is it truncated?"
        )
    words = how.order.split()
    sizes = {"symbol": num_symbols, "antenna": antennas, "prb": num_prb}
    slots = []
    for index in range(count):
        first = index * per_slot
        if any(first <= place < first + per_slot for place in bad):
            problems.append(f"{path.name}: slot {index}: left out, as lines of it are damaged")
            continue
        octets = np.frombuffer(b"".join(prbs[first : first + per_slot]), np.uint8).reshape(per_slot, -1)
        values = decompress(octets, width, how.compression == "bfp")
        values = values.reshape(*(sizes[word] for word in words), 12, 2)
        values = values.transpose(words.index("antenna"), words.index("symbol"), words.index("prb"), 3, 4)
        grid = np.zeros((antennas, carrier.num_symbols, carrier.num_subcarriers), np.complex64)
        missing = np.ones(grid.shape, bool)
        where = (
            slice(None),
            slice(how.first_symbol, how.first_symbol + num_symbols),
            slice(12 * how.first_prb, 12 * (how.first_prb + num_prb)),
        )
        grid[where] = (values[..., 0] + 1j * values[..., 1]).reshape(antennas, num_symbols, -1)
        missing[where] = False
        number = (carrier.slot_number + index * config.slot_step) % (10 * 2**carrier.numerology)
        slots.append(RecordedSlot(f"slot {index}", number, grid, missing if missing.any() else None))
    notes = [f"{width} bits per I and Q, {antennas} antennas, {num_prb} PRBs, {num_symbols} symbols per slot"]
    return Recording("text", slots, problems, notes)


def write_text_dump(path: Path, grids: NDArray[np.complexfloating], bit_width: int, compression: str = "bfp") -> None:
    """Grids [slots, num_rx_ant, num_symbols, subcarriers] of whole numbers of 16 bits as text, a PRB a line."""
    values = as_values(grids)
    # [slot, symbol, antenna, PRB, bytes]
    octets = compress(values.swapaxes(1, 2), bit_width, compression == "bfp")
    lines = (row.tobytes().hex() for row in octets.reshape(-1, octets.shape[-1]))
    try:
        path.write_text("".join(line + "\n" for line in lines), encoding="ascii")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


def as_values(grids: NDArray[np.complexfloating]) -> NDArray[np.int32]:
    """Complex grids [..., subcarriers] of whole numbers as int32 [..., PRBs, 12, 2]. `InputError` for others."""
    pairs = np.stack([grids.real, grids.imag], -1)
    values = np.rint(pairs).astype(np.int32)
    if not np.array_equal(values, pairs):
        raise InputError("grids: got numbers with fractions; allowed: whole numbers, as converters give them")
    return values.reshape(*grids.shape[:-1], -1, 12, 2)
