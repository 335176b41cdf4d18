"""Source of the kernel of exact max-log detection of two layers, for one modulation.

The list of `receivers.classical.two_layer_list` from the Gram matrix of both layers in unit noise: for each point of a
layer the nearest point of the other, block by block as in `receivers.classical.unrolled`.
"""

from __future__ import annotations

import torch

from receivers.classical.expectation_propagation import LEAST_PIVOT
from receivers.classical.layer_rows import AXES, NUM_AXES, LayerRows, for_each_re, in_unit_noise
from receivers.classical.pam import pam_axis
from receivers.classical.qam import axis_scale
from receivers.classical.two_layer_list import LEAST_GAIN
from receivers.classical.unrolled import Rows, grid_rows, grid_source, write_source

_BLOCK = 128


def _directions(rows: Rows, layers: LayerRows) -> list[str]:
    """Of either layer: what of it is orthogonal to the other, and what of it and of the slot is along the other.

    Single precision knows the orthogonal part no better than `LEAST_PIVOT` of the layer's gain (-60 dB).
    """
    lines = []
    for layer in range(2):
        other = 1 - layer
        # h_other^H h_layer
        sign = "" if layer == 0 else "-"
        lines += [
            f"norm = {rows.at(f'a{other}{other}')}",
            "norm = LEAST_GAIN if norm < LEAST_GAIN else norm",
            "inverse = ONE / norm",
            f"cr = {rows.at('ar10')}",
            f"ci = {sign}{rows.at('ai10')}",
            f"yr = {rows.at(f'br{other}')} * inverse",
            f"yi = {rows.at(f'bi{other}')} * inverse",
            "hr = cr * inverse",
            "hi = ci * inverse",
            f"own_gain = {rows.at(f'a{layer}{layer}')}",
            "gain = own_gain - (cr * hr + ci * hi)",
            "least = LEAST_PIVOT * own_gain",
            "gain = least if gain < least else gain",
            "gain = LEAST_GAIN if gain < LEAST_GAIN else gain",
            "share = ONE / gain",
            f"{layers.at('norm', layer)} = norm * INNERMOST_SQUARED",
            f"{layers.at('gain', layer)} = gain",
            # h_layer^H y - (h_layer^H h_other) y along the other
            f"{layers.at('xr', layer)} = ({rows.at(f'br{layer}')} - (cr * yr + ci * yi)) * share",
            f"{layers.at('xi', layer)} = ({rows.at(f'bi{layer}')} - (cr * yi - ci * yr)) * share",
            f"{layers.at('yr', layer)} = yr * PER_INNERMOST",
            f"{layers.at('yi', layer)} = yi * PER_INNERMOST",
            f"{layers.at('hr', layer)} = hr * PER_INNERMOST",
            f"{layers.at('hi', layer)} = hi * PER_INNERMOST",
        ]
    return lines


def _rounded(axis: str, largest: int) -> list[str]:
    """Squared distance of the other layer's axis from its nearest level, both in units of the innermost one."""
    return [
        f"nearest = TWO * np.floor(HALF * c{axis}) + ONE",
        f"nearest = F({largest}) if nearest > F({largest}) else nearest",
        f"nearest = F({-largest}) if nearest < F({-largest}) else nearest",
        f"c{axis} -= nearest",
    ]


def _distances(layers: LayerRows, levels: list[float]) -> list[str]:
    """Distances of all points with one level on the real axis; the best of each row and column of points."""
    largest = len(levels) - 1
    lines = [
        f"gain = {layers.own('gain')}",
        f"norm = {layers.own('norm')}",
        f"hr = {layers.own('hr')}",
        f"hi = {layers.own('hi')}",
        f"away = {layers.own('xr')} - level",
        "real = away * away * gain",
        f"from_r = {layers.own('yr')} - hr * level",
        f"from_i = {layers.own('yi')} - hi * level",
        f"imag = {layers.own('xi')}",
    ]
    for j, level in enumerate(levels):
        lines += [
            f"away = imag - F({level!r})",
            f"cr = from_r + hi * F({level!r})",
            f"ci = from_i - hr * F({level!r})",
            *_rounded("r", largest),
            *_rounded("i", largest),
            "distance = real + away * away * gain + (cr * cr + ci * ci) * norm",
            "best = distance" if j == 0 else "best = distance if distance < best else best",
            f"column = {layers.own(f'level{j}i')}",
            f"{layers.own(f'level{j}i')} = distance if i == 0 or distance < column else column",
        ]
    return [*lines, "by_level[k] = best"]


def _demap(layers: LayerRows, labels: list[list[bool]], block: int) -> list[str]:
    lines = [f"t{index} = {layers.axis(f'level{index}')}" for index in range(len(labels))]
    for j in range(len(labels[0])):
        for value in (0, 1):
            first, *others = [index for index, label in enumerate(labels) if label[j] == bool(value)]
            lines += [f"best{value} = t{first}"]
            lines += [f"best{value} = t{index} if t{index} < best{value} else best{value}" for index in others]
        lines += [f"bits_rows[{2 * j * block} + k] = best1 - best0"]
    return layers.for_both_axes([f"bits_rows = u[{block} * axis :]", *for_each_re(lines)])


def list_source(bits: int) -> str:
    """Python source of a module with the kernel `detect` for numba, from half the bits per symbol of both layers.

    Arguments: see `grid_source`.
    """
    levels, labels = (of_level.tolist() for of_level in pam_axis(bits, torch.device("cpu")))
    rows, result, llr = grid_rows(2, _BLOCK)
    own = ("norm", "gain", "xr", "xi", "yr", "yi", "hr", "hi")
    layers = LayerRows(result.array, _BLOCK, own, [f"level{index}" for index in range(len(levels))])
    first = layers.rows[f"level0{AXES[0]}"]
    of_layer = [
        f"for i in range({len(levels)}):",
        "    level = LEVELS[i]",
        f"    by_level = own[{first} + {_BLOCK} * i : {first} + {_BLOCK} * (i + 1)]",
        *("    " + line for line in for_each_re(_distances(layers, levels))),
        *_demap(layers, labels, _BLOCK),
        *write_source(llr, "layer", 2 * bits, 2 * bits),
    ]
    body = [NUM_AXES, *in_unit_noise(rows, 2), *for_each_re(_directions(rows, layers)), *layers.for_each(2, of_layer)]
    scale = axis_scale(bits)
    constants = [
        f"LEAST_PIVOT, LEAST_GAIN = F({LEAST_PIVOT!r}), F({LEAST_GAIN!r})",
        f"PER_INNERMOST, INNERMOST_SQUARED = F({1 / scale!r}), F({scale * scale!r})",
        f"LEVELS = np.array({levels!r}, np.float32)",
    ]
    _ = [llr[str(j)] for j in range(2 * bits)]
    layers.reserve(result, 2)
    return grid_source((bits, bits), (rows, result, llr), body, "\n".join(constants))
