"""The loops of the K-best search, compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from receivers.jit import compiled


@compiled
def triangular(h: NDArray, y: NDArray, order: NDArray, q: NDArray, r: NDArray, z: NDArray) -> None:
    """Sorted QR decomposition of the MMSE problem: [h; I][:, order] = Q R, z = Q^H [y; 0].

    h [rx, layer], y [rx] in unit noise, results order [layer], r [layer, layer] (upper triangle), z [layer];
    q [rx + layer, layer] is scratch. Of the layers left, the one that stands out least from those before it comes next,
    so the search begins with the surest (D. Wuebben et al., VTC 2003). ||z - R x||^2 = ||y - H x||^2 + ||x||^2 + const.
    """
    num_rx, num_layers = h.shape
    for i in range(num_layers):
        order[i] = i
        for a in range(num_rx):
            q[a, i] = h[a, i]
        for a in range(num_layers):
            q[num_rx + a, i] = 1 if a == i else 0
    for i in range(num_layers):
        least = i
        for j in range(i + 1, num_layers):
            if _power(q, j) < _power(q, least):
                least = j
        if least != i:
            order[i], order[least] = order[least], order[i]
            for a in range(q.shape[0]):
                q[a, i], q[a, least] = q[a, least], q[a, i]
            for j in range(i):
                r[j, i], r[j, least] = r[j, least], r[j, i]
        norm = np.float32(np.sqrt(_power(q, i)))
        inverse = np.float32(1) / norm
        r[i, i] = norm
        z[i] = 0
        for a in range(q.shape[0]):
            q[a, i] *= inverse
        for a in range(num_rx):
            z[i] += q[a, i].conjugate() * y[a]
        for j in range(i + 1, num_layers):
            share = np.complex64(0)
            for a in range(q.shape[0]):
                share += q[a, i].conjugate() * q[a, j]
            r[i, j] = share
            for a in range(q.shape[0]):
                q[a, j] -= q[a, i] * share


@compiled
def _power(q: NDArray, column: int) -> np.float32:
    total = np.float32(0)
    for a in range(q.shape[0]):
        total += q[a, column].real ** 2 + q[a, column].imag ** 2
    return total


@compiled
def _centre(i: int, r: NDArray, z: NDArray, levels: NDArray, path: NDArray) -> np.complex64:
    """Where layer i would be, given the levels [layer, axis] of the layers after it."""
    rest = z[i]
    for j in range(i + 1, z.size):
        rest -= r[i, j] * np.complex64(levels[path[j, 0]] + 1j * levels[path[j, 1]])
    return rest / r[i, i].real


@compiled
def _nearest(x: np.float32, levels: NDArray) -> int:
    """Index of the level nearest to x."""
    step = levels[1] - levels[0]
    return min(max(int(np.floor((x - levels[0]) / step + np.float32(0.5))), 0), levels.size - 1)


@compiled
def _insert(total: np.float32, parent: int, level: int, count: int, metric: NDArray, found: NDArray) -> None:
    """Put a candidate into the ascending list of `count`, the last one falling out where it is full."""
    place = min(count, metric.size - 1)
    while place > 0 and metric[place - 1] > total:
        metric[place] = metric[place - 1]
        found[place, 0] = found[place - 1, 0]
        found[place, 1] = found[place - 1, 1]
        place -= 1
    metric[place] = total
    found[place, 0] = parent
    found[place, 1] = level


@compiled
def _extend(
    i: int, axis: int, count: int, r: NDArray, z: NDArray, levels: NDArray, state: tuple, new: tuple, found: NDArray
) -> int:
    """All paths with one more level, the best of them. state, new: metric [path], levels' indices [path, layer, axis].

    Paths are in ascending order, and so are a path's levels: what cannot be among the best is never looked at.
    """
    metric, paths = state
    next_metric, next_paths = new
    gain = r[i, i].real * r[i, i].real
    size = metric.size
    grown = 0
    for p in range(count):
        if grown == size and metric[p] >= next_metric[size - 1]:
            break
        centre = _centre(i, r, z, levels, paths[p])
        x = centre.real if axis == 0 else centre.imag
        start = _nearest(x, levels)
        below, above = start - 1, start
        for _ in range(levels.size):
            if below < 0:
                level = above
            elif above >= levels.size or x - levels[below] < levels[above] - x:
                level = below
            else:
                level = above
            if level == below:
                below -= 1
            else:
                above += 1
            away = x - levels[level]
            total = metric[p] + gain * away * away
            if grown == size and total >= next_metric[size - 1]:
                break
            _insert(total, p, level, grown, next_metric, found)
            grown = min(grown + 1, size)
    for p in range(grown):
        parent = found[p, 0]
        for j in range(i, z.size):
            next_paths[p, j, 0] = paths[parent, j, 0]
            next_paths[p, j, 1] = paths[parent, j, 1]
        next_paths[p, i, axis] = found[p, 1]
    return grown


@compiled
def _other_value(
    i: int, axis: int, bit: int, r: NDArray, z: NDArray, levels: NDArray, labels: NDArray, best: NDArray, path: NDArray
) -> np.float32:
    """Squared distance of the path that leaves the best one at a bit of layer i, and takes nearest levels after it."""
    total = np.float32(0)
    for j in range(z.size - 1, -1, -1):
        if j > i:
            path[j, 0], path[j, 1] = best[j, 0], best[j, 1]
        centre = _centre(j, r, z, levels, path)
        for a in range(2):
            x = centre.real if a == 0 else centre.imag
            if j == i and a == axis:
                nearest = -1
                for level in range(levels.size):
                    if labels[level, bit] != labels[best[i, axis], bit] and (
                        nearest < 0 or abs(x - levels[level]) < abs(x - levels[nearest])
                    ):
                        nearest = level
                path[j, a] = nearest
            elif j < i or (j == i and a > axis):
                path[j, a] = _nearest(x, levels)
            elif j == i:
                path[j, a] = best[j, a]
            away = x - levels[path[j, a]]
            # without the power of the symbol, which the MMSE problem adds
            total += r[j, j].real * r[j, j].real * away * away - levels[path[j, a]] * levels[path[j, a]]
    return total


@compiled
def search(y: NDArray, h: NDArray, levels: NDArray, labels: NDArray, num_paths: int, exact: bool, llr: NDArray) -> None:
    """LLRs of all resource elements in unit noise.

    y [batch, rx, n], h [batch, rx, layer, n] complex64; levels [m] float32 ascending, labels [m, bits of an axis] bool;
    exact: sum over the paths instead of the best; llr [batch, n, layer, bit] float32: result.
    """
    num_rx, num_layers, bits = h.shape[1], h.shape[2], labels.shape[1]
    columns, received = np.empty((num_rx, num_layers), np.complex64), np.empty(num_rx, np.complex64)
    q, r = np.empty((num_rx + num_layers, num_layers), np.complex64), np.zeros((num_layers, num_layers), np.complex64)
    z, order = np.empty(num_layers, np.complex64), np.empty(num_layers, np.int64)
    metric, other_metric = np.empty(num_paths, np.float32), np.empty(num_paths, np.float32)
    paths = np.zeros((num_paths, num_layers, 2), np.int64)
    other_paths = np.zeros((num_paths, num_layers, 2), np.int64)
    found, path = np.empty((num_paths, 2), np.int64), np.zeros((num_layers, 2), np.int64)
    nearest = np.empty(2, np.float32)
    for b in range(y.shape[0]):
        for k in range(y.shape[2]):
            for a in range(num_rx):
                received[a] = y[b, a, k]
                for i in range(num_layers):
                    columns[a, i] = h[b, a, i, k]
            triangular(columns, received, order, q, r, z)
            metric[0] = 0
            count = 1
            for i in range(num_layers - 1, -1, -1):
                count = _extend(i, 0, count, r, z, levels, (metric, paths), (other_metric, other_paths), found)
                count = _extend(i, 1, count, r, z, levels, (other_metric, other_paths), (metric, paths), found)
            best = 0
            for p in range(count):
                for i in range(num_layers):
                    for axis in range(2):
                        metric[p] -= levels[paths[p, i, axis]] * levels[paths[p, i, axis]]
                if metric[p] < metric[best]:
                    best = p
            for i in range(num_layers):
                for axis in range(2):
                    for bit in range(bits):
                        nearest[0] = nearest[1] = np.inf
                        for p in range(count):
                            value = int(labels[paths[p, i, axis], bit])
                            if not exact:
                                nearest[value] = min(nearest[value], metric[p])
                            elif nearest[value] == np.inf:
                                nearest[value] = metric[p]
                            else:
                                low, high = min(nearest[value], metric[p]), max(nearest[value], metric[p])
                                nearest[value] = low - np.log1p(np.exp(low - high))
                        missing = 1 - int(labels[paths[best, i, axis], bit])
                        if nearest[missing] == np.inf:
                            nearest[missing] = _other_value(i, axis, bit, r, z, levels, labels, paths[best], path)
                        llr[b, k, order[i], 2 * bit + axis] = nearest[1] - nearest[0]
