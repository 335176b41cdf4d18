"""Cyclic redundancy checks of TS 38.212 §5.1, Rel-18, for whole batches at once.

A CRC with zero start value is linear over GF(2): every eight bits of the message add their own remainder, whatever the
others are. So the remainders of eight times eight bits are looked up at once and XORed.
"""

from __future__ import annotations

import ctypes
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
_OCTETS_AT_ONCE = 8
_KERNEL_ARGUMENTS = (
    ctypes.c_void_p,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_void_p,
    ctypes.c_int64,
    ctypes.c_void_p,
)


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


def _remainder(message: npt.NDArray[np.uint8], polynomial: Polynomial) -> npt.NDArray[np.uint32]:
    """message(x) x^L mod g(x) as integers [batch]."""
    batch, num_bits = message.shape
    # The compiled kernels belong to the LDPC package, whose decoder in turn can stop by a CRC.
    from ran.phy.ldpc.native import transmit_function

    # the kernel reads the bits of a message one after the other, whatever the order of its axes in memory was
    if message.strides[1] != 1 and message.size:
        message = np.ascontiguousarray(message)
    table = octet_table(polynomial)
    remainders = np.empty(batch, np.uint32)
    transmit_function("crc", *_KERNEL_ARGUMENTS)(
        message.ctypes.data,
        batch,
        num_bits,
        message.strides[0],
        table.ctypes.data,
        crc_length(polynomial),
        remainders.ctypes.data,
    )
    return remainders


def _times_x(value: int, polynomial: str) -> int:
    length, generator = _GENERATORS[polynomial]
    value <<= 1
    return value ^ (1 << length | generator) if value >> length else value


def _octet_multiples(basis: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """basis [..., 8]: remainders of the bits of an octet, lowest first -> remainders of all octets [..., 256]."""
    octets = np.arange(256, dtype=np.uint32)
    out = np.zeros((*basis.shape[:-1], 256), np.uint32)
    for bit in range(8):
        out ^= basis[..., bit, None] * ((octets >> np.uint32(bit)) & np.uint32(1))
    return out


@cache
def octet_table(polynomial: Polynomial) -> npt.NDArray[np.uint32]:
    """uint32 [octets behind, octet]: remainder of an octet times x^L that has so many octets behind it."""
    _, remainder = _generator(polynomial)
    powers = np.empty(8 * _OCTETS_AT_ONCE, np.uint32)
    for exponent in range(powers.size):
        powers[exponent] = remainder
        remainder = _times_x(remainder, polynomial)
    return _octet_multiples(powers.reshape(_OCTETS_AT_ONCE, 8))
