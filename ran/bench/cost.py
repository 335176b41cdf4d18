"""Lower bounds of the work: operations and bytes that no implementation of the same method can avoid.

Counts are those of the best method known to us, without address arithmetic, loads of tables or rearrangements. So a
floor is a bound to compare with, not a promise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from channels.cluster_profiles import ClusterProfile
from channels.fading import fading_basis
from channels.path_grid import time_nodes
from ran.bench.machine import Limits
from ran.phy.ldpc import LdpcCode

# Operations on 8-bit lanes per edge and lifted bit in layered min-sum: subtract, absolute value, three for the two
# smallest, sign; then compare, select, two for the sign, add, and one to fold the scaling in.
_LDPC_OPERATIONS = 12
# The same for the parity bit of an extension row, whose posterior nobody reads: absolute value, three, sign.
_LDPC_OPERATIONS_OWN_PARITY = 5
# float32 operations of an exponential: to a power of two, a polynomial of the seventh degree, its exponent.
_OPERATIONS_PER_EXPONENTIAL = 20
# float32 operations per Gaussian number: ten rounds of Philox 4x32 and half of a Box-Muller transform.
_OPERATIONS_PER_NORMAL = 40


@dataclass(frozen=True)
class Cost:
    """int8: operations on 8-bit lanes. flops: float32 operations. bytes: moved between cache and registers."""

    int8: float = 0.0
    flops: float = 0.0
    bytes: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.int8 + other.int8, self.flops + other.flops, self.bytes + other.bytes)

    def __mul__(self, times: float) -> Cost:
        return Cost(self.int8 * times, self.flops * times, self.bytes * times)

    def seconds(self, limits: Limits) -> float:
        """Arithmetic and transfers overlap; integer and float arithmetic share the execution units."""
        arithmetic = self.int8 / limits.int8_per_s + self.flops / limits.flops_per_s
        return max(arithmetic, self.bytes / limits.bytes_per_s)

    def text(self, limits: Limits) -> str:
        """What the floor is made of."""
        arithmetic = self.int8 / limits.int8_per_s + self.flops / limits.flops_per_s
        if self.bytes / limits.bytes_per_s > arithmetic:
            return f"{self.bytes / 1e6:.3g} MB"
        parts = [(self.int8, "M int8 operations"), (self.flops, "MFLOP")]
        return " + ".join(f"{count / 1e6:.3g} {name}" for count, name in parts if count)


def ldpc_decoding(code: LdpcCode, iterations: float) -> Cost:
    """One code block, decoded with int8 messages over the rows of `code`."""
    own_parity = len(code.rows) - 4
    edges = int(np.isin(code.edges.row, code.rows).sum()) - own_parity
    per_bit = _LDPC_OPERATIONS * edges + _LDPC_OPERATIONS_OWN_PARITY * own_parity
    return Cost(int8=float(per_bit * code.lifting_size * iterations))


def ldpc_encoding(code: LdpcCode, num_sent_bits: int) -> Cost:
    """One code block: an exclusive or per edge on packed bits, and the sent bits written one to a byte."""
    edges = int(np.isin(code.edges.row, code.rows).sum())
    return Cost(int8=edges * code.lifting_size / 8, bytes=float(num_sent_bits))


def tdl_response(
    num_pairs: int, num_taps: int, times_s: np.ndarray, max_doppler_hz: float, num_subcarriers: int
) -> Cost:
    """One draw: random gains, then two matrix products in the cheaper order, and the response written."""
    rank, num_times = fading_basis(times_s, max_doppler_hz).shape[1], len(times_s)
    taps_first = 4 * num_times * rank * num_taps + 8 * num_times * num_taps * num_subcarriers
    delays_first = 8 * rank * num_taps * num_subcarriers + 4 * num_times * rank * num_subcarriers
    products = num_pairs * min(taps_first, delays_first)
    normals = 2 * num_pairs * rank * num_taps * _OPERATIONS_PER_NORMAL
    return Cost(flops=float(products + normals), bytes=8.0 * num_pairs * num_times * num_subcarriers)


def cdl_response(
    num_pairs: int, clusters: ClusterProfile, times_s: np.ndarray, max_doppler_hz: float, num_subcarriers: int
) -> Cost:
    """One draw of a clustered delay line; see `ray_response`."""
    return ray_response(num_pairs, clusters.num_clusters, clusters.num_rays, times_s, max_doppler_hz, num_subcarriers)


def ray_response(
    num_pairs: int, num_paths: int, num_rays: int, times_s: np.ndarray, max_doppler_hz: float, num_subcarriers: int
) -> Cost:
    """One draw: sums over rays at few times, then two matrix products, and the response written."""
    num_nodes, num_times = len(time_nodes(times_s, max_doppler_hz)[0]), len(times_s)
    of_rays = 8 * 2 * num_rays * num_paths * num_nodes
    on_grid = 8 * num_nodes * num_paths * num_subcarriers + 4 * num_times * num_nodes * num_subcarriers
    return Cost(flops=float(num_pairs * (of_rays + on_grid)), bytes=8.0 * num_pairs * num_times * num_subcarriers)


def transmission(num_rx_ant: int, num_layers: int, num_re: int) -> Cost:
    """Channel times transmitted symbols, and noise drawn and added, at every receive antenna."""
    per_re = 8 * num_layers + 2 * _OPERATIONS_PER_NORMAL + 4
    return Cost(flops=float(per_re * num_rx_ant * num_re))


def linear_interpolation(num_rx_ant: int, num_layers: int, num_pilot_symbols: int, num_subcarriers: int) -> Cost:
    """Estimates at the pilots, lines between them over frequency, then over time."""
    pilots = num_pilot_symbols * num_subcarriers // 2
    between = 4 * num_pilot_symbols * num_subcarriers + 4 * (14 - num_pilot_symbols) * num_subcarriers
    return Cost(flops=float(num_rx_ant * num_layers * (8 * pilots + between)))


def lmmse_detection(num_rx_ant: int, num_layers: int, bits_per_symbol: int, num_data_re: int) -> Cost:
    """Gram matrix, factorisation, solution, post-equalisation SINR and max-log LLRs; channel, signal and LLRs moved."""
    m, k = num_rx_ant, num_layers
    gram = 4 * m * k * (k + 1)
    solve = 8 * m * k + 4 * k**3 / 3 + 8 * k * k
    sinr = 4 * k**3 / 3 if k > 1 else k
    demap = k * 3 * bits_per_symbol
    moved = 8 * m * k + 8 * m + 4 * k * bits_per_symbol
    return Cost(flops=float((gram + solve + sinr + demap) * num_data_re), bytes=float(moved * num_data_re))


def expectation_propagation(num_layers: int, bits_per_symbol: int, num_data_re: int) -> Cost:
    """What an iteration adds to LMMSE: the probability of each level of each axis (distance, exponential, mean and mean
    square), and the linear system of the layers once more."""
    levels = 2 ** (bits_per_symbol // 2)
    moments = 2 * levels * (_OPERATIONS_PER_EXPONENTIAL + 8)
    solve = 4 * num_layers**3 / 3 + 8 * num_layers**2
    return Cost(flops=float((num_layers * moments + 2 * solve) * num_data_re))


def two_layer_list(bits_per_symbol: int, num_data_re: int) -> Cost:
    """Of each point of either layer the nearest of the other by rounding, their distance, and the best of a row and of
    a column of points."""
    return Cost(flops=2.0 * 2**bits_per_symbol * 18 * num_data_re)


def tree_search(num_layers: int, bits_per_symbol: int, num_paths: int, num_data_re: int) -> Cost:
    """Every path with every level of the next axis: what the decided layers leave of it, distances, and comparisons
    that find the best, a logarithm of their number each."""
    levels, total, paths = 2 ** (bits_per_symbol // 2), 0.0, 1
    for axis in range(2 * num_layers):
        grown = paths * levels
        total += 8 * (axis // 2) * paths + 4 * grown
        if grown > num_paths:
            total += grown * np.log2(num_paths)
        paths = min(num_paths, grown)
    return Cost(flops=float(total * num_data_re))
