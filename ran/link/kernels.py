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
        e = (bits - I32(0x3F3504F3)) >> I32(23)
        x = I32(bits - (I32(e) << I32(23))).view(F) - _ONE
        p = (((_L9 * x + _L8) * x + _L7) * x + _L6) * x + _L5
        p = ((((p * x + _L4) * x + _L3) * x + _L2) * x + _L1) * x + _L0
        square = -(x - _HALF * x * x + x * x * x * p + F(I32(e) - I32(32)) * _LN2)
        radius = np.sqrt(_ZERO if square < _ZERO else square)
        # two bits choose the quadrant, thirty the place within 45 degrees of its axis
        word = second[i]
        t = F(I32(word & U32(0x3FFFFFFF)) - I32(0x20000000)) * F(2.0**-30)
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
def receive(h: Floats, x: Floats, keys: NDArray[np.uint32], offset: int, amplitude: float, y: Floats) -> None:
    """y = sum over layers of h x, plus noise.

    h [batch, rx, layer, symbol, 2 subcarrier]: from subcarrier `offset` on, an even number of an even number;
    x [batch, layer, symbol, 2 subcarrier] and y [batch, rx, symbol, 2 subcarrier]: all subcarriers, of which those of
    `h` are written; keys uint32 [batch, 4]; amplitude float32: of the noise. The noise of a resource element has the
    number of its place in the drop's part of y.
    """
    words = np.empty((4, _BLOCK), U32)
    re, im = np.empty((2, _BLOCK), F), np.empty((2, _BLOCK), F)
    num_subcarriers, row = h.shape[4] // 2, y.shape[3] // 2
    for b in range(h.shape[0]):
        for r in range(h.shape[1]):
            for t in range(h.shape[3]):
                for first in range(0, num_subcarriers, 2 * _BLOCK):
                    n = min(2 * _BLOCK, num_subcarriers - first)
                    out = y[b, r, t, 2 * (offset + first) : 2 * (offset + first + n)]
                    number = (r * h.shape[3] + t) * row + offset + first
                    _philox(keys[b], number // 2, n // 2, words)
                    _box_muller(words[0], words[1], n // 2, re[0], im[0])
                    _box_muller(words[2], words[3], n // 2, re[1], im[1])
                    for k in range(n // 2):
                        out[4 * k] = amplitude * re[0, k]
                        out[4 * k + 1] = amplitude * im[0, k]
                        out[4 * k + 2] = amplitude * re[1, k]
                        out[4 * k + 3] = amplitude * im[1, k]
                    for layer in range(h.shape[2]):
                        channel = h[b, r, layer, t, 2 * first : 2 * (first + n)]
                        sent = x[b, layer, t, 2 * (offset + first) : 2 * (offset + first + n)]
                        for k in range(n):
                            hr, hi, xr, xi = channel[2 * k], channel[2 * k + 1], sent[2 * k], sent[2 * k + 1]
                            out[2 * k] += hr * xr - hi * xi
                            out[2 * k + 1] += hr * xi + hi * xr


@compiled
def map_to_grid(bits: NDArray[np.uint8], points: Floats, data: NDArray, pilots: Floats, x: Floats) -> None:
    """Symbols of the data REs, and the pilots around them.

    bits [batch, layer, data RE, bit]; points [2^bits, 2]: the constellation with the layers' amplitude;
    data [data RE]: position on the flattened grid; pilots [layer, 2 RE]; x [batch, layer, 2 RE]: result.
    """
    for b in range(bits.shape[0]):
        for layer in range(bits.shape[1]):
            out = x[b, layer]
            out[:] = pilots[layer]
            group = bits[b, layer]
            for i in range(data.size):
                index = 0
                for j in range(group.shape[1]):
                    index = 2 * index + group[i, j]
                out[2 * data[i]] = points[index, 0]
                out[2 * data[i] + 1] = points[index, 1]
