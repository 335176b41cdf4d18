"""Cyclic redundancy checks of TS 38.212 §5.1, Rel-18, for whole batches at once.

A CRC with zero start value is linear over GF(2): every byte of the message adds its own remainder, whatever the other
bytes are. So the remainders of all bytes of a chunk are looked up at once and XORed, and chunks are merged in a binary
tree.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from ran.errors import bad_value, unknown_name

Polynomial = Literal["24A", "24B", "24C", "16", "11", "6"]

#: name: (length in bits, generator without its leading term), TS 38.212 §5.1.
_GENERATORS: dict[str, tuple[int, int]] = {
    "24A": (24, 0x864CFB),
    "24B": (24, 0x800063),
    "24C": (24, 0xB2B117),
    "16": (16, 0x1021),
    "11": (11, 0x621),
    "6": (6, 0x21),
}
_CHUNK_BYTES = 256


def crc_length(polynomial: Polynomial) -> int:
    """Number of CRC bits of a generator polynomial."""
    return _generator(polynomial)[0]


def crc(bits: npt.ArrayLike, polynomial: Polynomial) -> npt.NDArray[np.uint8]:
    """CRC bits of messages.

    bits [..., n] of 0 and 1, the first bit is the highest power. Returns [..., L] uint8 in the order in which they are
    sent (p_0 first). Raises `InputError` for an unknown polynomial or a message without an axis.
    """
    length, _ = _generator(polynomial)
    message = np.asarray(bits, dtype=np.uint8)
    if message.ndim == 0:
        raise bad_value("shape of bits", message.shape, "[..., n] with the message on the last axis")
    remainder = _remainder(message.reshape(-1, message.shape[-1]), polynomial)
    powers = np.arange(length - 1, -1, -1, dtype=np.uint32)
    parity = ((remainder[:, None] >> powers) & np.uint32(1)).astype(np.uint8)
    return parity.reshape(*message.shape[:-1], length)


def crc_ok(bits_with_crc: npt.ArrayLike, polynomial: Polynomial) -> npt.NDArray[np.bool_]:
    """Whether messages that end in their CRC are intact. [..., n + L] -> bool [...]."""
    length, _ = _generator(polynomial)
    received = np.asarray(bits_with_crc, dtype=np.uint8)
    if received.ndim == 0 or received.shape[-1] < length:
        raise bad_value("shape of bits_with_crc", received.shape, f"[..., n] with n at least {length}, the CRC length")
    flat = received.reshape(-1, received.shape[-1])
    # The remainder of message and CRC together, times x^L, is zero exactly when the remainder of the two is.
    return np.asarray(_remainder(flat, polynomial) == 0).reshape(received.shape[:-1])


def _generator(polynomial: str) -> tuple[int, int]:
    if polynomial not in _GENERATORS:
        raise unknown_name("CRC polynomial", polynomial, _GENERATORS)
    return _GENERATORS[polynomial]


def _remainder(message: npt.NDArray[np.uint8], polynomial: str) -> npt.NDArray[np.uint32]:
    """message(x) x^L mod g(x) as integers [batch]. Zeros in front of a message change nothing: so we pad there."""
    batch, num_bits = message.shape
    pad_bits = -num_bits % 8
    if pad_bits:
        message = np.concatenate([np.zeros((batch, pad_bits), np.uint8), message], axis=1)
    octets = np.packbits(message, axis=1)
    num_chunks = max(1, -(-octets.shape[1] // _CHUNK_BYTES))
    chunk_bytes = _CHUNK_BYTES if num_chunks > 1 else octets.shape[1]
    missing = num_chunks * chunk_bytes - octets.shape[1]
    if missing:
        octets = np.concatenate([np.zeros((batch, missing), np.uint8), octets], axis=1)
    table = _chunk_table(polynomial)[_CHUNK_BYTES - chunk_bytes :]
    index = octets.reshape(batch, num_chunks, chunk_bytes) + np.arange(0, 256 * chunk_bytes, 256, dtype=np.int32)
    chunks = np.bitwise_xor.reduce(table.ravel()[index], axis=-1)
    span_bits = 8 * _CHUNK_BYTES
    while chunks.shape[1] > 1:
        if chunks.shape[1] % 2:
            chunks = np.concatenate([np.zeros((batch, 1), np.uint32), chunks], axis=1)
        left, right = chunks[:, 0::2], chunks[:, 1::2]
        multiples = _power_table(polynomial, span_bits)
        moved = right.copy()
        for octet in range(3):
            moved ^= multiples[octet][(left >> np.uint32(8 * octet)) & np.uint32(255)]
        chunks = moved
        span_bits *= 2
    return chunks[:, 0]


def _times_x(value: int, polynomial: str) -> int:
    length, generator = _GENERATORS[polynomial]
    value <<= 1
    return value ^ (1 << length | generator) if value >> length else value


@cache
def _power_of_x(polynomial: str, exponent: int) -> int:
    """x^exponent mod g(x), by squaring."""
    length, _ = _GENERATORS[polynomial]
    if exponent < length:
        return 1 << exponent
    half = _power_of_x(polynomial, exponent // 2)
    product = 0
    for bit in range(length - 1, -1, -1):
        product = _times_x(product, polynomial)
        if half >> bit & 1:
            product ^= half
    return _times_x(product, polynomial) if exponent % 2 else product


def _octet_multiples(basis: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """basis [..., 8]: remainders of the bits of an octet, lowest first -> remainders of all octets [..., 256]."""
    octets = np.arange(256, dtype=np.uint32)
    out = np.zeros((*basis.shape[:-1], 256), np.uint32)
    for bit in range(8):
        out ^= basis[..., bit, None] * ((octets >> np.uint32(bit)) & np.uint32(1))
    return out


@cache
def _chunk_table(polynomial: str) -> npt.NDArray[np.uint32]:
    """[position in a chunk, octet]: remainder of that octet at that position; the last has the lowest powers."""
    length, _ = _GENERATORS[polynomial]
    remainder = _power_of_x(polynomial, length)
    powers = np.empty(8 * _CHUNK_BYTES, np.uint32)
    for exponent in range(powers.size):
        powers[exponent] = remainder
        remainder = _times_x(remainder, polynomial)
    return _octet_multiples(powers.reshape(_CHUNK_BYTES, 8)[::-1])


@cache
def _power_table(polynomial: str, exponent: int) -> npt.NDArray[np.uint32]:
    """[3, 256]: remainders of the three octets of a remainder times x^exponent."""
    powers = [_power_of_x(polynomial, exponent + bit) for bit in range(24)]
    return _octet_multiples(np.array(powers, np.uint32).reshape(3, 8))
