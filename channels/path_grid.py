"""From paths to the grid: sums over delays and over functions of time, as matrix products in small steps."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from scipy.special import jv
from torch import Tensor

#: Bytes of intermediate results per step on a CPU: they stay in the second-level cache between two products.
_STEP_BYTES = 1 << 20
#: The same of arrays, where nothing is gained by longer steps.
_PAIR_STEP_BYTES = 1 << 19
#: Largest error of `time_nodes`, relative to the amplitudes that are interpolated: 80 dB below.
INTERPOLATION_ERROR = 1e-4


@lru_cache(maxsize=32)
def delay_phases(delays_s: bytes, frequencies_hz: bytes, device: str) -> Tensor:
    """exp(-2j pi f delay), complex64 [num_taps, num_subcarriers]; computed in double precision.

    Both as the bytes of float64 arrays, which can be looked up.
    """
    cycles = np.multiply.outer(np.frombuffer(delays_s), np.frombuffer(frequencies_hz))
    with torch.inference_mode(False):  # what is kept must also serve callers that train
        return torch.from_numpy(np.exp(-2j * np.pi * cycles).astype(np.complex64)).to(device)


def time_nodes(times_s: np.ndarray, max_doppler_hz: float) -> tuple[np.ndarray, np.ndarray | None]:
    """The few times that tell a process of limited Doppler shift, and how the others follow from them.

    Returns nodes float64 [num_nodes], and the matrix float64 [num_times, num_nodes] that turns values at the nodes
    into values at `times_s`; None when the nodes are the times themselves.

    exp(2j pi f t) over a span of time is a short Chebyshev series, whose coefficients are Bessel functions of
    pi f span: a slot at walking speed needs 2 to 4 nodes instead of 14 symbols, and thousands of samples need no
    more. The matrix is real and the same for all paths.
    """
    nodes, matrix = _time_nodes(np.ascontiguousarray(times_s, np.float64).tobytes(), max_doppler_hz)
    return (times_s, None) if matrix is None else (nodes.copy(), matrix.copy())


@lru_cache(maxsize=64)
def _time_nodes(times: bytes, max_doppler_hz: float) -> tuple[np.ndarray, np.ndarray | None]:
    """See `time_nodes`: a few times are asked for again and again. times: the bytes of a float64 array."""
    times_s = np.frombuffer(times)
    first, last = float(times_s.min()), float(times_s.max())
    half = np.pi * max_doppler_hz * (last - first)
    count = 1
    if half > 0:
        # no series is shorter than about the phase turned through
        orders = np.arange(1, len(times_s) + 64 + int(half))
        tails = 4 * np.cumsum(np.abs(jv(orders, half))[::-1])[::-1]
        count = int(orders[np.argmax(tails < INTERPOLATION_ERROR)]) if (tails < INTERPOLATION_ERROR).any() else 1 << 30
    if count >= len(times_s):
        return times_s, None
    angle = (np.arange(count) + 0.5) * np.pi / count
    middle, radius = (first + last) / 2, (last - first) / 2
    nodes = middle + radius * np.cos(angle)
    order = np.arange(count)
    at_nodes = np.cos(np.outer(angle, order))
    scaled = (times_s - middle) / radius if radius > 0 else np.zeros_like(times_s)
    at_times = np.cos(np.outer(np.arccos(np.clip(scaled, -1, 1)), order))
    at_times[:, 1:] *= 2
    return nodes, at_times @ at_nodes.T / count


def modes_over_frequency(modes: Tensor, num_times: int, phases: Tensor) -> Tensor | None:
    """The first of the two products of `modes_to_grid`, complex64 [batch, num_pairs, num_modes, num_subcarriers];
    None where the other order is cheaper. What is left is the product with `basis` over the modes."""
    batch, num_pairs, num_modes, num_taps = modes.shape
    num_subcarriers = phases.shape[1]
    if _times_first(num_modes, num_taps, num_times):
        return None
    out = torch.empty(batch, num_pairs * num_modes, num_subcarriers, dtype=modes.dtype)
    step = max(1, _STEP_BYTES // (8 * num_pairs * num_modes * num_subcarriers))
    for first in range(0, batch, step):
        drops = modes[first : first + step].reshape(-1, num_pairs * num_modes, num_taps)
        torch.bmm(drops, phases.expand(len(drops), -1, -1), out=out[first : first + step])
    return out.view(batch, num_pairs, num_modes, num_subcarriers)


def _times_first(num_modes: int, num_taps: int, num_times: int) -> bool:
    """Whether going over to all times before all subcarriers takes fewer operations."""
    return num_modes * (2 * num_taps + num_times) >= 2 * num_times * num_taps


def modes_to_grid(modes: Tensor, basis: Tensor, phases: Tensor) -> Tensor:
    """Sum over modes and taps, complex64 [batch, num_pairs, num_times, num_subcarriers].

    modes [batch, num_pairs, num_modes, num_taps] complex64: random gains.
    basis [num_times, num_modes] float32: modes over time.
    phases [num_taps, num_subcarriers] complex64: taps over frequency.

    Two matrix products, in the cheaper order. Slow fading has few modes, and then delays before times halves the
    arithmetic. Products are batched over drops, never folded into one, so that a drop is computed by
    the same operations whatever else is in the batch.
    """
    batch, num_pairs, num_modes, num_taps = modes.shape
    num_times, num_subcarriers = basis.shape[0], phases.shape[1]
    if _times_first(num_modes, num_taps, num_times):
        of_pair = modes.view(batch * num_pairs, num_modes, num_taps)
        taps = torch.bmm(basis.to(modes.dtype).expand(len(of_pair), -1, -1), of_pair)
        taps = taps.view(batch, num_pairs * num_times, num_taps)
        return torch.bmm(taps, phases.expand(batch, -1, -1)).view(batch, num_pairs, num_times, num_subcarriers)
    grid = torch.empty(batch * num_pairs, num_times, 2 * num_subcarriers, device=modes.device)
    bytes_per_drop = 8 * num_pairs * num_modes * num_subcarriers
    step = batch if modes.is_cuda else max(1, _STEP_BYTES // bytes_per_drop)
    for first in range(0, batch, step):
        drops = modes[first : first + step].reshape(-1, num_pairs * num_modes, num_taps)
        of_mode = torch.bmm(drops, phases.expand(len(drops), -1, -1))
        of_mode = torch.view_as_real(of_mode).view(-1, num_modes, 2 * num_subcarriers)
        pairs = slice(first * num_pairs, first * num_pairs + len(of_mode))
        torch.bmm(basis.expand(len(of_mode), -1, -1), of_mode, out=grid[pairs])
    return torch.view_as_complex(grid.view(batch, num_pairs, num_times, num_subcarriers, 2))


def many_pairs_over_frequency(modes: Tensor, num_times: int, phases: Tensor) -> Tensor | None:
    """`modes_over_frequency` for arrays, drop by drop."""
    batch, num_pairs, num_modes, num_taps = modes.shape
    num_subcarriers = phases.shape[-1]
    if _times_first(num_modes, num_taps, num_times):
        return None
    phases = phases.expand(batch, num_taps, num_subcarriers)
    out = torch.empty(batch, num_pairs, num_modes, num_subcarriers, dtype=torch.complex64)
    for drop in range(batch):
        torch.mm(modes[drop].flatten(0, 1), phases[drop], out=out[drop].flatten(0, 1))
    return out


def many_pairs_to_grid(modes: Tensor, basis: Tensor | None, phases: Tensor) -> Tensor:
    """`modes_to_grid` for arrays: antenna pairs are taken in steps as well, so that little is held beside the grid.

    basis: None when the modes are the times themselves. phases [num_taps, num_subcarriers], or with a first axis of
    the batch where every drop has its own delays.
    """
    batch, num_pairs, num_modes, num_taps = modes.shape
    num_times = num_modes if basis is None else len(basis)
    num_subcarriers = phases.shape[-1]
    if basis is not None and _times_first(num_modes, num_taps, num_times):
        modes, basis = basis.to(modes.dtype) @ modes, None
        num_modes = num_times
    phases = phases.expand(batch, num_taps, num_subcarriers)
    if modes.is_cuda:
        of_mode = torch.bmm(modes.flatten(1, 2), phases)
        if basis is None:
            return of_mode.view(batch, num_pairs, num_times, num_subcarriers)
        real = torch.view_as_real(of_mode).view(batch, num_pairs, num_modes, 2 * num_subcarriers)
        return torch.view_as_complex((basis @ real).view(batch, num_pairs, num_times, num_subcarriers, 2))
    grid = torch.empty(batch, num_pairs, num_times, num_subcarriers, dtype=torch.complex64)
    step = max(1, _PAIR_STEP_BYTES // (8 * num_modes * num_subcarriers))
    for drop in range(batch):
        for first in range(0, num_pairs, step):
            part, out = modes[drop, first : first + step], grid[drop, first : first + step]
            if basis is None:
                torch.mm(part.flatten(0, 1), phases[drop], out=out.flatten(0, 1))
                continue
            of_mode = torch.view_as_real(torch.mm(part.flatten(0, 1), phases[drop]))
            of_mode = of_mode.view(len(part), num_modes, 2 * num_subcarriers)
            torch.bmm(basis.expand(len(part), -1, -1), of_mode, out=torch.view_as_real(out).flatten(-2))
    return grid
