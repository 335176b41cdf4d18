"""Source of the loops over the grid that detection kernels are, and of LMMSE detection in them.

Equalisation and demapping of a resource element are a few hundred floating-point operations on numbers that fit into
registers, when the small linear system is written out: so the source is generated, and compiled per size. Loops run
over blocks of resource elements with planar float32 rows (real and imaginary parts apart) in one scratch array that
stays in the first-level cache; only the received grid, the channel and the LLRs pass through memory.
"""

from __future__ import annotations

#: Largest number of layers that is written out; the source grows with its third power.
MAX_LAYERS = 8
#: Gain over the noise below which a layer counts as not there (-90 dB).
LEAST_SINR = 1e-9
#: Least noise with several layers, as a share of a layer's own gain (-60 dB): single precision leaves an error of a few
#: times 2^-24 in every pivot of a Gram matrix, and a layer that others nearly hide is known no better than that.
LEAST_LOADING = 2.0**-20
#: Resource elements of a block by number of layers; 64 with more.
BLOCK = {1: 256, 2: 256, 3: 128, 4: 128}


def added(terms: list[str]) -> str:
    """A sum, term by term from the left."""
    return " + ".join(terms)


class Rows:
    """Hands out rows of a scratch array: `rows["name"]` is the offset of a row, in numbers."""

    def __init__(self, array: str, block: int) -> None:
        self.array = array
        self.block = block
        self._offsets: dict[str, int] = {}

    def __getitem__(self, name: str) -> int:
        return self._offsets.setdefault(name, self.block * len(self._offsets))

    def at(self, name: str) -> str:
        """Source of element k of a row."""
        return f"{self.array}[{self[name]} + k]"

    @property
    def size(self) -> int:
        return self.block * len(self._offsets)


def _accumulate(rows: Rows, num_layers: int) -> list[str]:
    """One antenna's share of the Gram matrix a = H^H H (lower triangle) and of the matched filter b = H^H y.

    A loop per row of the matrix: LLVM does not vectorise loops over much more sums.
    """
    lines = []
    for i in range(num_layers):
        lines += ["for k in range(n):"]
        row = ["yr = received[2 * k]", "yi = received[2 * k + 1]"]
        for j in range(i + 1):
            row += [f"hr{j} = {rows.at(f'hr{j}')}", f"hi{j} = {rows.at(f'hi{j}')}"]
        row += [
            f"{rows.at(f'br{i}')} += hr{i} * yr + hi{i} * yi",
            f"{rows.at(f'bi{i}')} += hr{i} * yi - hi{i} * yr",
            f"{rows.at(f'a{i}{i}')} += hr{i} * hr{i} + hi{i} * hi{i}",
        ]
        for j in range(i):
            row += [
                f"{rows.at(f'ar{i}{j}')} += hr{i} * hr{j} + hi{i} * hi{j}",
                f"{rows.at(f'ai{i}{j}')} += hr{i} * hi{j} - hi{i} * hr{j}",
            ]
        lines += ["    " + line for line in row]
    return lines


def _matched_filter(rows: Rows, result: Rows) -> list[str]:
    """One layer: maximum ratio combining."""
    return [
        f"gain = {rows.at('a00')}",
        f"least = LEAST_SINR * {rows.at('noise')}",
        "gain = least if gain < least else gain",
        "factor = SCALE0 / gain",
        f"{result.at('xr0')} = {rows.at('br0')} * factor",
        f"{result.at('xi0')} = {rows.at('bi0')} * factor",
        f"{result.at('precision0')} = gain / ({rows.at('noise')} * SCALE_SQUARED0)",
    ]


def _solve(rows: Rows, result: Rows, n: int) -> list[str]:
    """LMMSE of several layers: a + noise = L D L^H, x = (a + noise)^-1 b, unbiased by the inverse's diagonal.

    The noise is a diagonal, at least `LEAST_LOADING` of that of a.
    """
    lines = [f"noise_var = {rows.at('noise')}"]
    for i in range(n):
        own = rows.at(f"a{i}{i}")
        lines += [f"noise{i} = LEAST_LOADING * {own}", f"noise{i} = noise{i} if noise{i} > noise_var else noise_var"]
    # columns of L from left to right; v = L D
    for j in range(n):
        taken = [f" - (vr{j}{p} * lr{j}{p} + vi{j}{p} * li{j}{p})" for p in range(j)]
        lines += [f"q{j} = ONE / ({rows.at(f'a{j}{j}')} + noise{j}{''.join(taken)})"]
        for i in range(j + 1, n):
            real = [f" - (vr{i}{p} * lr{j}{p} + vi{i}{p} * li{j}{p})" for p in range(j)]
            imag = [f" - (vi{i}{p} * lr{j}{p} - vr{i}{p} * li{j}{p})" for p in range(j)]
            lines += [
                f"vr{i}{j} = {rows.at(f'ar{i}{j}')}{''.join(real)}",
                f"vi{i}{j} = {rows.at(f'ai{i}{j}')}{''.join(imag)}",
                f"lr{i}{j} = vr{i}{j} * q{j}",
                f"li{i}{j} = vi{i}{j} * q{j}",
            ]
    # L z = b, then L^H x = D^-1 z
    for i in range(n):
        real = [f" - (lr{i}{p} * zr{p} - li{i}{p} * zi{p})" for p in range(i)]
        imag = [f" - (lr{i}{p} * zi{p} + li{i}{p} * zr{p})" for p in range(i)]
        lines += [f"zr{i} = {rows.at(f'br{i}')}{''.join(real)}", f"zi{i} = {rows.at(f'bi{i}')}{''.join(imag)}"]
    for i in reversed(range(n)):
        real = [f" - (lr{p}{i} * xr{p} + li{p}{i} * xi{p})" for p in range(i + 1, n)]
        imag = [f" - (lr{p}{i} * xi{p} - li{p}{i} * xr{p})" for p in range(i + 1, n)]
        lines += [f"xr{i} = zr{i} * q{i}{''.join(real)}", f"xi{i} = zi{i} * q{i}{''.join(imag)}"]
    for i in range(n):
        # column i of L^-1 gives diagonal entry i of the inverse
        inverse = [f"q{i}"]
        for p in range(i + 1, n):
            real = [f" + lr{p}{m} * er{m}{i} - li{p}{m} * ei{m}{i}" for m in range(i + 1, p)]
            imag = [f" + lr{p}{m} * ei{m}{i} + li{p}{m} * er{m}{i}" for m in range(i + 1, p)]
            lines += [f"er{p}{i} = -(lr{p}{i}{''.join(real)})", f"ei{p}{i} = -(li{p}{i}{''.join(imag)})"]
            inverse.append(f"(er{p}{i} * er{p}{i} + ei{p}{i} * ei{p}{i}) * q{p}")
        lines += [
            f"bias = ONE - noise{i} * ({added(inverse)})",
            "bias = LEAST_SINR if bias < LEAST_SINR else bias",
            "bias = ONE if bias > ONE else bias",
            "unbias = ONE / bias",
            "variance = unbias - ONE",
            "variance = LEAST_LOADING if variance < LEAST_LOADING else variance",
            f"{result.at(f'xr{i}')} = xr{i} * (unbias * SCALE{i})",
            f"{result.at(f'xi{i}')} = xi{i} * (unbias * SCALE{i})",
            f"{result.at(f'precision{i}')} = ONE / (variance * SCALE_SQUARED{i})",
        ]
    return lines


def demap_source(rows: Rows, llr: Rows, layer: int | str, bits_per_axis: int) -> list[str]:
    """Exact max-log LLRs of one layer; see `receivers.classical.qam.demap_maxlog` for the closed form."""
    lines = [f"precision = {rows.at(f'precision{layer}')}"]
    for axis, name in enumerate(("xr", "xi")):
        lines += [f"v = {rows.at(f'{name}{layer}')}"]
        for bit in range(bits_per_axis):
            m = bits_per_axis - bit
            lines += ["a = abs(v)"]
            if m == 1:
                lines += [f"{llr.at(f'{2 * bit + axis}')} = FOUR * v * precision"]
            else:
                lines += [
                    "nearest = TWO * np.floor(HALF * a) + ONE",
                    f"nearest = F({2**m - 1}) if nearest > F({2**m - 1}) else nearest",
                    "value = (ONE + nearest) * (a + a + (ONE - nearest)) * precision",
                    f"{llr.at(f'{2 * bit + axis}')} = value if v >= ZERO else -value",
                    f"v = F({2 ** (m - 1)}) - a",
                ]
    return lines


def indented(lines: list[str], depth: int) -> str:
    """The lines as one text, further in by so many steps."""
    return "\n".join("    " * depth + line for line in lines)


def write_source(llr: Rows, layer: int | str, most: int, bits_per_symbol: int) -> list[str]:
    """LLRs of a layer from their rows to their places; `most` bits belong to each of them."""
    write = [f"out[{most} * position + {j}] = {llr.at(str(j))}" for j in range(bits_per_symbol)]
    return [
        f"out = llr[b, {layer}, {most} * start : {most} * (start + n)]",
        "if whole:",
        "    for k in range(n):",
        "        position = k",
        *("        " + line for line in write),
        "else:",
        "    position = 0",
        "    for k in range(n):",
        "        if mask[t, first + k]:",
        *("            " + line for line in write),
        "            position += 1",
    ]


def scale_source(bits_per_axis: tuple[int, ...]) -> str:
    """Levels of every layer's axis in units of the innermost one: factors to a unit-power symbol, and their squares."""
    lines = []
    for layer, bits in enumerate(bits_per_axis):
        mean_square = (4**bits - 1) / 3
        lines.append(f"SCALE{layer}, SCALE_SQUARED{layer} = F({(2 * mean_square) ** 0.5!r}), F({2 * mean_square!r})")
    return "\n".join(lines)


def detection_source(bits_per_axis: tuple[int, ...]) -> str:
    """Python source of a module with the LMMSE kernel `detect` for numba, from half the bits per symbol of every layer.

    Arguments: see `grid_source`.
    """
    num_layers, most = len(bits_per_axis), 2 * max(bits_per_axis)
    rows, result, llr = grid_rows(num_layers, BLOCK.get(num_layers, 64))
    solve = _matched_filter(rows, result) if num_layers == 1 else _solve(rows, result, num_layers)
    body = ["for k in range(n):", *("    " + line for line in solve)]
    for layer, bits in enumerate(bits_per_axis):
        body += ["for k in range(n):", *("    " + line for line in demap_source(result, llr, layer, bits))]
        body += write_source(llr, layer, most, 2 * bits)
    return grid_source(bits_per_axis, (rows, result, llr), body, scale_source(bits_per_axis))


def grid_rows(num_layers: int, block: int) -> tuple[Rows, Rows, Rows]:
    """Scratch of a kernel: the first array with the channel of an antenna and the sums over antennas, one for what
    equalisation finds, one for LLRs."""
    rows = Rows("s", block)
    _ = [rows[f"{part}{i}"] for i in range(num_layers) for part in ("hr", "hi")]
    _ = rows["noise"]
    _accumulate(rows, num_layers)
    return rows, Rows("x", block), Rows("u", block)


def grid_source(
    bits_per_axis: tuple[int, ...],
    scratch: tuple[Rows, Rows, Rows],
    body: list[str],
    constants: str,
    arguments: str = "",
) -> str:
    """Python source of a module with a kernel `detect` for numba that goes over the grid in blocks.

    scratch: of `grid_rows`, with all that the body asked for. body: lines that take a block of n resource elements of
    symbol t, from subcarrier `first` on, from the sums in the first array to LLRs. constants: lines of the module that
    it needs. arguments: that it has beside those below, each with a comma after it.

    The kernel's arguments, all arrays contiguous, complex numbers as pairs of float32 along the last axis:
    y [batch, rx, symbol, 2 subcarrier]; g [batch, rx, layer, mode, 2 subcarrier] and over_time [symbol, mode]: channel
    h(symbol, subcarrier) = sum over modes of over_time(symbol, mode) g(mode, subcarrier); noise [batch];
    error [batch, layer, error mode, subcarrier], error_over_time [symbol, error mode] and error_offset [batch, layer]:
    variance of the channel estimate likewise, negative sums count as 0; mask [symbol, subcarrier] bool: data REs;
    amplitude: of a layer's symbols; llr [batch, layer, data RE x bit]: result, as many bits as the layer with the most
    has, of which a layer's own are written. Scalars are float32.
    """
    rows, result, llr = scratch
    num_layers, block = len(bits_per_axis), rows.block
    sums_start = rows["noise"]
    accumulate = _accumulate(rows, num_layers)
    sums_stop = sums_start + block * (1 + 2 * num_layers + num_layers**2)
    each = ", ".join(str(2 * bits) for bits in bits_per_axis)
    return f'''"""Layers of {each} bits a symbol: generated by receivers.classical.unrolled."""

import numpy as np

from receivers.jit import compiled

F = np.float32
ZERO, HALF, ONE, TWO, FOUR = F(0), F(0.5), F(1), F(2), F(4)
LEAST_SINR, LEAST_LOADING = F({LEAST_SINR!r}), F({LEAST_LOADING!r})
{constants}

@compiled
def detect(y, g, over_time, noise, error, error_over_time, error_offset, mask, amplitude, {arguments}llr):
    num_subcarriers = mask.shape[1]
    s = np.empty({rows.size}, np.float32)
    x = np.empty({result.size}, np.float32)
    u = np.empty({llr.size}, np.float32)
    num_data = np.zeros(mask.shape[0], np.int64)
    starts = np.empty(mask.shape[0], np.int64)
    for t in range(mask.shape[0]):
        for k in range(num_subcarriers):
            num_data[t] += mask[t, k]
    for b in range(y.shape[0]):
        start = 0
        for t in range(mask.shape[0]):
            starts[t] = start
            start += num_data[t]
        for first in range(0, num_subcarriers, {block}):
            n = min({block}, num_subcarriers - first)
            for t in range(mask.shape[0]):
                if num_data[t] == 0:
                    continue
                whole = num_data[t] == num_subcarriers
                start = starts[t]
                for k in range({sums_start}, {sums_stop}):
                    s[k] = ZERO
                for layer in range(error.shape[1]):
                    for k in range(n):
                        u[k] = error_offset[b, layer]
                    for q in range(error.shape[2]):
                        w = error_over_time[t, q]
                        if w != ZERO:
                            row = error[b, layer, q, first : first + n]
                            for k in range(n):
                                u[k] += w * row[k]
                    for k in range(n):
                        e = u[k]
                        s[{rows["noise"]} + k] += ZERO if e < ZERO else e
                for k in range(n):
                    s[{rows["noise"]} + k] = noise[b] + amplitude * amplitude * s[{rows["noise"]} + k]
                for r in range(y.shape[1]):
                    for layer in range({num_layers}):
                        re = 2 * layer * {block}
                        im = re + {block}
                        fresh = True
                        for p in range(g.shape[3]):
                            w = amplitude * over_time[t, p]
                            if w != ZERO:
                                row = g[b, r, layer, p, 2 * first : 2 * (first + n)]
                                if fresh:
                                    for k in range(n):
                                        s[re + k] = w * row[2 * k]
                                        s[im + k] = w * row[2 * k + 1]
                                    fresh = False
                                else:
                                    for k in range(n):
                                        s[re + k] += w * row[2 * k]
                                        s[im + k] += w * row[2 * k + 1]
                        if fresh:
                            for k in range(n):
                                s[re + k] = ZERO
                                s[im + k] = ZERO
                    received = y[b, r, t, 2 * first : 2 * (first + n)]
{indented(accumulate, 5)}
{indented(body, 4)}
                starts[t] += n
                if not whole:
                    for k in range(n):
                        starts[t] -= not mask[t, first + k]
'''
