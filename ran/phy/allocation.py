"""From an allocation's virtual resource blocks to subcarriers of the carrier, symbol by symbol."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ran.errors import InputError, bad_value
from ran.phy.config import Allocation, Carrier, SharedChannel


@dataclass(frozen=True)
class Part:
    """A rectangle of the grid that is without gaps on the carrier: what a channel estimator can work on.

    symbols: OFDM symbols of the slot. columns int [n]: columns of the allocation's grid, by ascending frequency.
    """

    symbols: slice
    columns: np.ndarray


@dataclass(frozen=True)
class Placement:
    """Where the grid of an allocation lies on the carrier. Its columns are the subcarriers of the VRBs in order.

    hops: PRBs of the carrier that the VRBs are mapped to, one tuple or, with intra-slot hopping, two.
    first_symbol_of_second: of the second hop. num_symbols: of the slot. num_carrier_prb: PRBs of the carrier.
    """

    hops: tuple[tuple[int, ...], ...]
    first_symbol_of_second: int
    num_symbols: int
    num_carrier_prb: int

    @property
    def num_prb(self) -> int:
        """Allocated PRBs."""
        return len(self.hops[0])

    @property
    def num_subcarriers(self) -> int:
        """Columns of the grid."""
        return 12 * self.num_prb

    @property
    def is_whole_carrier(self) -> bool:
        return self.hops == (tuple(range(self.num_carrier_prb)),)

    def prbs(self, symbol: int) -> np.ndarray:
        """PRBs of the carrier in an OFDM symbol, in the order of the VRBs, int [num_prb]."""
        hop = int(len(self.hops) == 2 and symbol >= self.first_symbol_of_second)
        return np.array(self.hops[hop])

    @cached_property
    def subcarriers(self) -> np.ndarray:
        """Subcarrier of the carrier of every column, int [num_symbols, num_subcarriers]."""
        rows = [12 * self.prbs(symbol)[:, None] + np.arange(12) for symbol in range(self.num_symbols)]
        return np.stack(rows).reshape(self.num_symbols, -1)

    def take(self, of_carrier: Tensor) -> Tensor:
        """The allocation's part of a grid of the carrier: [..., num_symbols, subcarriers] -> [..., num_subcarriers]."""
        if self.is_whole_carrier:
            return of_carrier
        index = torch.from_numpy(self.subcarriers).to(of_carrier.device)
        return of_carrier.gather(-1, index.expand(*of_carrier.shape[:-1], -1))

    def put(self, grid: Tensor) -> Tensor:
        """Inverse of `take`: a grid of the carrier with zeros beside the allocation."""
        if self.is_whole_carrier:
            return grid
        index = torch.from_numpy(self.subcarriers).to(grid.device)
        whole = grid.new_zeros(*grid.shape[:-1], 12 * self.num_carrier_prb)
        return whole.scatter(-1, index.expand(grid.shape), grid)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Rectangles without gaps that cover the grid; one for a contiguous allocation."""
        found = []
        for hop, prbs in enumerate(self.hops):
            first = self.first_symbol_of_second if hop else 0
            last = self.num_symbols if hop == len(self.hops) - 1 else self.first_symbol_of_second
            order = np.argsort(prbs)
            gaps = np.flatnonzero(np.diff(np.array(prbs)[order]) > 1) + 1
            for run in np.split(order, gaps):
                columns = (12 * run[:, None] + np.arange(12)).ravel()
                found.append(Part(slice(first, last), columns))
        return tuple(found)

    @property
    def is_contiguous(self) -> bool:
        """Whether the columns are neighbouring subcarriers of the carrier, in order and the same in all symbols."""
        return len(self.parts) == 1 and bool((np.diff(self.parts[0].columns) == 1).all())


def placement_of(carrier: Carrier, channel: SharedChannel) -> Placement:
    """Where an allocation lies. `InputError` for one outside its bandwidth part, or a bandwidth part outside."""
    found, side = channel.allocation, f"{channel.name_of_channel}.allocation"
    size = carrier.num_prb - found.bwp_start if found.bwp_num_prb is None else found.bwp_num_prb
    if size < 1 or found.bwp_start + size > carrier.num_prb:
        raise InputError(
            f"{side}.bwp_start: got {found.bwp_start} with {max(size, 1)} PRBs; allowed: inside the carrier's "
            f"{carrier.num_prb} PRBs"
        )
    hops = [_in_bwp(found, carrier.first_crb + found.bwp_start, size, side)]
    if found.second_hop_prb is not None:
        shifted = [prb - found.first_prb + found.second_hop_prb for prb in hops[0]]
        if shifted[-1] >= size:
            last = size - len(shifted)
            raise bad_value(f"{side}.second_hop_prb", found.second_hop_prb, f"0 to {last} with {len(shifted)} PRBs")
        if found.hopping == "intra-slot":
            hops.append(shifted)
        elif carrier.slot_number % 2:
            hops = [shifted]
    return Placement(
        hops=tuple(tuple(prb + found.bwp_start for prb in hop) for hop in hops),
        first_symbol_of_second=channel.start_symbol + channel.num_symbols // 2,
        num_symbols=carrier.num_symbols,
        num_carrier_prb=carrier.num_prb,
    )


def _in_bwp(found: Allocation, bwp_crb: int, size: int, side: str) -> list[int]:
    """PRBs of the bandwidth part in the order of the VRBs. bwp_crb: common resource block of its first PRB."""
    if found.prbs is not None:
        vrbs = list(found.prbs)
        if vrbs[-1] >= size:
            raise bad_value(f"{side}.prbs", vrbs[-1], f"0 to {size - 1}, PRBs of the bandwidth part")
    elif found.rbg_bitmap is not None:
        vrbs = _of_bitmap(found.rbg_bitmap, _rbg_size(size, found.rbg_config), bwp_crb, size, side)
    else:
        count = size - found.first_prb if found.num_prb is None else found.num_prb
        if count < 1 or found.first_prb + count > size:
            raise InputError(
                f"{side}.first_prb: got {found.first_prb} with {max(count, 1)} PRBs; allowed: inside the bandwidth "
                f"part's {size} PRBs"
            )
        vrbs = list(range(found.first_prb, found.first_prb + count))
    if found.vrb_bundle is None:
        return vrbs
    mapped = interleaved(size, bwp_crb, found.vrb_bundle)
    return [mapped[vrb] for vrb in vrbs]


def _rbg_size(num_prb: int, config: int) -> int:
    """P of TS 38.214 tables 5.1.2.2.1-1 and 6.1.2.2.1-1, Rel-18."""
    rows = ((36, (2, 4)), (72, (4, 8)), (144, (8, 16)), (275, (16, 16)))
    return next(sizes for largest, sizes in rows if num_prb <= largest)[config - 1]


def _bundles(size: int, start: int, length: int) -> list[range]:
    """PRBs of a bandwidth part in bundles on the raster of common resource blocks; the first and last may be short."""
    edges = [0, *range(length - start % length, size, length), size]
    return [range(a, b) for a, b in pairwise(edges)]


def _of_bitmap(bitmap: str, length: int, start: int, size: int, side: str) -> list[int]:
    groups = _bundles(size, start, length)
    if len(bitmap) != len(groups) or "1" not in bitmap:
        raise bad_value(f"{side}.rbg_bitmap", bitmap, f"{len(groups)} characters, one per RBG of {length}, not all 0")
    return [prb for bit, group in zip(bitmap, groups, strict=True) if bit == "1" for prb in group]


def interleaved(size: int, start: int, bundle: int) -> list[int]:
    """PRB of every VRB of a bandwidth part with interleaved mapping (TS 38.211 §7.3.1.6, Rel-18).

    size: its PRBs. start: its first common resource block. bundle: L, 2 or 4.
    """
    bundles = _bundles(size, start, bundle)
    columns = len(bundles) // 2
    order = list(range(len(bundles)))
    for j in range(len(bundles) - 1):
        c, r = divmod(j, 2)
        order[j] = r * columns + c
    return [prb for j in order for prb in bundles[j]]
