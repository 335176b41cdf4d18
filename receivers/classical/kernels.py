"""Loops of levels and channel estimation on a CPU, compiled.

Complex numbers are pairs of float32 along the last axis.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from receivers.jit import compiled

Floats = NDArray[np.float32]

_LANES = 64


@compiled
def square_sums(rows: Floats, sums: Floats) -> None:
    """Sum of the squares of every row [n, length], in so many partial sums that registers are filled; sums [n]."""
    partial = np.empty(_LANES, np.float32)
    whole = rows.shape[1] // _LANES * _LANES
    for i in range(rows.shape[0]):
        partial[:] = 0
        for first in range(0, whole, _LANES):
            part = rows[i, first : first + _LANES]
            for k in range(_LANES):
                partial[k] += part[k] * part[k]
        for k in range(rows.shape[1] - whole):
            partial[k] += rows[i, whole + k] * rows[i, whole + k]
        total = np.float64(0)
        for k in range(_LANES):
            total += partial[k]
        sums[i] = np.float32(total)


@compiled
def despread(y: Floats, weights: Floats, symbols: NDArray, firsts: NDArray, spacing: int, pairs: Floats) -> None:
    """Weighted sums of pairs of neighbouring pilots.

    y [batch, rx, symbol, 2 subcarrier]; weights [layer, pilot symbol, 2 pilot]; symbols [pilot symbol];
    firsts [layer]: first pilot's subcarrier; pairs [batch, rx, layer, pilot symbol, 2 pair]: result.
    """
    for b in range(y.shape[0]):
        for r in range(y.shape[1]):
            for layer in range(firsts.size):
                for p in range(symbols.size):
                    received = y[b, r, symbols[p]]
                    weight = weights[layer, p]
                    pair = pairs[b, r, layer, p]
                    for i in range(pair.size // 2):
                        k = 2 * (firsts[layer] + 2 * i * spacing)
                        j = k + 2 * spacing
                        c, d = received[k], received[k + 1]
                        e, f = received[j], received[j + 1]
                        cr, ci, er, ei = weight[4 * i], weight[4 * i + 1], weight[4 * i + 2], weight[4 * i + 3]
                        pair[2 * i] = c * cr - d * ci + e * er - f * ei
                        pair[2 * i + 1] = c * ci + d * cr + e * ei + f * er


@compiled
def interpolate(pairs: Floats, lefts: NDArray, rights: NDArray, shares: Floats, out: Floats) -> None:
    """Between the values at two indices, per layer and subcarrier.

    pairs [batch, rx, layer, pilot symbol, 2 pair]; lefts, rights, shares [layer, subcarrier];
    out [batch, rx, layer, pilot symbol, 2 subcarrier]: (1 - share) left + share right.
    """
    for b in range(pairs.shape[0]):
        for r in range(pairs.shape[1]):
            for layer in range(pairs.shape[2]):
                left, right, share = lefts[layer], rights[layer], shares[layer]
                for p in range(pairs.shape[3]):
                    pair = pairs[b, r, layer, p]
                    row = out[b, r, layer, p]
                    for k in range(share.size):
                        i, j, w = 2 * left[k], 2 * right[k], share[k]
                        row[2 * k] = pair[i] + w * (pair[j] - pair[i])
                        row[2 * k + 1] = pair[i + 1] + w * (pair[j + 1] - pair[i + 1])


@compiled
def over_time(weights: Floats, modes: Floats, layer: int, h: Floats) -> None:
    """The channel of a layer from functions over frequency: h(symbol, k) = sum over modes of weight(symbol) mode(k).

    weights [batch, symbol, 2 mode]; modes [batch, rx, mode, 2 subcarrier]; h [batch, rx, layer, symbol, 2 subcarrier]:
    the rows of one layer are written.
    """
    for b in range(modes.shape[0]):
        for r in range(modes.shape[1]):
            for t in range(weights.shape[1]):
                row = h[b, r, layer, t]
                for m in range(modes.shape[2]):
                    real, imag = weights[b, t, 2 * m], weights[b, t, 2 * m + 1]
                    mode = modes[b, r, m]
                    if m == 0:
                        for k in range(row.size // 2):
                            c, d = mode[2 * k], mode[2 * k + 1]
                            row[2 * k] = real * c - imag * d
                            row[2 * k + 1] = real * d + imag * c
                    else:
                        for k in range(row.size // 2):
                            c, d = mode[2 * k], mode[2 * k + 1]
                            row[2 * k] += real * c - imag * d
                            row[2 * k + 1] += real * d + imag * c
