"""The floor of a slot in the C library: operations that the receiver's formulas take, and bytes that must pass."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from receivers.c_library.model_file import Readable
from receivers.c_library.network_arrays import first_receiver, network_flops, soft_pilots_of
from receivers.classical.blind import Blind
from receivers.classical.delay_grid import grid_of
from receivers.classical.lmmse import Lmmse
from receivers.interface import SlotObservation
from receivers.neural.receiver import NeuralReceiver


@dataclass(frozen=True)
class Work:
    """flops: floating-point operations, a multiply-add is two. num_bytes: grid and tables read once, int8 soft bits
    written once."""

    flops: float
    num_bytes: float

    def least_s(self, flops_per_s: float, bytes_per_s: float) -> float:
        """Seconds that no program on such a core goes below, operations and memory at the same time."""
        return max(self.flops / flops_per_s, self.num_bytes / bytes_per_s)


def work_of(receiver: Readable, slot: SlotObservation) -> Work:
    """The floor for one slot, batch 1. Of `Blind` it depends on how many delays are in use in this slot."""
    if isinstance(receiver, NeuralReceiver):
        return _network(receiver, slot)
    (_, rx, symbols, subcarriers), layers = slot.y.shape, slot.num_layers
    groups, data = len(slot.layout.symbol_groups), slot.num_data_re
    flops, tables = _blind(receiver, slot) if isinstance(receiver, Blind) else _lmmse(receiver, slot)
    complex_weights = isinstance(receiver, Blind)
    # per RE: the channel from its modes, Gram matrix and matched filter, error variance
    channel = rx * layers * groups * (8 if complex_weights else 4)
    gram = rx * (12 * layers + 8 * layers * (layers - 1) / 2)
    error = layers * 2 * (groups + complex_weights)
    # Cholesky factor, inverse and products of a complex matrix; twice with expectation propagation
    rounds = 2 if layers > 1 and receiver.detector == "ep" else 1
    solve = 8 if layers == 1 else rounds * (8 * layers**3 / 2 + 16 * layers**2)
    levels = 2 ** (slot.bits_per_symbol // 2)
    moments = (rounds - 1) * layers * 2 * levels * 20
    demap = layers * slot.bits_per_symbol * 6
    flops += data * (channel + gram + error + solve + moments + demap)
    grid = 8 * rx * symbols * subcarriers
    return Work(flops, grid + tables + data * layers * slot.bits_per_symbol)


def _network(receiver: NeuralReceiver, slot: SlotObservation) -> Work:
    """The first receiver, the networks, and per pass and RE: detection, soft symbol, residual and correction."""
    model = soft_pilots_of(receiver)
    first = work_of(first_receiver(model), slot)
    _, rx, symbols, subcarriers = slot.y.shape
    # at every antenna the Gram matrix and matched filter, the residual and its product with the symbol, the sums over
    # the node, the correction between nodes; and the soft bits with their means
    each = rx * (16 + 8 + 6 + 8 + 14) + slot.bits_per_symbol * (6 + 16) + 40
    networks = network_flops(model, rx, symbols, subcarriers)
    weights = 4.0 * sum(parameter.numel() for parameter in model.parameters())
    flops = first.flops + networks + len(model.passes) * float(symbols * subcarriers * each)
    return Work(flops, first.num_bytes + weights)


def _lmmse(receiver: Lmmse, slot: SlotObservation) -> tuple[float, float]:
    time, frequency = receiver._interpolate.bases(slot)
    rx, groups, modes = slot.y.shape[1], len(slot.layout.symbol_groups), len(time.eigenvalues)
    flops = 0.0
    for axis in frequency:
        f, pairs, subcarriers = len(axis.eigenvalues), axis.analysis.shape[1], axis.synthesis.shape[0]
        flops += 8 * rx * groups * pairs * f + f * subcarriers * (8 * rx * modes + 3 + 2 * modes)
    axes = dict(zip(slot.layout.first_subcarrier, frequency, strict=True))
    return flops, 8.0 * sum(axis.analysis.numel() + axis.synthesis.numel() for axis in axes.values())


def _blind(receiver: Blind, slot: SlotObservation) -> tuple[float, float]:
    layout, rx, groups = slot.layout, slot.y.shape[1], len(slot.layout.symbol_groups)
    grid = grid_of(layout, layout.first_subcarrier[0], slot.data_mask.shape[1], torch.device("cpu"))
    estimate = receiver.estimate(slot.part(0, 1))
    snapshots, width = rx * groups * len(grid.subbands), grid.subbands.width
    flops = tables = 0.0
    for first in set(layout.first_subcarrier):
        layers = [i for i, f in enumerate(layout.first_subcarrier) if f == first]
        active = sum(int((estimate.powers[layer][0] > 0).sum()) for layer in layers)
        # two spectra; three refinements of Cholesky factor, inverse and products; eigenmodes; filter; error; synthesis
        flops += 2 * snapshots * _transform(grid.num_bins)
        each = 4 / 3 * active**3 + 12 * active**2 * snapshots
        flops += receiver.num_iterations * each + 9 * active**3 + 8 * active**2 * snapshots
        flops += 4 * active**2 * len(grid.subbands.nodes) + 8 * snapshots * active * width
        tables += 8 * len(grid.window) * width
    return flops, tables


def _transform(length: int) -> float:
    """Operations of one complex transform in the library's scheme: p^2 multiply-adds per odd prime p and p values."""
    flops, rest, p = 0.0, length, 2
    while rest > 1:
        if rest % p:
            p += 1 if p == 2 else 2
            continue
        rest //= p
        half = (p - 1) // 2
        flops += length / p * (10 if p == 2 else 8 * half**2 + 10 * (p - 1) + 4 * half)
    return flops
