"""Loops of the transmitter and the channel on a CPU, compiled.

Complex numbers are pairs of float32 along the last axis. The received grid is computed row by row, noise included, so
that nothing but channel, transmitted grid and result passes through memory.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ran.link.noise import INCREMENTS, MULTIPLIERS, NUM_ROUNDS
from receivers.jit import compiled

Floats = NDArray[np.float32]

F, U32, U64, I32 = np.float32, np.uint32, np.uint64, np.int32
_M0, _M1, _W0, _W1 = (U64(value) for value in (*MULTIPLIERS, *INCREMENTS))
_ROUNDS = NUM_ROUNDS
_LOW, _32 = U64(0xFFFFFFFF), U64(32)
_ZERO, _HALF, _ONE, _LN2 = F(0), F(0.5), F(1), F(math.log(2))
# (ln(1 + x) - x + x^2/2) / x^3 between sqrt(1/2) - 1 and sqrt(2) - 1: Chebyshev interpolation, error of ln below 2e-10
_L0, _L1, _L2, _L3, _L4 = F(0.3333333328), F(-0.2499999027), F(0.2000001003), F(-0.1666800152), F(0.1428652497)
_L5, _L6, _L7, _L8, _L9 = F(-0.1245074359), F(0.1103777729), F(-0.1064618428), F(0.1053089413), F(-0.06201549028)
# Taylor series of sin(pi/2 t) and cos(pi/2 t), t up to 1/2
_S1, _S3, _S5, _S7, _S9 = (F((-1) ** i * (math.pi / 2) ** n / math.factorial(n)) for i, n in enumerate((1, 3, 5, 7, 9)))
_C2, _C4, _C6, _C8 = (F((-1) ** i * (math.pi / 2) ** n / math.factorial(n)) for i, n in enumerate((2, 4, 6, 8), 1))
#: Brings the low bits of the eight bytes of a word to its top, byte 0 first; no two partial products meet.
_TO_TOP = U64(0x8040201008040201)
#: Counters whose numbers are drawn together; what they need stays in the first-level cache.
_BLOCK = 256


@compiled
def _philox(key: NDArray[np.uint32], first: int, n: int, words: NDArray[np.uint32]) -> None:
    """Words uint32 [4, n] of the counters from `first`."""
    k0, k1, c2, c3 = U64(key[0]), U64(key[1]), U64(key[2]), U64(key[3])
    for i in range(n):
        counter = U64(first + i)
        x0, x1, x2, x3 = counter & _LOW, counter >> _32, c2, c3
        a, b = k0, k1
        for _ in range(_ROUNDS):
            p, q = x0 * _M0, x2 * _M1
            x0 = (q >> _32) ^ x1 ^ a
            x1 = q & _LOW
            x2 = (p >> _32) ^ x3 ^ b
            x3 = p & _LOW
            a = (a + _W0) & _LOW
            b = (b + _W1) & _LOW
        words[0, i], words[1, i], words[2, i], words[3, i] = U32(x0), U32(x1), U32(x2), U32(x3)


@compiled
def _box_muller(first: NDArray[np.uint32], second: NDArray[np.uint32], n: int, re: Floats, im: Floats) -> None:
    """CN(0, 1) from two words each: -ln u is the squared amplitude, the other word the angle."""
    for i in range(n):
        u = F(first[i]) + _HALF
        bits = F(u).view(I32)
        # u = m 2^e with m from sqrt(1/2) to sqrt(2): then ln(u / 2^32) is accurate also where it is small
        e = I32(I32(bits - I32(0x3F3504F3)) >> I32(23))
        x = I32(bits - I32(e << I32(23))).view(F) - _ONE
        p = (((_L9 * x + _L8) * x + _L7) * x + _L6) * x + _L5
        p = ((((p * x + _L4) * x + _L3) * x + _L2) * x + _L1) * x + _L0
        square = -(x - _HALF * x * x + x * x * x * p + F(I32(e - I32(32))) * _LN2)
        radius = np.sqrt(_ZERO if square < _ZERO else square)
        # two bits choose the quadrant, thirty the place within 45 degrees of its axis
        word = second[i]
        t = F(I32(I32(word & U32(0x3FFFFFFF)) - I32(0x20000000))) * F(2.0**-30)
        z = t * t
        sine = radius * t * (_S1 + z * (_S3 + z * (_S5 + z * (_S7 + z * _S9))))
        cosine = radius * (_ONE + z * (_C2 + z * (_C4 + z * (_C6 + z * _C8))))
        quadrant = word >> U32(30)
        swap = (quadrant & U32(1)) != 0
        x_part = sine if swap else cosine
        y_part = cosine if swap else sine
        re[i] = -x_part if quadrant == 1 or quadrant == 2 else x_part
        im[i] = -y_part if quadrant >= 2 else y_part


@compiled
def _noise_row(
    key: NDArray[np.uint32], number: int, n: int, amplitude: float, words: NDArray, parts: Floats, out: Floats
) -> None:
    """n numbers of a stream from `number` on times `amplitude`, both even, into out [2 n]; words, parts: scratch."""
    _philox(key, number // 2, n // 2, words)
    _box_muller(words[0], words[1], n // 2, parts[0], parts[1])
    _box_muller(words[2], words[3], n // 2, parts[2], parts[3])
    for k in range(n // 2):
        out[4 * k] = amplitude * parts[0, k]
        out[4 * k + 1] = amplitude * parts[1, k]
        out[4 * k + 2] = amplitude * parts[2, k]
        out[4 * k + 3] = amplitude * parts[3, k]


@compiled
def white_noise(keys: NDArray[np.uint32], amplitude: float, y: Floats) -> None:
    """The numbers of each stream, CN(0, amplitude^2), into y [batch, row, 2 n], n even. keys uint32 [batch, 4]."""
    words, parts = np.empty((4, _BLOCK), U32), np.empty((4, _BLOCK), F)
    row = y.shape[2] // 2
    for b in range(y.shape[0]):
        for r in range(y.shape[1]):
            for first in range(0, row, 2 * _BLOCK):
                n = min(2 * _BLOCK, row - first)
                _noise_row(keys[b], r * row + first, n, amplitude, words, parts, y[b, r, 2 * first : 2 * (first + n)])


@compiled
def receive(
    g: Floats,
    over_time: Floats,
    x: Floats,
    first_layer: int,
    keys: NDArray[np.uint32],
    offset: int,
    amplitude: float,
    y: Floats,
    h: Floats,
) -> None:
    """y = sum over layers of h x, plus noise, where h(symbol) = sum over modes of over_time(symbol, mode) g(mode).

    g [batch, rx, layer, mode, 2 subcarrier]: from subcarrier `offset` on, an even number of an even number;
    over_time [symbol, mode]: empty where the modes are the symbols; x [batch, all layers, symbol, 2 subcarrier]: the
    layers of g are those from `first_layer` on; y [batch, rx, symbol, 2 subcarrier]: all subcarriers, of which those of
    `g` are written with the first layers, and added to with others. keys uint32 [batch, 4]; amplitude float32: of the
    noise, which has for a resource element the number of its place in the drop's part of y. h [batch, rx, all layers,
    symbol, 2 subcarrier]: gets the channel, unless it is empty.
    """
    words, parts = np.empty((4, _BLOCK), U32), np.empty((4, _BLOCK), F)
    buffer = np.empty(4 * _BLOCK, F)
    num_subcarriers, row, num_symbols = g.shape[4] // 2, y.shape[3] // 2, y.shape[2]
    # rows that are short are drawn together, where nothing is between them
    at_once = first_layer == 0 and num_subcarriers == row and row < 2 * _BLOCK
    for b in range(g.shape[0]):
        for r in range(g.shape[1]):
            if at_once:
                whole = y[b, r].reshape(-1)
                for first in range(0, num_symbols * row, 2 * _BLOCK):
                    n = min(2 * _BLOCK, num_symbols * row - first)
                    number = r * num_symbols * row + first
                    _noise_row(keys[b], number, n, amplitude, words, parts, whole[2 * first : 2 * (first + n)])
            for t in range(num_symbols):
                for first in range(0, num_subcarriers, 2 * _BLOCK):
                    n = min(2 * _BLOCK, num_subcarriers - first)
                    here = 2 * (offset + first)
                    out = y[b, r, t, here : here + 2 * n]
                    if first_layer == 0 and not at_once:
                        number = (r * num_symbols + t) * row + offset + first
                        _noise_row(keys[b], number, n, amplitude, words, parts, out)
                    for layer in range(g.shape[2]):
                        if over_time.size == 0:
                            channel = g[b, r, layer, t, 2 * first : 2 * (first + n)]
                        else:
                            channel = buffer[: 2 * n]
                            for mode in range(g.shape[3]):
                                weight = over_time[t, mode]
                                of_mode = g[b, r, layer, mode, 2 * first : 2 * (first + n)]
                                if mode == 0:
                                    for k in range(2 * n):
                                        channel[k] = weight * of_mode[k]
                                else:
                                    for k in range(2 * n):
                                        channel[k] += weight * of_mode[k]
                        if h.size:
                            h[b, r, first_layer + layer, t, here : here + 2 * n] = channel
                        sent = x[b, first_layer + layer, t, here : here + 2 * n]
                        for k in range(n):
                            hr, hi, xr, xi = channel[2 * k], channel[2 * k + 1], sent[2 * k], sent[2 * k + 1]
                            out[2 * k] += hr * xr - hi * xi
                            out[2 * k + 1] += hr * xi + hi * xr


@compiled
def _symbols(group: NDArray, points: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
    """Points of REs one after the other, whose bits are bytes of 0 and 1: group [RE, bit] uint8, or in pairs of bytes
    [RE, bit / 2] uint16, up to four; points [2^bits] and out [RE]: complex numbers as words."""
    n, width = group.shape
    if group.itemsize == 1:
        for i in range(n):
            index = 0
            for j in range(width):
                index = 2 * index + group[i, j]
            out[i] = points[index]
    # the product has byte k of the word, the first bit being byte 0, in bit 63 - k
    elif width == 1:
        for i in range(n):
            out[i] = points[(U64(group[i, 0]) * _TO_TOP) >> U64(62)]
    elif width == 2:
        for i in range(n):
            word = U64(group[i, 0]) | U64(group[i, 1]) << U64(16)
            out[i] = points[(word * _TO_TOP) >> U64(60)]
    elif width == 3:
        for i in range(n):
            word = U64(group[i, 0]) | U64(group[i, 1]) << U64(16) | U64(group[i, 2]) << U64(32)
            out[i] = points[(word * _TO_TOP) >> U64(58)]
    else:
        for i in range(n):
            word = U64(group[i, 0]) | U64(group[i, 1]) << U64(16)
            word |= U64(group[i, 2]) << U64(32) | U64(group[i, 3]) << U64(48)
            out[i] = points[(word * _TO_TOP) >> U64(56)]


@compiled
def map_to_grid(
    bits: NDArray,
    points: NDArray[np.uint64],
    mask: NDArray[np.bool_],
    pilots: NDArray[np.uint64],
    x: NDArray[np.uint64],
) -> None:
    """Symbols of the data REs, and the pilots around them. Complex numbers are words of 64 bits.

    bits [batch, layer, data RE, bit] uint8 or uint16, see `_symbols`; points [2^bits]: the constellation with the
    layers' amplitude; mask [symbol, subcarrier]: data REs; pilots [layer, symbol, subcarrier]; x [batch, layer, symbol,
    subcarrier]: result.
    """
    num_symbols, num_subcarriers = mask.shape
    row = np.empty(num_subcarriers, U64)
    num_data = np.zeros(num_symbols, np.int64)
    for t in range(num_symbols):
        for k in range(num_subcarriers):
            num_data[t] += mask[t, k]
    for b in range(bits.shape[0]):
        for layer in range(bits.shape[1]):
            start = 0
            for t in range(num_symbols):
                out, n = x[b, layer, t], num_data[t]
                group = bits[b, layer, start : start + n]
                start += n
                if n == num_subcarriers:
                    _symbols(group, points, out)
                    continue
                out[:] = pilots[layer, t]
                _symbols(group, points, row)
                place = 0
                for k in range(num_subcarriers):
                    if mask[t, k]:
                        out[k] = row[place]
                        place += 1
