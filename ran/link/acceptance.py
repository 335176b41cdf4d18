"""Which receivers can work on the slots of a link."""

from __future__ import annotations

from ran.errors import ReceiverRefused
from ran.link.memory import SlotMemory
from ran.link.parts import cuts, takes_decoder
from ran.phy.config import Carrier
from ran.phy.dmrs import left_to_others, reserved_mask
from ran.phy.shared_grid import SharedGrid
from ran.phy.user_grids import UserGrids
from ran.stats.counts import check_counter_names
from ran.stats.user_counters import is_user_counter
from receivers import Receiver, SlotObservation


def check_receiver(
    label: str, receiver: Receiver, carrier: Carrier, grid: SharedGrid, empty: SlotObservation, memory: SlotMemory
) -> None:
    """`ReceiverRefused` for a receiver that cannot work on a link's slots, or not within the memory budget.

    empty: what is known of a slot before it is received. carrier: as the link's configuration has it.
    """
    try:
        if receiver.needs_truth:
            memory.check(with_channel=True)
        check_counter_names(receiver.counters)
        reserved = next(filter(is_user_counter, receiver.counters), None)
        if reserved is not None:
            raise ValueError(f"counters: got {reserved!r}; allowed: other names, this one counts users")
        parts = [empty]
        _check_allocation(receiver, carrier, grid)
        if not grid.is_contiguous:
            parts = [own for _, own, *_ in cuts(empty, grid)]
        for part in parts:
            receiver.check_on(part)
    except ValueError as error:
        raise ReceiverRefused(f"receivers.{label}: {error}") from None


def _check_allocation(receiver: Receiver, carrier: Carrier, grid: SharedGrid) -> None:
    """`ValueError` for a receiver that needs the whole slot at once, where it is taken apart; and without DM-RS."""
    if receiver.uses_decoder and not takes_decoder(grid):
        given = "allocation: got one with gaps or hops"
        if isinstance(grid, UserGrids):
            given = "users.allocation: got gaps, hops or users that overlap in part"
        raise ValueError(
            f"{given} with {receiver.name!r}, which decodes the whole slot; allowed: contiguous ones, or another "
            "receiver"
        )
    if receiver.uses_decoder and grid.codewords[0].uci is not None:
        raise ValueError(
            f"pusch.uci: got some with {receiver.name!r}, whose decoder knows the transport block alone; allowed: "
            "without UCI, or another receiver"
        )
    for channel in grid.channels:
        if channel.allocation.reserved and (left_to_others(carrier, channel) & reserved_mask(carrier, channel)).any():
            raise ValueError("allocation.reserved: got resource elements of DM-RS; allowed: others, to receive")
