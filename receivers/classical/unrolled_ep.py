"""Source of the kernel of expectation propagation for one number of layers and one modulation.

The steps of `receivers.classical.expectation_propagation`, block by block as in `receivers.classical.unrolled`: what is
known of a block stays in the first-level cache from the received grid to the LLRs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from receivers.classical.expectation_propagation import LEAST_PIVOT, LEAST_PRECISION, MIN_VARIANCE
from receivers.classical.exponential import exp_source
from receivers.classical.layer_rows import AXES, NUM_AXES, LayerRows, for_each_re, in_unit_noise
from receivers.classical.pam import pam_axis
from receivers.classical.unrolled import (
    BLOCK,
    Rows,
    added,
    demap_source,
    grid_rows,
    grid_source,
    write_source,
)


def _levels(bits: int) -> tuple[list[float], list[list[bool]]]:
    levels, labels = pam_axis(bits, torch.device("cpu"))
    return levels.tolist(), labels.tolist()


def _by_bits(bits_per_axis: tuple[int, ...], lines: Callable[[int], list[str]]) -> list[str]:
    """Lines in the loop over layers that depend on the modulation."""
    each = sorted(set(bits_per_axis))
    if len(each) == 1:
        return lines(each[0])
    return [line for bits in each for line in (f"if BITS[layer] == {bits}:", *("    " + own for own in lines(bits)))]


def _cavity(rows: Rows, layers: LayerRows, n: int) -> list[str]:
    """What the observation and the other layers say about a layer, by the inverse of the Cholesky factor."""
    lines = []
    for i in range(n):
        lines += [f"p{i} = {layers.at('prior_precision', i)}", f"own{i} = {rows.at(f'a{i}{i}')} + p{i}"]
        for j in range(i):
            real = [f" - (cr{i}{k} * cr{j}{k} + ci{i}{k} * ci{j}{k})" for k in range(j)]
            imag = [f" - (ci{i}{k} * cr{j}{k} - cr{i}{k} * ci{j}{k})" for k in range(j)]
            lines += [
                f"cr{i}{j} = ({rows.at(f'ar{i}{j}')}{''.join(real)}) * d{j}",
                f"ci{i}{j} = ({rows.at(f'ai{i}{j}')}{''.join(imag)}) * d{j}",
            ]
        taken = [f" - (cr{i}{j} * cr{i}{j} + ci{i}{j} * ci{i}{j})" for j in range(i)]
        lines += [
            f"rest = own{i}{''.join(taken)}",
            f"least = LEAST_PIVOT * own{i}",
            "rest = least if rest < least else rest",
            f"d{i} = ONE / np.sqrt(rest)",
        ]
        for j in range(i):
            real = [f" + (cr{i}{k} * wr{k}{j} - ci{i}{k} * wi{k}{j})" for k in range(j + 1, i)]
            imag = [f" + (cr{i}{k} * wi{k}{j} + ci{i}{k} * wr{k}{j})" for k in range(j + 1, i)]
            lines += [
                f"wr{i}{j} = -(cr{i}{j} * d{j}{''.join(real)}) * d{i}",
                f"wi{i}{j} = -(ci{i}{j} * d{j}{''.join(imag)}) * d{i}",
            ]
    for i in range(n):
        lines += [f"{axis}{i} = {rows.at(f'b{axis}{i}')} + {layers.at(f'shift{axis}', i)}" for axis in AXES]
    for i in range(n):
        real = [f" + (wr{i}{j} * r{j} - wi{i}{j} * i{j})" for j in range(i)]
        imag = [f" + (wr{i}{j} * i{j} + wi{i}{j} * r{j})" for j in range(i)]
        lines += [f"zr{i} = r{i} * d{i}{''.join(real)}", f"zi{i} = i{i} * d{i}{''.join(imag)}"]
    for i in range(n):
        after = range(i + 1, n)
        real = [f" + (wr{j}{i} * zr{j} + wi{j}{i} * zi{j})" for j in after]
        imag = [f" + (wr{j}{i} * zi{j} - wi{j}{i} * zr{j})" for j in after]
        of_variance = [f" + (wr{j}{i} * wr{j}{i} + wi{j}{i} * wi{j}{i})" for j in after]
        lines += [
            f"meanr = zr{i} * d{i}{''.join(real)}",
            f"meani = zi{i} * d{i}{''.join(imag)}",
            f"precision = ONE / (d{i} * d{i}{''.join(of_variance)})",
            f"rest = precision - p{i}",
            "rest = LEAST_PRECISION if rest < LEAST_PRECISION else rest",
            "variance = ONE / rest",
            f"{layers.at('xr', i)} = (meanr * precision - {layers.at('shiftr', i)}) * variance",
            f"{layers.at('xi', i)} = (meani * precision - {layers.at('shifti', i)}) * variance",
            f"{layers.at('variance', i)} = variance",
        ]
    return lines


def _prior_of_levels(layers: LayerRows, bits: int) -> list[str]:
    """Log probabilities of an axis's levels beforehand, g with the level's label, from the sums for its first bits."""
    lines, sums = [], {"": "ZERO"}
    for j in range(bits):
        lines += [f"half = HALF * {layers.axis(f'bit{j}')}"]
        sums = {label + bit: f"g{label}{bit}" for label in sums for bit in "01"}
        for label, name in sums.items():
            before = f"g{label[:-1]}" if j else "ZERO"
            lines += [f"{name} = {before} {'+' if label[-1] == '0' else '-'} half"]
    return lines


def _log_levels(layers: LayerRows, bits: int, with_prior: bool) -> list[str]:
    """Unnormalised log probabilities t0, t1, ... of an axis's levels given x and its variance."""
    lines = _prior_of_levels(layers, bits) if with_prior else []
    lines += [f"weight = ONE / {layers.own('variance')}", f"centre = {layers.axis('x')}"]
    for index, level in enumerate(_levels(bits)[0]):
        prior = f" + g{index:0{bits}b}" if with_prior else ""
        lines += [f"away = centre - F({level!r})", f"t{index} = -(away * away) * weight{prior}"]
    return lines


def _moments(layers: LayerRows, bits: int) -> list[str]:
    """Mean of an axis, and its variance added to that of the symbol, from t0, t1, ..."""
    levels = _levels(bits)[0]
    each = range(len(levels))
    lines = ["largest = t0"]
    lines += [f"largest = t{index} if t{index} > largest else largest" for index in each[1:]]
    for index in each:
        lines += exp_source(f"e{index}", f"t{index} - largest")
    squares = [level**2 for level in levels]
    return [
        *lines,
        f"share = ONE / ({added([f'e{index}' for index in each])})",
        f"mean = share * ({added([f'F({levels[index]!r}) * e{index}' for index in each])})",
        f"square = share * ({added([f'F({squares[index]!r}) * e{index}' for index in each])})",
        f"{layers.axis('mean')} = mean",
        f"{layers.own('spread')} += square - mean * mean",
    ]


def _replace(layers: LayerRows, bits: int, with_prior: bool) -> list[str]:
    """A layer's Gaussian by one with the moments of its constellation, where that is narrower."""
    moments = [*_log_levels(layers, bits, with_prior), *_moments(layers, bits)]
    given, lines = layers.own("prior_precision"), _narrow(layers)
    lines += [
        f"weight = ONE / {layers.own('variance')}",
        "new = precision - weight",
        "step = damping if new > ZERO else ZERO",
        f"{given} += step * (new - {given})",
    ]
    for axis in AXES:
        shift, x = layers.own(f"shift{axis}"), layers.own(f"x{axis}")
        lines += [f"{shift} += step * ({layers.own(f'mean{axis}')} * precision - {x} * weight - {shift})"]
    return [*_without_spread(layers), *layers.for_both_axes(for_each_re(moments)), *for_each_re(lines)]


def _without_spread(layers: LayerRows) -> list[str]:
    return for_each_re([f"{layers.own('spread')} = ZERO"])


def _narrow(layers: LayerRows) -> list[str]:
    """The precision of a symbol whose variance was added up."""
    return [
        f"spread = {layers.own('spread')}",
        "spread = MIN_VARIANCE if spread < MIN_VARIANCE else spread",
        "precision = ONE / spread",
    ]


def _read_prior(layers: LayerRows, most: int, bits: int) -> list[str]:
    """LLRs of a layer's bits beforehand into rows, 0 where there are no data."""
    places = [(layers.own(f"bit{j}{axis}"), 2 * j + place) for j in range(bits) for place, axis in enumerate(AXES)]
    read = [f"{row} = given[{most} * position + {place}]" for row, place in places]
    return [
        f"given = prior[b, layer, {most} * start : {most} * (start + n)]",
        "if whole:",
        "    for k in range(n):",
        "        position = k",
        *("        " + line for line in read),
        "else:",
        "    position = 0",
        "    for k in range(n):",
        "        if mask[t, first + k]:",
        *("            " + line for line in read),
        "            position += 1",
        "        else:",
        *(f"            {row} = ZERO" for row, _ in places),
    ]


def _first_gaussian(layers: LayerRows, bits: int) -> list[str]:
    """The prior's mean and variance."""
    moments = _prior_of_levels(layers, bits)
    moments += [f"t{index} = g{index:0{bits}b}" for index in range(2**bits)]
    moments += _moments(layers, bits)
    found = [*_narrow(layers), f"{layers.own('prior_precision')} = precision"]
    found += [f"{layers.own(f'shift{axis}')} = {layers.own(f'mean{axis}')} * precision" for axis in AXES]
    return [*_without_spread(layers), *layers.for_both_axes(for_each_re(moments)), *for_each_re(found)]


def _demap_beyond_prior(layers: LayerRows, block: int, bits: int) -> list[str]:
    """Max-log LLRs by the best level of an axis for either value of a bit, without what was known beforehand."""
    labels = _levels(bits)[1]
    lines = _log_levels(layers, bits, True)
    for j in range(bits):
        for value in (0, 1):
            first, *others = [index for index, label in enumerate(labels) if label[j] == bool(value)]
            lines += [f"best{value} = t{first}"]
            lines += [f"best{value} = t{index} if t{index} > best{value} else best{value}" for index in others]
        lines += [f"bits_rows[{2 * j * block} + k] = best0 - best1 - {layers.axis(f'bit{j}')}"]
    return layers.for_both_axes([f"bits_rows = u[{block} * axis :]", *for_each_re(lines)])


def _demap(layers: LayerRows, llr: Rows, bits: int) -> list[str]:
    """Max-log LLRs in closed form, in units of the innermost level."""
    mean_square = (4**bits - 1) / 3
    scale = [f"{layers.own(f'x{axis}')} *= F({(2 * mean_square) ** 0.5!r})" for axis in AXES]
    scale += [f"{layers.own('precision')} = ONE / ({layers.own('variance')} * F({2 * mean_square!r}))"]
    return [*for_each_re(scale), *for_each_re(demap_source(layers.rows, llr, "", bits))]


def ep_source(bits_per_axis: tuple[int, ...], with_prior: bool) -> str:
    """Python source of a module with the kernel `detect` for numba, from half the bits per symbol of every layer.

    Arguments: see `grid_source`; before `llr` also num_iterations and damping, as `ExpectationPropagation` has them,
    and with_prior `prior`, LLRs as in `llr`.
    """
    n, most = len(bits_per_axis), 2 * max(bits_per_axis)
    # half as many resource elements as without the rows of the levels
    block = min(128, BLOCK.get(n, 64))
    rows, result, llr = grid_rows(n, block)
    of_axis = ["x", "shift", "mean"] + ([f"bit{j}" for j in range(most // 2)] if with_prior else [])
    layers = LayerRows(result.array, block, ("variance", "precision", "prior_precision", "spread"), of_axis)

    def first(bits: int) -> list[str]:
        if with_prior:
            return [*_read_prior(layers, most, bits), *_first_gaussian(layers, bits)]
        nothing = [f"{layers.own(f'shift{axis}')} = ZERO" for axis in AXES]
        return for_each_re([f"{layers.own('prior_precision')} = ONE", *nothing])

    def last(bits: int) -> list[str]:
        demap = _demap_beyond_prior(layers, block, bits) if with_prior else _demap(layers, llr, bits)
        return [*demap, *write_source(llr, "layer", most, 2 * bits)]

    def each_layer(lines: Callable[[int], list[str]]) -> list[str]:
        return layers.for_each(n, _by_bits(bits_per_axis, lines))

    body = [NUM_AXES, *in_unit_noise(rows, n), *each_layer(first)]
    body += ["for iteration in range(num_iterations + 1):"]
    body += ["    " + line for line in for_each_re(_cavity(rows, layers, n))]
    body += ["    if iteration < num_iterations:"]
    body += ["        " + line for line in each_layer(lambda bits: _replace(layers, bits, with_prior))]
    body += each_layer(last)
    constants = [
        "from receivers.classical.exponential import power_of_two",
        "",
        f"LEAST_PIVOT, LEAST_PRECISION = F({LEAST_PIVOT!r}), F({LEAST_PRECISION!r})",
        f"MIN_VARIANCE, BITS = F({MIN_VARIANCE!r}), {bits_per_axis!r}",
    ]
    arguments = "num_iterations, damping, " + ("prior, " if with_prior else "")
    _ = [llr[str(j)] for j in range(most)]
    layers.reserve(result, n)
    return grid_source(bits_per_axis, (rows, result, llr), body, "\n".join(constants), arguments)
