"""The K-best search of `receivers.classical.tree_kernel` for many resource elements at once, one in each vector lane.

All of them take the same steps: candidates are compared in a fixed order (`receivers.classical.selection_network`). A
path is the number whose digits are the indices of its levels, in one integer with its metric.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from receivers.classical.float_bits import packed, value_of
from receivers.classical.selection_network import LANES, merge, prune, sort
from receivers.classical.tree_systems import gram, triangular
from receivers.jit import compiled

# Of a packed path, what is not its metric.
_PATH = 2**32 - 1
_NOTHING = np.float32(np.inf)


@compiled
def _digit(path: np.int64, shift: int, mask: int) -> np.float32:
    """Index of the level at a place of a path."""
    return np.float32((path >> shift) & mask)


@compiled
def _take_off(
    path: NDArray,
    shift: int,
    bits: int,
    mask: int,
    first: np.float32,
    step: np.float32,
    of_real: NDArray,
    of_imag: NDArray,
    sign: np.float32,
    centre: NDArray,
) -> None:
    """What a layer's levels bring to an axis of another: of_real real + sign of_imag imag."""
    for k in range(LANES):
        real = first + step * _digit(path[k], shift, mask)
        imag = first + step * _digit(path[k], shift + bits, mask)
        centre[k] -= of_real[k] * real + sign * of_imag[k] * imag


@compiled
def _centre(i: int, axis: int, bits: int, row: NDArray, system: tuple, levels: NDArray, centre: NDArray) -> None:
    """Where an axis of layer i would be, given the levels of the layers after it."""
    _, br, bi, cr, ci, _ = system
    mask, first, step = levels.size - 1, levels[0], levels[1] - levels[0]
    start = br[i] if axis == 0 else bi[i]
    for k in range(LANES):
        centre[k] = start[k]
    for j in range(i + 1, br.shape[0]):
        shift = 2 * j * bits
        if axis == 0:
            _take_off(row, shift, bits, mask, first, step, cr[i, j], ci[i, j], np.float32(-1), centre)
        else:
            _take_off(row, shift, bits, mask, first, step, ci[i, j], cr[i, j], np.float32(1), centre)


@compiled
def _select(count: int, size: int, keep: int, rows: NDArray) -> None:
    """The least `keep` of count times size rows [row x lane] to the first ones. Powers of two, keep and size up to
    `MAX_LENGTH`."""
    half = max(1, size // 2)
    for first in range(0, count * size, size):
        middle = (first + half) * LANES
        sort(size, rows[first * LANES : middle], rows[middle : (first + size) * LANES])
    # lists of `length` rows, `distance` apart; of longer ones the first are enough
    length, distance, total = min(size, keep), size, count * size
    while distance < total:
        for first in range(0, total, 2 * distance):
            second = first + distance
            a, b = rows[first * LANES : (first + length) * LANES], rows[second * LANES : (second + length) * LANES]
            if 2 * length <= keep:
                merge(length, a, b)
            else:
                prune(length, a, b)
        if 2 * length <= keep:
            length *= 2
        distance *= 2


@compiled
def _grow(path: NDArray, centre: NDArray, gain: NDArray, level: np.float32, digit: int, row: NDArray) -> None:
    """A path with one more level."""
    for k in range(LANES):
        before, away = path[k], centre[k] - level
        row[k] = packed(value_of(before) + gain[k] * away * away, (before & _PATH) | digit)


@compiled
def _best_paths(system: tuple, levels: NDArray, bits: int, paths: NDArray, grown: NDArray, centre: NDArray) -> int:
    """The paths that reach the end, with their metrics, and their number. paths [num_paths, lane] and grown
    [num_paths x levels x lane] are `packed` metrics and paths."""
    d = system[0]
    num_layers, count, size, keep = d.shape[0], 1, levels.size, paths.shape[0]
    for k in range(LANES):
        paths[0, k] = 0
    for depth in range(2 * num_layers):
        i, axis = num_layers - 1 - depth // 2, depth % 2
        shift = (2 * i + axis) * bits
        for p in range(count):
            _centre(i, axis, bits, paths[p], system, levels, centre)
            before = paths[p]
            for index in range(size):
                place = (p * size + index) * LANES
                row, level, digit = grown[place : place + LANES], levels[index], np.int64(index) << shift
                _grow(before, centre, d[i], level, digit, row)
        if count * size > keep:
            _select(count, size, keep, grown)
        count = min(count * size, keep)
        for p in range(count):
            row, path = grown[p * LANES : (p + 1) * LANES], paths[p]
            for k in range(LANES):
                path[k] = row[k]
    return count


@compiled
def _nearest_other(
    bit: int,
    centre: NDArray,
    levels: NDArray,
    labels: NDArray,
    best: NDArray,
    chosen: NDArray,
    nearest: NDArray,
    value: NDArray,
) -> None:
    """The levels nearest to the centres whose label has another bit than the best ones. nearest, value: scratch."""
    for k in range(LANES):
        value[k] = 0
        nearest[k] = _NOTHING
        chosen[k] = levels[0]
    for index in range(levels.size):
        level, label = levels[index], np.float32(labels[index, bit])
        for k in range(LANES):
            value[k] += label * np.float32(best[k] == level)
    for index in range(levels.size):
        level, label = levels[index], np.float32(labels[index, bit])
        for k in range(LANES):
            away, before, was = abs(centre[k] - level), nearest[k], chosen[k]
            # a label that agrees is as far away as nothing
            found = away if value[k] != label else _NOTHING
            nearest[k] = found if found < before else before
            chosen[k] = level if found < before else was


@compiled
def _other_values(
    i: int, axis: int, bit: int, system: tuple, levels: NDArray, labels: NDArray, best: NDArray, work: tuple
) -> None:
    """`tree_kernel._other_value` of all lanes: distance of the path that leaves the best one at a bit of layer i.

    best [layer, axis, lane]: its levels. work: result [lane], and scratch.
    """
    total, path, centre, nearest, value = work
    d, br, bi, cr, ci, _ = system
    num_layers, first, step = d.shape[0], levels[0], levels[1] - levels[0]
    largest = np.float32(levels.size - 1)
    for k in range(LANES):
        total[k] = 0
    for j in range(num_layers - 1, -1, -1):
        for a in range(2):
            start = br[j] if a == 0 else bi[j]
            for k in range(LANES):
                centre[k] = start[k]
            for m in range(j + 1, num_layers):
                for k in range(LANES):
                    of_real = cr[j, m, k] * path[m, 0, k] - ci[j, m, k] * path[m, 1, k]
                    of_imag = cr[j, m, k] * path[m, 1, k] + ci[j, m, k] * path[m, 0, k]
                    centre[k] -= of_real if a == 0 else of_imag
            chosen = path[j, a]
            if j > i or (j == i and a < axis):
                for k in range(LANES):
                    chosen[k] = best[j, a, k]
            elif j == i and a == axis:
                _nearest_other(bit, centre, levels, labels, best[j, a], chosen, nearest, value)
            else:
                for k in range(LANES):
                    index = np.floor((centre[k] - first) / step + np.float32(0.5))
                    index = np.float32(0) if index < 0 else index
                    index = largest if index > largest else index
                    chosen[k] = first + step * index
            for k in range(LANES):
                away = centre[k] - chosen[k]
                # without the power of the symbol, which the MMSE problem adds
                total[k] += d[j, k] * away * away - chosen[k] * chosen[k]


@compiled
def _best_levels(
    paths: NDArray, count: int, bits: int, levels: NDArray, metric: NDArray, best: NDArray, work: tuple
) -> None:
    """Distances of the paths without the power of the symbols [path, lane], and the levels of the nearest one
    [layer, axis, lane]."""
    mask, first, step = levels.size - 1, levels[0], levels[1] - levels[0]
    least, nearest = work[0], work[2]
    for k in range(LANES):
        least[k] = _NOTHING
        nearest[k] = 0
    for p in range(count):
        path, row, number = paths[p], metric[p], np.float32(p)
        for k in range(LANES):
            row[k] = value_of(path[k])
        for place in range(2 * best.shape[0]):
            shift = place * bits
            for k in range(LANES):
                level = first + step * _digit(path[k], shift, mask)
                row[k] -= level * level
        for k in range(LANES):
            found, before, was = row[k], least[k], nearest[k]
            nearest[k] = number if found < before else was
            least[k] = found if found < before else before
    for i in range(best.shape[0]):
        for axis in range(2):
            for k in range(LANES):
                best[i, axis, k] = levels[(paths[int(nearest[k]), k] >> ((2 * i + axis) * bits)) & mask]


@compiled
def _take_by_sign(found: NDArray, code: NDArray, zero: NDArray, one: NDArray, half: np.float32) -> None:
    """Lower `zero` to what is found where the code is positive, `one` where negative; then the next bit's code."""
    for k in range(LANES):
        value, side, before_zero, before_one = found[k], code[k], zero[k], one[k]
        for_zero = value if side > 0 else _NOTHING
        for_one = value if side < 0 else _NOTHING
        zero[k] = for_zero if for_zero < before_zero else before_zero
        one[k] = for_one if for_one < before_one else before_one
        code[k] = half - abs(side)


@compiled
def _nearest_by_bit(
    paths: NDArray, count: int, shift: int, levels: NDArray, metric: NDArray, nearest: NDArray, code: NDArray
) -> None:
    """Least distance of the paths in which a bit of one axis is 0 and 1 [bit, 2, lane]; infinite without any."""
    bits, mask, largest = nearest.shape[0], levels.size - 1, np.float32(levels.size - 1)
    for bit in range(bits):
        for value in range(2):
            for k in range(LANES):
                nearest[bit, value, k] = _NOTHING
    for p in range(count):
        path, row = paths[p], metric[p]
        for k in range(LANES):
            index = _digit(path[k], shift, mask)
            code[k] = index + index - largest
        half = np.float32(levels.size)
        for bit in range(bits):
            # the first bit is the sign; the others label what is inside of either half likewise
            half *= np.float32(0.5)
            zero, one = nearest[bit, 0], nearest[bit, 1]
            _take_by_sign(row, code, zero, one, half)


@compiled
def search_lanes(
    y: NDArray, h: NDArray, noise: NDArray, levels: NDArray, labels: NDArray, num_paths: int, llr: NDArray
) -> None:
    """Max-log LLRs of all resource elements.

    y [batch, rx, 2 n], h [batch, rx, layer, 2 n], noise [batch, n] float32; levels [m] float32 ascending, labels
    [m, bits of an axis] bool; num_paths: a power of two up to `MAX_LENGTH`, as m is; llr [batch, layer, n, bit]
    float32: result.
    """
    num_layers, bits, n, size = h.shape[2], labels.shape[1], noise.shape[1], levels.size
    of_layers, row = (num_layers, LANES), np.float32
    system = (
        np.empty(of_layers, row),
        np.empty(of_layers, row),
        np.empty(of_layers, row),
        np.empty((num_layers, num_layers, LANES), row),
        np.empty((num_layers, num_layers, LANES), row),
        np.empty(of_layers, row),
    )
    metric = np.empty((num_paths, LANES), row)
    paths, grown = np.empty((num_paths, LANES), np.int64), np.empty(num_paths * size * LANES, np.int64)
    best, path = np.empty((num_layers, 2, LANES), row), np.empty((num_layers, 2, LANES), row)
    nearest, centre = np.empty((bits, 2, LANES), row), np.empty(LANES, row)
    work = (np.empty(LANES, row), path, centre, np.empty(LANES, row), np.empty(LANES, row))
    order = system[5]
    for b in range(y.shape[0]):
        for first in range(0, n, LANES):
            length = min(LANES, n - first)
            gram(y[b], h[b], noise[b, first : first + length], first, system)
            triangular(system, centre)
            count = _best_paths(system, levels, bits, paths, grown, centre)
            _best_levels(paths, count, bits, levels, metric, best, work)
            for i in range(num_layers):
                for axis in range(2):
                    _nearest_by_bit(paths, count, (2 * i + axis) * bits, levels, metric, nearest, centre)
                    for bit in range(bits):
                        zero, one = nearest[bit, 0], nearest[bit, 1]
                        missing = 0
                        for k in range(LANES):
                            missing += (zero[k] == _NOTHING) | (one[k] == _NOTHING)
                        if missing:
                            _other_values(i, axis, bit, system, levels, labels, best, work)
                            other = work[0]
                            for k in range(LANES):
                                found, for_zero, for_one = other[k], zero[k], one[k]
                                zero[k] = found if for_zero == _NOTHING else for_zero
                                one[k] = found if for_one == _NOTHING else for_one
                        for k in range(length):
                            llr[b, int(order[i, k]), first + k, 2 * bit + axis] = one[k] - zero[k]
