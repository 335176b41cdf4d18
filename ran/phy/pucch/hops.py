"""Where a PUCCH lies: OFDM symbols and PRBs of its hops, and which symbols carry DM-RS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ran.errors import bad_value
from ran.phy.config import Carrier, Pucch

# TS 38.211 table 6.4.1.3.3.2-1 from 5 symbols on: without and with additional DM-RS; 4 symbols depend on hopping
_DMRS_SYMBOLS = {
    5: ((0, 3), (0, 3)),
    6: ((1, 4), (1, 4)),
    7: ((1, 4), (1, 4)),
    8: ((1, 5), (1, 5)),
    9: ((1, 6), (1, 6)),
    10: ((2, 7), (1, 3, 6, 8)),
    11: ((2, 7), (1, 3, 6, 9)),
    12: ((2, 8), (1, 4, 7, 10)),
    13: ((2, 9), (1, 4, 7, 11)),
    14: ((3, 10), (1, 5, 8, 12)),
}


@dataclass(frozen=True)
class Hop:
    """Symbols of a PUCCH side by side at one frequency.

    index: n_hop. symbols: in the slot. first_subcarrier: in the carrier.
    """

    index: int
    symbols: tuple[int, ...]
    first_subcarrier: int


def hops(carrier: Carrier, pucch: Pucch) -> tuple[Hop, ...]:
    """The hops, first floor(N/2) symbols and the rest (TS 38.211 §6.3.2.1, Rel-18).

    `InputError` where a hop is not within the carrier, or symbols are not within the slot.
    """
    if pucch.start_symbol + pucch.num_symbols > carrier.num_symbols:
        raise bad_value(
            "start_symbol + num_symbols of the PUCCH",
            pucch.start_symbol + pucch.num_symbols,
            f"up to {carrier.num_symbols}, the symbols of the slot (TS 38.211 §6.3.2.1)",
        )
    for name, first in (("prb_start", pucch.prb_start), ("second_hop_prb", pucch.second_hop_prb)):
        if first is not None and first + pucch.num_prb > carrier.num_prb:
            raise bad_value(
                f"{name} of the PUCCH", first, f"0 to {carrier.num_prb - pucch.num_prb}, within the carrier"
            )
    symbols = tuple(range(pucch.start_symbol, pucch.start_symbol + pucch.num_symbols))
    if pucch.second_hop_prb is None:
        return (Hop(0, symbols, 12 * pucch.prb_start),)
    half = len(symbols) // 2
    return Hop(0, symbols[:half], 12 * pucch.prb_start), Hop(1, symbols[half:], 12 * pucch.second_hop_prb)


def dmrs_symbols(pucch: Pucch) -> tuple[int, ...]:
    """Symbols of the slot with DM-RS; in format 2 all, beside data, in format 0 none."""
    start, count = pucch.start_symbol, pucch.num_symbols
    if pucch.format == 0:
        return ()
    if pucch.format == 2:
        return tuple(range(start, start + count))
    if pucch.format == 1:
        return tuple(range(start, start + count, 2))
    if count == 4:
        within: tuple[int, ...] = (1,) if pucch.num_hops == 1 else (0, 2)
    else:
        within = _DMRS_SYMBOLS[count][pucch.additional_dmrs]
    return tuple(start + symbol for symbol in within)


def dmrs_mask(carrier: Carrier, pucch: Pucch) -> npt.NDArray[np.bool_]:
    """Resource elements of the carrier's grid with DM-RS, bool [num_symbols, num_subcarriers]."""
    mask = np.zeros((carrier.num_symbols, carrier.num_subcarriers), bool)
    with_dmrs = dmrs_symbols(pucch)
    for hop in hops(carrier, pucch):
        first = hop.first_subcarrier + (1 if pucch.format == 2 else 0)
        step = 3 if pucch.format == 2 else 1
        for symbol in hop.symbols:
            if symbol in with_dmrs:
                mask[symbol, first : hop.first_subcarrier + pucch.num_subcarriers : step] = True
    return mask


def data_mask(carrier: Carrier, pucch: Pucch) -> npt.NDArray[np.bool_]:
    """REs with UCI, bool [num_symbols, num_subcarriers]; in format 4 also those that its cover leaves empty."""
    mask = np.zeros((carrier.num_symbols, carrier.num_subcarriers), bool)
    for hop in hops(carrier, pucch):
        mask[list(hop.symbols), hop.first_subcarrier : hop.first_subcarrier + pucch.num_subcarriers] = True
    return mask & ~dmrs_mask(carrier, pucch)
