"""Formats 0 and 1: up to two bits in the cyclic shift or the phase of a sequence."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ran.errors import bad_value
from ran.phy.config import Carrier, Pucch
from ran.phy.modulation import constellation
from ran.phy.pucch.hops import dmrs_symbols, hops
from ran.phy.pucch.sequences import symbol_sequence

# m_cs of TS 38.213 tables 9.2.3-3, 9.2.3-4 and 9.2.5-1, -2 by HARQ-ACK bits: without and with a positive SR
_SHIFTS = {(): (0, 0), (0,): (0, 3), (1,): (6, 9), (0, 0): (0, 1), (0, 1): (3, 4), (1, 1): (6, 7), (1, 0): (9, 10)}


def shift_of_bits(bits: tuple[int, ...], scheduling_request: bool) -> int:
    """m_cs of format 0. bits: HARQ-ACK, 1 is an ACK; none for a scheduling request alone."""
    return _SHIFTS[bits][scheduling_request]


def cover(length: int, index: int) -> npt.NDArray[np.complex128]:
    """Orthogonal sequence w_i of format 1, complex128 [length] (TS 38.211 table 6.3.2.4.1-2, Rel-18)."""
    if length == 4:
        turns = np.array(((0, 0, 0, 0), (0, 2, 0, 2), (0, 0, 2, 2), (0, 2, 2, 0))[index])
    else:
        turns = index * np.arange(length) % length
    return np.asarray(np.exp(2j * np.pi * turns / length), np.complex128)


def sequence_grid(
    carrier: Carrier, pucch: Pucch, bits: tuple[int, ...], scheduling_request: bool = False
) -> npt.NDArray[np.complex64]:
    """Format 0 or 1 with its DM-RS on the carrier's grid, complex64 [num_symbols, num_subcarriers], unit power per RE.

    bits: as many as `pucch.num_bits`, 1 is an ACK. scheduling_request: a positive one, format 0 only (in format 1 the
    resource tells). Source: TS 38.211 §6.3.2.3, §6.3.2.4 and §6.4.1.3.1, Rel-18.
    """
    if len(bits) != pucch.num_bits or not set(bits) <= {0, 1}:
        raise bad_value("bits of the PUCCH", bits, f"{pucch.num_bits} of 0 and 1")
    if scheduling_request and pucch.format == 1:
        raise bad_value("scheduling_request", True, "format 0; in format 1 the resource tells (TS 38.213 §9.2.5.1)")
    grid = np.zeros((carrier.num_symbols, carrier.num_subcarriers), np.complex64)
    if pucch.format == 0:
        if not bits and not scheduling_request:
            return grid  # no request, nothing is sent
        shift = pucch.initial_cyclic_shift + shift_of_bits(bits, scheduling_request)
        for hop in hops(carrier, pucch):
            for symbol in hop.symbols:
                where = slice(hop.first_subcarrier, hop.first_subcarrier + 12)
                grid[symbol, where] = symbol_sequence(carrier, pucch, hop.index, symbol, shift)
        return grid
    index = int("".join(map(str, bits)), 2)
    value = complex(constellation(pucch.num_bits)[index])
    pilots = dmrs_symbols(pucch)
    for hop in hops(carrier, pucch):
        where = slice(hop.first_subcarrier, hop.first_subcarrier + 12)
        for kind, factor in ((True, 1.0), (False, value)):
            symbols = [symbol for symbol in hop.symbols if (symbol in pilots) == kind]
            factors = cover(len(symbols), pucch.occ_index)
            for weight, symbol in zip(factors, symbols, strict=True):
                sequence = symbol_sequence(carrier, pucch, hop.index, symbol, pucch.initial_cyclic_shift)
                grid[symbol, where] = factor * weight * sequence
    return grid
