"""The first numbers of many of numpy's Philox generators at once, without making the generators.

Making a generator takes numpy longer than a small slot's numbers take from it. These are the same numbers, bit for bit:
the counter-based generator of J. K. Salmon et al. (SC 2011), Philox 4x64 with 10 rounds, in numpy's order of its words,
and numpy's ziggurat (G. Marsaglia and W. W. Tsang, J. Stat. Softw. 5(8), 2000) in single precision. Its tables come
from numba, which has them to give numpy's numbers in compiled code.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.random._constants import fi_float, ki_float, wi_float, ziggurat_nor_inv_r_f, ziggurat_nor_r_f
from numpy.typing import NDArray

from receivers.jit import compiled_to_the_digit

_U = np.uint64
_MULTIPLIERS = _U(0xD2E7470EE14C6C93), _U(0xCA5A826395121157)
_INCREMENTS = _U(0x9E3779B97F4A7C15), _U(0xBB67AE8584CAA73B)
_M0, _M1 = _MULTIPLIERS
_W0, _W1 = _INCREMENTS
_ROUNDS = 10
# Words that are made at a time.
_AT_ONCE = 256
_R, _INVERSE_R = np.float32(ziggurat_nor_r_f), np.float32(ziggurat_nor_inv_r_f)
_FROM_24_BITS = np.float32(2.0**-24)


@intrinsic
def _upper_product(typing_context: Any, a: Any, b: Any) -> Any:
    """The upper 64 of the 128 bits of a product of uint64."""
    if a != types.uint64 or b != types.uint64:
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide, word = ir.IntType(128), ir.IntType(64)
        product = builder.mul(*(builder.zext(argument, wide) for argument in arguments))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), word)

    return types.uint64(types.uint64, types.uint64), generate


@compiled_to_the_digit
def _fill(key: NDArray, counter: int, words: NDArray) -> None:
    """Words [4 n] of n counters from one on. None waits for another: a processor works on several at a time."""
    for block in range(words.size // 4):
        # numpy counts on before it draws
        c0, c1, c2, c3 = _U(counter + block + 1), _U(0), _U(0), _U(0)
        k0, k1 = key[0], key[1]
        for _ in range(_ROUNDS):
            upper0, lower0 = _upper_product(_M0, c0), _M0 * c0
            upper1, lower1 = _upper_product(_M1, c2), _M1 * c2
            c0, c1, c2, c3 = upper1 ^ c1 ^ k0, lower1, upper0 ^ c3 ^ k1, lower0
            k0 += _W0
            k1 += _W1
        words[4 * block], words[4 * block + 1], words[4 * block + 2], words[4 * block + 3] = c0, c1, c2, c3


@compiled_to_the_digit
def raw_words(keys: NDArray, out: NDArray) -> None:
    """The first words of every generator; keys [batch, 2], out [batch, n], uint64, n a multiple of 4."""
    for b in range(keys.shape[0]):
        _fill(keys[b], 0, out[b])


@compiled_to_the_digit
def _uniform(bits: np.uint32) -> np.float32:
    return np.float32(bits >> np.uint32(8)) * _FROM_24_BITS


@compiled_to_the_digit
def first_normals(keys: NDArray, out: NDArray) -> None:
    """The first N(0, 1) of every generator; keys [batch, 2] uint64, out [batch, n] float32."""
    words = np.empty(_AT_ONCE, np.uint64)
    # the lower half of a word first, as numpy has it
    stream = words.view(np.uint32)
    # a normal takes at most 4 numbers in a turn, then the stream is looked at again
    last = stream.size - 4
    for b in range(keys.shape[0]):
        key, counter, place = keys[b], 0, 0
        _fill(key, counter, words)
        for i in range(out.shape[1]):
            while True:
                if place > last:
                    place, counter = _refilled(key, counter, place, words, stream)
                bits = stream[place]
                place += 1
                index = np.int64(bits & np.uint32(0xFF))
                size = bits >> np.uint32(9)
                x = np.float32(size) * wi_float[index]
                x = -x if bits & np.uint32(0x100) else x
                if size < ki_float[index]:
                    break
                if index == 0:
                    while True:
                        if place > last:
                            place, counter = _refilled(key, counter, place, words, stream)
                        far = -_INVERSE_R * np.log1p(-_uniform(stream[place]))
                        other = -np.log1p(-_uniform(stream[place + 1]))
                        place += 2
                        if other + other > far * far:
                            break
                    x = -(_R + far) if size & np.uint32(0x100) else _R + far
                    break
                # numpy takes the exponential in double precision
                height = (fi_float[index - 1] - fi_float[index]) * _uniform(stream[place]) + fi_float[index]
                place += 1
                if np.float64(height) < np.exp(-0.5 * np.float64(x) * np.float64(x)):
                    break
            out[b, i] = x


@compiled_to_the_digit
def _refilled(key: NDArray, counter: int, place: int, words: NDArray, stream: NDArray) -> tuple[int, int]:
    """Place and counter in words that begin with the word of that place."""
    counter += place // 8
    _fill(key, counter, words)
    return place % 8, counter
