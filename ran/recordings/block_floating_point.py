"""Block floating point compression of fronthaul IQ samples (O-RAN.WG4.CUS, annex A.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ran.errors import bad_value

#: Bits of an uncompressed I or Q.
FULL_WIDTH = 16
_VALUES_PER_PRB = 24


def bytes_per_prb(bit_width: int, compressed: bool = True) -> int:
    """Bytes of a PRB: twelve I and Q of `bit_width` bits, and where compressed a parameter byte in front."""
    return 3 * bit_width + int(compressed)


def decompress(octets: NDArray[np.uint8], bit_width: int, compressed: bool = True) -> NDArray[np.int32]:
    """PRBs as on the wire, uint8 [..., bytes_per_prb], to values int32 [..., 12, 2]: subcarrier, (I, Q).

    The low four bits of the parameter byte are the exponent; then come I, Q, I, Q ... in two's complement, most
    significant bit first, without gaps. A value is its mantissa times two to the exponent.
    """
    _check(bit_width)
    needed = bytes_per_prb(bit_width, compressed)
    if octets.shape[-1] != needed:
        raise bad_value("bytes of a PRB", octets.shape[-1], f"{needed} with {bit_width} bits")
    exponent = (octets[..., :1] & 15).astype(np.int32) if compressed else np.zeros((*octets.shape[:-1], 1), np.int32)
    bits = np.unpackbits(octets[..., int(compressed) :], axis=-1)
    bits = bits.reshape(*octets.shape[:-1], _VALUES_PER_PRB, bit_width)
    weights = 1 << np.arange(bit_width - 1, -1, -1)
    weights[0] = -weights[0]
    mantissas = bits.astype(np.int32) @ weights.astype(np.int32)
    return (mantissas << exponent).reshape(*octets.shape[:-1], 12, 2).astype(np.int32)


def compress(values: NDArray[np.int32], bit_width: int, compressed: bool = True) -> NDArray[np.uint8]:
    """Values int [..., 12, 2] of 16 bits to PRBs as on the wire, uint8 [..., bytes_per_prb].

    The exponent is the least with which all of a PRB fit; what is shifted out is cut off.
    """
    _check(bit_width)
    flat = np.asarray(values, np.int32).reshape(*values.shape[:-2], _VALUES_PER_PRB)
    limit = 1 << (FULL_WIDTH - 1)
    if flat.size and (flat.min() < -limit or flat.max() >= limit):
        raise bad_value("values", int(np.abs(flat).max()), f"{-limit} to {limit - 1}, {FULL_WIDTH} bits")
    exponent = np.zeros((*flat.shape[:-1], 1), np.int32)
    half = 1 << (bit_width - 1)
    # as large as two's complement of the width holds: -half to half - 1
    for shift in range(FULL_WIDTH - bit_width):
        shifted = flat >> shift
        too_large = (shifted.min(-1, keepdims=True) < -half) | (shifted.max(-1, keepdims=True) >= half)
        exponent[too_large] = shift + 1
    if not compressed and bit_width < FULL_WIDTH and exponent.any():
        raise bad_value("values", int(np.abs(flat).max()), f"{-half} to {half - 1} without an exponent")
    mantissas = flat >> exponent
    bits = (mantissas[..., None] >> np.arange(bit_width - 1, -1, -1)) & 1
    packed = np.packbits(bits.astype(np.uint8).reshape(*flat.shape[:-1], -1), axis=-1)
    return np.concatenate([exponent.astype(np.uint8), packed], axis=-1) if compressed else packed


def _check(bit_width: int) -> None:
    if not 1 <= bit_width <= FULL_WIDTH:
        raise bad_value("bit_width", bit_width, f"1 to {FULL_WIDTH}")
