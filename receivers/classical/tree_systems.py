"""The triangular systems that `receivers.classical.tree_lanes` searches, of many resource elements at once.

A system is a tuple of rows of `LANES` float32: d [layer], the diagonal of the Gram matrix; br, bi [layer], the matched
filter; cr, ci [layer, layer], what is right of the diagonal; order [layer], the layers' numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from receivers.classical.selection_network import LANES
from receivers.jit import compiled


@compiled
def _swap_where(mask: NDArray, a: NDArray, b: NDArray) -> None:
    for k in range(LANES):
        first, second, swaps = a[k], b[k], mask[k] > 0
        a[k] = second if swaps else first
        b[k] = first if swaps else second


@compiled
def _negate_where(mask: NDArray, a: NDArray) -> None:
    for k in range(LANES):
        a[k] *= np.float32(1) - np.float32(2) * mask[k]


@compiled
def gram(y: NDArray, h: NDArray, noise: NDArray, start: int, system: tuple) -> None:
    """H^H H in unit noise plus the identity, and H^H y, of the resource elements from `start` on; y [rx, 2 n],
    h [rx, layer, 2 n]; noise: of these alone, up to `LANES`."""
    n = noise.size
    stop = start + n
    d, br, bi, cr, ci, order = system
    num_layers = d.shape[0]
    for i in range(num_layers):
        for k in range(LANES):
            d[i, k] = br[i, k] = bi[i, k] = 0
            order[i, k] = i
        for j in range(i + 1, num_layers):
            for k in range(LANES):
                cr[i, j, k] = ci[i, j, k] = 0
        for a in range(h.shape[0]):
            of, received = h[a, i, 2 * start : 2 * stop], y[a, 2 * start : 2 * stop]
            for k in range(n):
                real, imag = of[2 * k], of[2 * k + 1]
                d[i, k] += real * real + imag * imag
                br[i, k] += real * received[2 * k] + imag * received[2 * k + 1]
                bi[i, k] += real * received[2 * k + 1] - imag * received[2 * k]
            for j in range(i + 1, num_layers):
                other = h[a, j, 2 * start : 2 * stop]
                for k in range(n):
                    real, imag = of[2 * k], of[2 * k + 1]
                    cr[i, j, k] += real * other[2 * k] + imag * other[2 * k + 1]
                    ci[i, j, k] += real * other[2 * k + 1] - imag * other[2 * k]
        for k in range(n):
            weight = np.float32(1) / noise[k]
            d[i, k] *= weight
            br[i, k] *= weight
            bi[i, k] *= weight
        for j in range(i + 1, num_layers):
            for k in range(n):
                weight = np.float32(1) / noise[k]
                cr[i, j, k] *= weight
                ci[i, j, k] *= weight
        for k in range(LANES):
            d[i, k] += np.float32(1)


@compiled
def triangular(system: tuple, mask: NDArray) -> None:
    """Sorted Cholesky factor R of the Gram matrix in place of it, z = R^-H b in place of b; the same order of layers as
    `tree_kernel.triangular`. In the end d is the squared diagonal, and rows of R and z are over it.

    No pivot is below 1, that of the identity, but for rounding.
    """
    d, br, bi, cr, ci, order = system
    num_layers = d.shape[0]
    for i in range(num_layers):
        for j in range(i + 1, num_layers):
            for k in range(LANES):
                mask[k] = np.float32(d[j, k] < d[i, k])
            _swap_where(mask, d[i], d[j])
            _swap_where(mask, br[i], br[j])
            _swap_where(mask, bi[i], bi[j])
            _swap_where(mask, order[i], order[j])
            for m in range(i):
                _swap_where(mask, cr[m, i], cr[m, j])
                _swap_where(mask, ci[m, i], ci[m, j])
            for m in range(i + 1, num_layers):
                if m > j:
                    _swap_where(mask, cr[i, m], cr[j, m])
                    _swap_where(mask, ci[i, m], ci[j, m])
                elif m < j:
                    _swap_where(mask, cr[i, m], cr[m, j])
                    _swap_where(mask, ci[i, m], ci[m, j])
                    _negate_where(mask, ci[i, m])
                    _negate_where(mask, ci[m, j])
                else:
                    _negate_where(mask, ci[i, j])
        for k in range(LANES):
            pivot = d[i, k]
            pivot = np.float32(1) if pivot < np.float32(1) else pivot
            d[i, k] = pivot
            mask[k] = np.float32(1) / pivot
            # z and R over the diagonal of R
            br[i, k] *= mask[k]
            bi[i, k] *= mask[k]
        for m in range(i + 1, num_layers):
            for k in range(LANES):
                real, imag = cr[i, m, k], ci[i, m, k]
                d[m, k] -= (real * real + imag * imag) * mask[k]
                br[m, k] -= real * br[i, k] + imag * bi[i, k]
                bi[m, k] -= real * bi[i, k] - imag * br[i, k]
            for p in range(m + 1, num_layers):
                for k in range(LANES):
                    real, imag = cr[i, m, k] * mask[k], ci[i, m, k] * mask[k]
                    cr[m, p, k] -= real * cr[i, p, k] + imag * ci[i, p, k]
                    ci[m, p, k] -= real * ci[i, p, k] - imag * cr[i, p, k]
        for m in range(i + 1, num_layers):
            for k in range(LANES):
                cr[i, m, k] *= mask[k]
                ci[i, m, k] *= mask[k]
