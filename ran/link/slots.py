"""The slots of a drop: their grids, and when and at which frequencies they meet the channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ran.link.config import LinkConfig
from ran.link.transmitter import Transmitter
from ran.phy.config import Carrier
from ran.phy.numerology import slot_start_s, symbol_times_s
from ran.phy.shared_grid import SharedGrid

#: Symbol of a slot at which the transmitter learns the channel.
_CSI_SYMBOL = 7


@dataclass(frozen=True)
class Slot:
    """One of the slots of a drop: its grid, and its symbols' times after the start of the slot, and in the drop.

    csi: when the transmitter learned the channel, in the drop.
    frequencies_hz [hops, num_subcarriers]: of the grid's columns from the middle of the carrier, float64.
    """

    grid: SharedGrid
    frequencies_hz: np.ndarray
    symbol_times_s: np.ndarray
    part_of_drop: slice
    csi: slice
    pilots: Tensor


def slot_numbers(config: LinkConfig) -> list[int]:
    """Numbers of the slots of a drop, counted on over the ends of frames."""
    first, harq = config.carrier.slot_number, config.harq
    if harq is None:
        return list(range(first, first + config.num_slots))
    return [first + attempt * harq.round_trip_slots for attempt in range(harq.max_transmissions)]


def build_slots(
    config: LinkConfig, transmitter: Transmitter, device: torch.device
) -> tuple[tuple[Slot, ...], np.ndarray]:
    """The slots of a drop, and the times of the process that its channel is, seconds.

    Where the transmitter knows the channel as it was in an earlier slot, a symbol of that belongs to the process.
    """
    numerology, delay = config.carrier.numerology, transmitter.csi_delay_slots
    extended = config.carrier.cyclic_prefix == "extended"
    numbers = slot_numbers(config)
    start = slot_start_s(numerology, numbers[0], extended)
    slots, times = [], np.zeros(0)
    for number, grid in zip(numbers, transmitter.grids, strict=True):
        of_slot = symbol_times_s(numerology, grid.carrier.slot_number, extended)
        part = slice(len(times), len(times) + len(of_slot))
        csi = slice(part.start + _CSI_SYMBOL, part.start + _CSI_SYMBOL + 1)
        times = np.concatenate([times, slot_start_s(numerology, number, extended) - start + of_slot])
        if delay:
            csi = slice(part.stop, part.stop + 1)
            earlier = symbol_times_s(numerology, number - delay, extended)[_CSI_SYMBOL]
            times = np.append(times, slot_start_s(numerology, number - delay, extended) - start + earlier)
        slots.append(Slot(grid, _frequencies_of(config.carrier, grid), of_slot, part, csi, grid.pilots.to(device)))
    return tuple(slots), times


def _frequencies_of(carrier: Carrier, grid: SharedGrid) -> np.ndarray:
    """Frequencies of a grid's columns from the middle of the carrier in Hz, float64 [hops, num_subcarriers]."""
    placement = grid.placement
    rows = [0, placement.first_symbol_of_second][: len(placement.hops)]
    middle = (carrier.num_subcarriers - 1) / 2
    return (placement.subcarriers[rows] - middle) * carrier.subcarrier_spacing_hz
