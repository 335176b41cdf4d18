"""Channel coding of 1 to 11 bits (TS 38.212 §5.3.3, Rel-18)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ran.errors import bad_value

#: Placeholders of TS 38.212 §5.3.3.1: x becomes 1 after scrambling, y repeats the scrambled bit before it.
X, Y = 2, 3
# Table 5.3.3.3-1, a row per coded bit, M_0 first; compared with vectors of MATLAB's 5G Toolbox
_BASIS = (
    *("11000000001", "11100000011", "10010010111", "10110000101", "11110001001", "11001011101", "10101010111"),
    *("10011001101", "11011001011", "10111010011", "10100111011", "11100110101", "10010101111", "11010101011"),
    *("10001101001", "11001111011", "11101110010", "10011100100", "11011111000", "10000110000", "10100010001"),
    *("11010000011", "10001001101", "11101000111", "11111011110", "11000111001", "10110100110", "11110101110"),
    *("10101110100", "10111111100", "11111111111", "10000000000"),
)
#: [32, 11] of 0 and 1.
BASIS = np.array([[int(digit) for digit in row] for row in _BASIS], np.uint8)


def encode_small(bits: npt.ArrayLike, bits_per_symbol: int) -> npt.NDArray[np.uint8]:
    """Bits [batch, K], K from 1 to 11, to coded bits [batch, N] uint8 before rate matching.

    N is 32 from K = 3 on; below it is bits_per_symbol for one bit and three times that for two (three bits with
    bits_per_symbol 1), with the placeholders X and Y among them.
    """
    message = np.asarray(bits, np.uint8)
    k = message.shape[1]
    if not 1 <= k <= 11:
        raise bad_value("bits of a small block", k, "1 to 11 (TS 38.212 §5.3.3)")
    if k >= 3:
        return np.asarray((message @ BASIS[:, :k].T) & 1, np.uint8)
    if k == 2:
        message = np.concatenate([message, message[:, :1] ^ message[:, 1:]], axis=1)
    pattern = small_pattern(k, bits_per_symbol)
    # message bits and, from column 3 on, placeholders
    columns = np.concatenate([message, np.full((len(message), 4 - message.shape[1]), X, np.uint8)], axis=1)
    padded = np.concatenate([columns, np.full((len(message), 1), Y, np.uint8)], axis=1)
    return np.ascontiguousarray(padded[:, pattern])


def small_pattern(k: int, bits_per_symbol: int) -> npt.NDArray[np.int64]:
    """Which of c_0, c_1, c_2 each coded bit is, for K = 1 and 2: 3 stands for X, 4 for Y (§5.3.3.1 and §5.3.3.2)."""
    q = bits_per_symbol
    if q not in (1, 2, 4, 6, 8):
        raise bad_value("bits_per_symbol", q, "1, 2, 4, 6, 8 (TS 38.212 tables 5.3.3.1-1 and 5.3.3.2-1)")
    fill = [3] * (q - 2)
    if k == 1:
        return np.array([0] if q == 1 else [0, 4, *fill])
    if q == 1:
        return np.array([0, 1, 2])
    return np.array([0, 1, *fill, 2, 0, *fill, 1, 2, *fill])


def decode_small(llr: npt.NDArray[np.float32], k: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Maximum-likelihood decision of K = 3 to 11 bits from LLRs [batch, E], rate matched by repetition or truncation.

    Returns bits [batch, K] and the correlation of the codeword with the LLRs over the sum of their magnitudes, -1 to 1.
    """
    total = np.zeros((len(llr), 32), np.float32)
    for first in range(0, llr.shape[1], 32):
        part = llr[:, first : first + 32]
        total[:, : part.shape[1]] += part
    words = ((np.arange(1 << k)[:, None] >> np.arange(k - 1, -1, -1)) & 1).astype(np.uint8)
    signs = 1 - 2 * ((words @ BASIS[:, :k].T) & 1).astype(np.float32)
    scores = total @ signs.T
    best = scores.argmax(1)
    return words[best], share(scores[np.arange(len(llr)), best], np.abs(llr).sum(1))


def share(part: npt.NDArray[np.float32], whole: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Quotients float32 [batch], 0 where there is nothing at all."""
    return np.divide(part, whole, out=np.zeros(len(part), np.float32), where=whole > 0)
